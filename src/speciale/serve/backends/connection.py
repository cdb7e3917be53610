"""One server elsewhere: pooled connections, its key, and its failures as BackendErrors.

What went wrong goes to the operator's log with the server's name; the client hears only what it can
act on: that its own request was refused, and why, or that it should try again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ValidationError

from speciale.errors import ConfigError
from speciale.serve.backends.seam import BackendError
from speciale.serve.backends.sse import BrokenStreamError, read_events

log = logging.getLogger(__name__)

_REFUSED = (400, 413, 415, 422)  # the request is at fault: any other server would say the same
_MAX_ERROR_BYTES = 64 * 1024
_MAX_MESSAGE = 500  # characters of an upstream's words that reach a client
UNREACHABLE = "the model cannot be reached at the moment: try again in a few seconds"

Chunk = TypeVar("Chunk", bound=BaseModel)
Read = TypeVar("Read")


class Reader(Protocol[Chunk, Read]):
    """Makes pieces of an answer's chunks."""

    def read(self, chunk: Chunk | None) -> list[Read]:
        """The pieces of one event, None for [DONE]. Raises BackendError."""
        ...

    def end(self) -> list[Read]:
        """The last pieces. Raises BackendError where the stream ended too early."""
        ...

    def cut(self) -> list[Read]:
        """The last pieces of an answer that broke off."""
        ...


class BusyError(BackendError):
    """The upstream said 429; `rest_s` is its Retry-After, 1 second where it gave none."""

    def __init__(self, rest_s: float) -> None:
        super().__init__("the model is busy: try again in a few seconds", 429, retriable=True)
        self.rest_s = rest_s


@dataclass(frozen=True)
class Timeouts:
    """In seconds. `first`: to the first byte, queue and prefill included; `stall`: between two."""

    connect: float = 5.0
    first: float = 120.0
    stall: float = 60.0
    health: float = 5.0


class Connection:
    """POSTs that are answered by event streams, and health checks."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        key_header: str = "authorization",
        query: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """ConfigError where `url` is no http(s) address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"the upstream's url is {url!r}: give it as http://HOST:PORT or https://HOST"
            )
        if parts.username or parts.password:
            raise ConfigError(
                f"the upstream's url for {parts.hostname} holds a user or a password: "
                "give the key apart"
            )
        self.name = parts.netloc + parts.path.rstrip("/")  # in logs; holds no secret
        self._url = url.rstrip("/")
        self._query = dict(query or {})
        self._key = api_key
        self._timeouts = timeouts or Timeouts()
        # Unpacked, a small chunk could be any size.
        headers = {"accept": "text/event-stream, application/json", "accept-encoding": "identity"}
        if api_key:
            bearer = key_header == "authorization"
            headers[key_header] = f"Bearer {api_key}" if bearer else api_key
        self._client = httpx.AsyncClient(
            headers=headers,
            follow_redirects=False,
            # No proxy or .netrc out of the environment: the operator named this address.
            trust_env=False,
            # Reads are timed here: the first one may take longer than those after it.
            timeout=httpx.Timeout(None, connect=self._timeouts.connect, pool=5.0),
            # uvicorn, under most engines, closes idle connections after 5 seconds.
            limits=httpx.Limits(
                max_connections=1024, max_keepalive_connections=64, keepalive_expiry=4
            ),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def check(self, path: str) -> str | None:
        """None if a GET of `path` is answered by 200, else what came instead. /health is beside
        /v1, all else below it."""
        base = self._url.removesuffix("/v1") if path == "/health" else self._url
        try:
            async with asyncio.timeout(self._timeouts.health):
                request = self._client.build_request("GET", base + path, params=self._query)
                response = await self._client.send(request, stream=True)
                await response.aclose()
        except TimeoutError:
            return f"{self.name} did not answer within {self._timeouts.health:g} seconds"
        except httpx.HTTPError as error:
            return f"{self.name} cannot be reached ({type(error).__name__})"
        if response.status_code != 200:
            return f"{self.name} answers {path} with {response.status_code}"
        return None

    async def answer(
        self, path: str, body: Mapping[str, Any], kind: type[Chunk], reader: Reader[Chunk, Read]
    ) -> AsyncGenerator[Read, None]:
        """What `reader` makes of the events, which are of `kind`. Closing this closes the response.

        Raises BackendError before the first piece only; one that is not `retriable` is about the
        request itself. Later failures cut the answer off (`reader.cut`).
        """
        begun = False
        try:
            async with aclosing(self._stream(path, body, kind, lambda: begun)) as chunks:
                async for chunk in chunks:
                    for piece in reader.read(chunk):
                        begun = True
                        yield piece
            last = reader.end()
        except BackendError:
            if not begun:
                raise
            last = reader.cut()
        for piece in last:
            yield piece

    async def _stream(
        self, path: str, body: Mapping[str, Any], kind: type[Chunk], begun: Callable[[], bool]
    ) -> AsyncGenerator[Chunk | None, None]:
        """The events; None stands for [DONE]. Once `begun()` is true, the stall timeout holds
        instead of the first one."""
        request = self._client.build_request(
            "POST", self._url + path, params=self._query, json=body
        )
        try:
            async with asyncio.timeout(self._timeouts.first):
                response = await self._client.send(request, stream=True)
        except TimeoutError:
            raise self._broken(f"no answer within {self._timeouts.first:g} seconds") from None
        except httpx.HTTPError as error:
            raise self._broken(f"{type(error).__name__} {error}") from None
        try:
            if response.status_code != 200:
                raise await self._status_error(response)
            kind_sent = response.headers.get("content-type", "").split(";")[0].strip().lower()
            if kind_sent != "text/event-stream":
                raise self._broken(f"the content type is {kind_sent[:80]!r}, not an event stream")
            async with aclosing(self._events(response, begun)) as events:
                async for text in events:
                    if text.strip() == "[DONE]":
                        yield None
                        return
                    yield self._parsed(text, kind)
        finally:
            await response.aclose()

    async def _events(
        self, response: httpx.Response, begun: Callable[[], bool]
    ) -> AsyncGenerator[str, None]:
        # Headers, and a chunk with nothing but the role, may come before the prefill.
        def patience() -> float:
            return self._timeouts.stall if begun() else self._timeouts.first

        try:
            async with (
                aclosing(response.aiter_bytes()) as chunks,
                aclosing(read_events(chunks, patience)) as events,
            ):
                async for text in events:
                    yield text
        except BrokenStreamError as error:
            raise self._broken(str(error)) from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise self._broken(f"{type(error).__name__} {error}") from None

    def _parsed(self, text: str, kind: type[Chunk]) -> Chunk:
        # Lone surrogates, deep nesting and wrong types all fail here, before anything is sent.
        try:
            return kind.model_validate_json(text)
        except ValidationError as error:
            failed = error
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict) and said.get("error"):
            raise self._said(said)
        first = failed.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise self._broken(f"an event does not fit: {place} {first['msg']}")

    async def _status_error(self, response: httpx.Response) -> BackendError:
        status = response.status_code
        said = bytearray()
        try:
            async with asyncio.timeout(self._timeouts.stall):
                async for chunk in response.aiter_bytes():
                    said += chunk
                    if len(said) > _MAX_ERROR_BYTES:
                        break
        except (TimeoutError, httpx.HTTPError):
            pass
        message = _message(bytes(said))
        if status in _REFUSED:
            return BackendError(self._clean(message) or "the model refused the request", 400)
        if status == 429:
            self._warn("429", message)
            return BusyError(_retry_after(response.headers.get("retry-after")))
        if status in (401, 402, 403, 404):
            hints = {404: "check its url and model", 402: "its account has no balance"}
            hint = hints.get(status, "check its api_key")
            log.error("upstream %s answers %d: %s", self.name, status, hint)
            return BackendError(UNREACHABLE, retriable=True)
        return self._broken(f"status {status} {self._clean(message)}")

    def _said(self, event: Mapping[str, Any]) -> BackendError:
        """An error within the stream: {"error": {"message", "code"}}."""
        error = event["error"]
        code = error.get("code") if isinstance(error, Mapping) else None
        message = self._clean(_message(json.dumps(event).encode()))
        if code in _REFUSED:
            return BackendError(message or "the model refused the request", 400)
        return self._broken(f"error {message}")

    def _broken(self, what: str) -> BackendError:
        self._warn("is broken", what)
        return BackendError(UNREACHABLE, retriable=True)

    def _warn(self, what: str, said: str) -> None:
        log.warning("upstream %s %s: %s", self.name, what, self._clean(said))

    def _clean(self, text: str) -> str:
        """Without the key, should the upstream repeat it, and on one short line."""
        if self._key:
            text = text.replace(self._key, "[key]")
        text = "".join(c if c.isprintable() else " " for c in text)
        return text if len(text) <= _MAX_MESSAGE else text[: _MAX_MESSAGE - 1] + "…"


def _message(body: bytes) -> str:
    """What an error's body says: OpenAI's, FastAPI's and vLLM's forms, or the text itself."""
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()
    for name in ("error", "detail", "message"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    return value if isinstance(value, str) else json.dumps(value)


def _retry_after(value: str | None) -> float:
    try:
        seconds = float(value or "")
    except ValueError:  # none, or a date, which clocks that differ make worthless
        return 1.0
    return min(max(seconds, 1.0), 60.0) if math.isfinite(seconds) else 1.0
