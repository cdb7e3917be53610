"""The server of the page: files of this package and JSON, on this machine alone.

What a store holds was written by models and strangers: a Content-Security-Policy that lets no text
become markup or script is the second wall behind the page's own care.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from speciale.errors import ConfigError, SpecialeError
from speciale.page_headers import page_headers
from speciale.sandbox import Sandbox
from speciale.synth.browse import reading
from speciale.synth.store import Store

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
}  # fmt: skip
HEADERS = page_headers()
# A page elsewhere whose name is made to lead here (DNS rebinding) has another one.
HOSTS = ["127.0.0.1", "localhost", "[::1]"]
Answer = Callable[[Request], Awaitable[Any]]


def browse_app(store: Store, sandbox: Sandbox) -> Starlette:
    """The page at `/`, its files, and what they ask for below `/api/`."""

    async def about(_: Request) -> Any:
        return await asyncio.to_thread(reading.about_store, store)

    async def families(request: Request) -> Any:
        return await asyncio.to_thread(reading.list_families, store, request.query_params)

    async def family(request: Request) -> Any:
        return await asyncio.to_thread(reading.show_family, store, request.path_params["id"])

    async def task(request: Request) -> Any:
        names = (request.path_params[name] for name in ("id", "number"))
        return await asyncio.to_thread(reading.show_task, store, *names)

    async def file(request: Request) -> Any:
        path = request.query_params.get("path", "")
        return await asyncio.to_thread(reading.show_file, store, request.path_params["id"], path)

    async def rows(request: Request) -> Any:
        entry = await asyncio.to_thread(reading.entry_of, store, request.path_params["id"])
        if entry.family is None:
            raise reading.Missing
        asked = request.query_params
        first = reading.number_of(asked, "first")
        return await reading.show_rows(sandbox, entry.family, asked.get("table"), first)

    return Starlette(
        routes=[
            Route("/", _file("index.html")),
            *(
                Route(f"/{path.name}", _file(path.name))
                for path in sorted(PAGE.iterdir())
                if path.suffix in TYPES and path.name != "index.html"
            ),
            Route("/api/store", _json(about)),
            Route("/api/families", _json(families)),
            Route("/api/families/{id}", _json(family)),
            Route("/api/families/{id}/tasks/{number}", _json(task)),
            Route("/api/families/{id}/file", _json(file)),
            Route("/api/families/{id}/rows", _json(rows)),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)],
        exception_handlers={404: _not_found},
    )


def serve(folder: Path, port: int) -> None:
    """Serves the page until Ctrl-C. DataError where the folder is no store, ConfigError where the
    port is taken."""
    try:
        import uvicorn
    except ImportError:
        raise ConfigError(
            "the page needs the package uvicorn: run `pip install 'speciale[synth]'`."
        ) from None
    with Store(folder, create=False) as store:
        for trouble in store.troubles:
            print(f"note: {trouble}", file=sys.stderr)
        sandbox = Sandbox(warm=1)
        try:
            listening = socket.create_server(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"port {port} of this machine cannot be used ({error}): name another with --port"
            ) from None
        config = uvicorn.Config(browse_app(store, sandbox), log_level="warning")
        print(f"http://127.0.0.1:{listening.getsockname()[1]}  (Ctrl-C ends it)", flush=True)
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            sandbox.close()


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return FileResponse(PAGE / name, media_type=TYPES[Path(name).suffix], headers=HEADERS)

    return answer


def _json(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def asked(request: Request) -> Response:
        try:
            return _Json(await answer(request), headers=HEADERS)
        except reading.Missing:
            return await _not_found(request, None)
        except SpecialeError as error:
            return _Json({"error": str(error)}, 422, headers=HEADERS)

    return asked


class _Json(JSONResponse):
    """Also of half a surrogate, as an escape: stored texts may hold anything."""

    def render(self, content: Any) -> bytes:
        try:
            return super().render(content)
        except (UnicodeEncodeError, ValueError):  # NaN is no JSON either
            return json.dumps(_finite(content)).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value


async def _not_found(_: Request, __: Any) -> Response:
    return _Json({"error": "There is no such thing in this store."}, 404, headers=HEADERS)
