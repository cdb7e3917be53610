"""A service's configuration: TOML, then environment variables (SPECIALE_PORT, SPECIALE_DATABASE,
SPECIALE_LIMITS__BODY_BYTES, …), which win. Secrets come from the environment only.
"""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from speciale.errors import ConfigError
from speciale.safety.policy import Policy, read_policy
from speciale.serve.accounts.prices import Price
from speciale.serve.backends.chat_upstream import Flavour
from speciale.serve.deployments import Variant


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Limits(_Table):
    body_bytes: int = Field(8 << 20, ge=1024, description="128K tokens are about 1 MB of text.")
    body_seconds: float = Field(30, gt=0, description="For a body to arrive.")
    connections: int = Field(4096, ge=1)
    keep_alive_s: float = Field(10, gt=0, description="Between comments of a waiting stream.")
    drain_s: int = Field(30, ge=0, description="For running answers after SIGTERM.")


class UpstreamConfig(_Table):
    url: str = Field(description="Such as http://10.0.0.2:8000/v1.")
    mode: Literal["chat", "tokens", "generate"] = Field(
        "chat", description="tokens: ids to /v1/completions (vLLM); generate: to SGLang's route."
    )
    model: str | None = Field(None, description="Its name there; this deployment's unless given.")
    api_key_env: str | None = Field(None, description="Environment variable with its key.")
    tokenizer: Path | None = Field(None, description="Folder with tokenizer.json, for ids.")
    flavour: Flavour = Field("vllm", description="How it takes what OpenAI's API lacks.")
    fallback: bool = Field(False, description="Asked only where none of the others can answer.")


_Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000, multiple_of=Decimal("0.001"))]


class PriceTable(_Table):
    """US dollars a million tokens; multiples of 0.001, so that a token costs whole nano-dollars.
    The defaults are DeepSeek-V3.2's (api-docs.deepseek.com/quick_start/pricing)."""

    cache_hit: _Dollars = Decimal("0.028")
    cache_miss: _Dollars = Decimal("0.28")
    output: _Dollars = Decimal("0.42")

    def price(self) -> Price:
        return Price(*(int(usd * 1000) for usd in (self.cache_hit, self.cache_miss, self.output)))

    def listed(self) -> dict[str, float]:
        """As /v1/models shows it."""
        return {
            "prompt_cache_hit": float(self.cache_hit),
            "prompt_cache_miss": float(self.cache_miss),
            "completion": float(self.output),
        }


class DeploymentConfig(_Table):
    name: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")
    run: Path | None = Field(None, description="A run or an HF-layout folder.")
    upstreams: list[UpstreamConfig] = []
    backend: str | None = Field(
        None,
        pattern=r"^null(:\d{1,4})?$",
        description="null: words without a model; null:20 writes twenty a second.",
    )
    variant: Variant = "v3.2"
    thinks: bool = Field(False, description="Unless the request says.")
    aliases: dict[str, bool] = Field({}, description="Other names, and whether they think.")
    context: int = Field(128_000, ge=16, description="Tokens of prompt and answer.")
    filter: Policy = Policy()
    price: PriceTable = PriceTable()

    @model_validator(mode="after")
    def _one_source(self) -> DeploymentConfig:
        given = sum((self.run is not None, bool(self.upstreams), self.backend is not None))
        if given != 1:
            raise ValueError(f"{self.name} has {given} of run, upstreams and backend: give one")
        return self


class ServeConfig(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="SPECIALE_",
        env_nested_delimiter="__",
        extra="forbid",
    )

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    database: str | None = Field(None, description="SQLAlchemy URL; speciale.db unless given.")
    api_key: SecretStr | None = Field(None, description="A key to accept, of at least 16 letters.")
    auth: bool = True
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    limits: Limits = Limits()
    deployments: list[DeploymentConfig] = []

    @model_validator(mode="after")
    def _names_differ(self) -> ServeConfig:
        names = [n for d in self.deployments for n in (d.name, *d.aliases)]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"several deployments are called {', '.join(sorted(twice))}")
        if not self.auth and self.host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError(
                f"without keys the service answers on loopback only, but host is {self.host}: "
                "give 127.0.0.1, or leave authentication on"
            )
        if self.api_key is not None and len(self.api_key.get_secret_value()) < 16:
            raise ValueError("SPECIALE_API_KEY is shorter than 16 letters: make a longer one")
        return self


def read_config(path: Path | None, **given: Any) -> ServeConfig:
    """The file's values, over them the environment's, over them `given` (None counts as absent).

    Raises ConfigError with the first key that does not fit.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is no TOML: {error}") from error
        for deployment in table.get("deployments", ()):
            if isinstance(deployment, dict) and isinstance(deployment.get("filter"), dict):
                # Its files lie beside the configuration.
                deployment["filter"] = read_policy(deployment["filter"], path.parent)
    given = {key: value for key, value in given.items() if value is not None}
    try:
        environment = ServeConfig().model_dump(exclude_unset=True)
        return ServeConfig(**_laid_over(_laid_over(table, environment), given))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        source = path or "the configuration"
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{source}: {place}: {said}" if place else f"{source}: {said}") from None


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        known = merged.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        merged[key] = _laid_over(known, value) if both else value
    return merged
