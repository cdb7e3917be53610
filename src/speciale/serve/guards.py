"""What stands before the routes: keys, and pages of other sites that would use an open server.

Without a key nothing answers but health and the page's own files, which hold no data.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from speciale.serve.errors import ApiError
from speciale.serve.service import Service

_PUBLIC = ("/", "/healthz", "/readyz", "/favicon.ico")
_PAGE = "/page/"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Authentication:
    """Puts the caller's key into the request's state as `key`."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        try:
            if self._service.open_key is not None:
                _refuse_other_sites(headers)
                key = self._service.open_key
            elif path in _PUBLIC or path.startswith(_PAGE):
                key = None
            else:
                key = await self._key(headers)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        scope.setdefault("state", {})["key"] = key
        await self._app(scope, receive, send)

    async def _key(self, headers: Headers):
        secret = _secret(headers)
        if secret is None:
            raise ApiError(
                401,
                "there is no key: send it as `Authorization: Bearer sk-…`",
                code="invalid_api_key",
            )
        key = await self._service.accounts.authenticate(secret)
        if key is None:
            raise ApiError(
                401, "this key is not known here, or was revoked", code="invalid_api_key"
            )
        return key


def _secret(headers: Headers) -> str | None:
    """OpenAI's header, or one of Azure's two."""
    kind, _, secret = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and secret.strip():
        return secret.strip()
    return headers.get("api-key") or headers.get("ocp-apim-subscription-key") or None


def _refuse_other_sites(headers: Headers) -> None:
    """A server without keys answers programs and its own page, not other sites in a browser."""
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    if host is not None and host not in _LOOPBACK:  # a name that was made to point here
        raise ApiError(403, f"the host {host[:80]!r} is not this machine's loopback name")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise ApiError(403, f"the page {origin[:80]!r} may not use this server")
