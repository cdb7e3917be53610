"""`speciale serve`: a configuration becomes a running server; people are told how to use it."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn
from tokenizers import Tokenizer

from speciale.chat.tokenizer import load_tokenizer
from speciale.errors import ConfigError
from speciale.safety.filter import ContentFilter
from speciale.serve.accounts import Accounts, Database, default_url
from speciale.serve.accounts.prices import Prices
from speciale.serve.app import make_app
from speciale.serve.backends.chat_upstream import ChatUpstream
from speciale.serve.backends.null import Null
from speciale.serve.backends.pool import Pool
from speciale.serve.backends.seam import Backend
from speciale.serve.backends.token_upstream import TokenUpstream
from speciale.serve.config import DeploymentConfig, ServeConfig, UpstreamConfig
from speciale.serve.deployments import Deployment
from speciale.serve.first_keys import demo_secret, environment_key, loopback_key
from speciale.serve.observe import set_up_logging
from speciale.serve.protocol import BoundedProtocol
from speciale.serve.service import Service

# DeepSeek's own names of the two modes, and whether they think.
_DEEPSEEK_NAMES = {"deepseek-chat": False, "deepseek-reasoner": True}


def deployment_of(
    run: Path | None, upstreams: list[UpstreamConfig], backend: str | None, variant: str
) -> DeploymentConfig:
    """The one deployment that the command line describes."""
    name = run.resolve().name if run is not None else "null" if backend else "deepseek-v3.2"
    if variant == "speciale":
        aliases = {"deepseek-v3.2-speciale": True}
    else:
        aliases = {"deepseek-v3.2": False, **_DEEPSEEK_NAMES}
    if upstreams and upstreams[0].model:
        name = upstreams[0].model.rsplit("/", 1)[-1]
    aliases.pop(name, None)
    return DeploymentConfig(
        name=name, run=run, upstreams=upstreams, backend=backend, variant=variant, aliases=aliases
    )


def open_service(config: ServeConfig) -> tuple[Service, str | None]:
    """The service of a configuration, and the secret of a demo key where one was made."""
    if not config.deployments:
        raise ConfigError(
            "there is nothing to serve: give a run, --upstream URL, or a configuration file with "
            "[[deployments]]"
        )
    url = config.database or default_url()
    prices = Prices(models={d.name: d.price.price() for d in config.deployments})
    engines: dict[Path, Backend] = {}  # one for a run, however many deployments it has
    backends = [_backend(deployment, engines) for deployment in config.deployments]
    database = Database(url)
    secret, open_key = None, None
    try:
        if not config.auth:
            open_key = loopback_key(database)
        elif config.api_key is not None:
            environment_key(database, config.api_key.get_secret_value())
        else:
            secret = demo_secret(database)
    finally:
        database.close()
    filters: dict[str, ContentFilter] = {}
    deployments = []
    for told, backend in zip(config.deployments, backends):
        known = told.filter.model_dump_json()
        content_filter = filters.get(known) or ContentFilter(told.filter)
        filters[known] = content_filter
        deployments.append(
            Deployment(
                told.name, backend, content_filter, told.variant, told.thinks, told.aliases,
                told.context,
            )
        )  # fmt: skip
    accounts = Accounts.open(url, prices)
    service = Service(
        deployments,
        accounts,
        config.limits,
        {d.name: d.price for d in config.deployments},
        open_key,
    )
    return service, secret


def _backend(told: DeploymentConfig, engines: dict[Path, Backend]) -> Backend:
    if told.backend is not None:
        pace = told.backend.partition(":")[2]
        return Null(float(pace) if pace else None)
    if told.run is not None:
        from speciale.serve.backends.embedded import Embedded  # loads torch

        folder = told.run.resolve()
        engines[folder] = engines.get(folder) or Embedded(folder)
        return engines[folder]
    first, fallbacks = (
        [_upstream(one, told) for one in told.upstreams if one.fallback is fallback]
        for fallback in (False, True)
    )
    return Pool(first, fallbacks)


def _upstream(told: UpstreamConfig, deployment: DeploymentConfig) -> Backend:
    key = None
    if told.api_key_env is not None:
        key = os.environ.get(told.api_key_env)
        if not key:
            raise ConfigError(f"{told.url}: the environment has no {told.api_key_env}: set it")
    model = told.model or deployment.name
    tokenizer: Tokenizer | None = None
    if told.tokenizer is not None:
        tokenizer = load_tokenizer(told.tokenizer)
    if told.mode == "chat":
        return ChatUpstream(
            told.url, key, model=model, flavour=told.flavour, context=deployment.context
        )
    if tokenizer is None:
        raise ConfigError(
            f"{told.url}: mode {told.mode} sends token ids, which needs the model's tokenizer: "
            "give the folder of its tokenizer.json"
        )
    kind = "completions" if told.mode == "tokens" else "generate"
    return TokenUpstream(
        told.url, key, model=model, tokenizer=tokenizer, kind=kind, context=deployment.context
    )


def serve(config: ServeConfig) -> None:
    """Runs until SIGINT or SIGTERM; running answers then have `limits.drain_s` to end."""
    set_up_logging(config.log_level)
    service, secret = open_service(config)
    app = make_app(service)
    _trace(app)
    server = _Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=config.limits.connections,
            timeout_graceful_shutdown=config.limits.drain_s,
            lifespan="on",
        )
    )
    server.welcome = lambda port: _welcome(config, port, service, secret)
    server.run()
    if not server.started:
        sys.exit(1)


class _Server(uvicorn.Server):
    """Says that it is there when it is, not before."""

    welcome: Callable[[int], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.welcome(self.servers[0].sockets[0].getsockname()[1])


def _welcome(config: ServeConfig, port: int, service: Service, secret: str | None) -> None:
    host = f"[{config.host}]" if ":" in config.host else config.host
    url = f"http://{host}:{port}"
    print(f"page:   {url}/\nAPI:    {url}/v1\nmodels: {', '.join(service.names)}", flush=True)
    if service.open_key is not None:
        print("key:    none needed (--no-auth)", flush=True)
    elif config.api_key is not None:
        print("key:    the one in SPECIALE_API_KEY", flush=True)
    elif secret is not None:
        print(
            f"key:    {secret} (a demo key, new at each start; `speciale keys create NAME` makes "
            "lasting ones)",
            flush=True,
        )
    else:
        print("key:    one of `speciale keys list`", flush=True)
    model = next(iter(service.names))
    header = f" -H 'Authorization: Bearer {secret}'" if secret else ""
    body = shlex.quote(f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hi"}}]}}')
    print(
        f"try:    curl {url}/v1/chat/completions{header} "
        f"-H 'Content-Type: application/json' -d {body}",
        flush=True,
    )


def _trace(app) -> None:
    """OpenTelemetry, where the environment names a collector and the extra `otel` is installed."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    try:
        from speciale.serve.tracing import trace
    except ImportError as error:
        raise ConfigError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
            "pip install 'speciale[otel]', or unset it"
        ) from error
    trace(app)
