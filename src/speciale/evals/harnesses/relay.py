"""Between a harness and a target: a server on loopback that passes chat requests on.

So every harness asks as our own suites do: with the same thinking, bounds and seeds; a busy target
is asked again; the target's key stays here. An answer is kept as a line, and the same question of
the same sample is answered from it: whatever was killed goes on. A target that fails, or answers
nonsense, gives no answer, which a harness would take for a wrong one: it gives a mark (`reason`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from speciale.agents.chat_server import ChatServer, thinking_switch
from speciale.agents.sampler import SamplerError
from speciale.evals.attempts import Settings, append_lines, read_lines

_MARK = "speciale-not-measured-"
_MARKED = re.compile(_MARK + r"(\d+)")


class Relay:
    """`failures` says of each request that failed why. fails_in_words: the mark comes as an answer,
    not as an error."""

    def __init__(
        self, model: ChatServer, digest: str, settings: Settings, path: Path, *,
        concurrency: int, fails_in_words: bool,
    ) -> None:  # fmt: skip
        self.model, self.digest, self.settings, self.path = model, digest, settings, path
        self.concurrency, self.fails_in_words = concurrency, fails_in_words
        self.key = secrets.token_hex(16)  # others on this machine may not ask
        self.failures: list[str] = []
        self.fresh = 0  # answers that were not kept from before
        self._kept: dict[str, dict[str, Any]] = {
            line["key"]: line["answer"] for line in read_lines(path) if "answer" in line
        }
        self._asking: dict[str, asyncio.Task] = {}
        self._usage: dict[str, dict[str, Any]] = {}
        route = Route("/{sample:int}/v1/chat/completions", self._respond, methods=["POST"])
        self.app = Starlette(routes=[route])

    def reason(self, text: str) -> str | None:
        found = _MARKED.search(text)
        return None if found is None else self.failures[int(found[1])]

    def usage(self, sample: int, messages: list[Any]) -> tuple[int | None, int | None]:
        found = self._usage.get(_hash(sample, messages), {})
        return found.get("completion_tokens"), found.get("prompt_tokens")

    async def _respond(self, request: Request) -> JSONResponse:
        given = request.headers.get("authorization", "")
        if not secrets.compare_digest(given.encode(), f"Bearer {self.key}".encode()):
            return JSONResponse({"error": {"message": "this server is not for you"}}, 401)
        asked, sample = await request.json(), request.path_params["sample"]
        try:
            answer = await self._answer(self._body(asked, sample))
        except Exception as failure:  # whatever it is, the harness must not make a score of it
            return self._failed(str(failure) or type(failure).__name__)
        self._usage[_hash(sample, asked["messages"])] = answer.get("usage") or {}
        return JSONResponse(answer)

    def _body(self, asked: dict[str, Any], sample: int) -> dict[str, Any]:
        """As our own suites would ask it."""
        body = {name: value for name, value in asked.items() if value not in (None, [])}
        limits = [body.pop(name, None) for name in ("max_tokens", "max_completion_tokens")]
        seed = int(_hash(self.settings.seed, sample, asked["messages"])[:12], 16)
        return {
            **body,
            "model": self.model.model,
            "max_tokens": min(filter(None, (self.settings.max_tokens, *limits))),
            "seed": seed,
            **thinking_switch(self.model.flavour, True),
        }

    async def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        key = _hash(self.digest, body)
        if key in self._kept:
            return self._kept[key]
        if not self.fresh and len(self.failures) >= self.concurrency:
            raise SamplerError(self.failures[0])  # it is down: nobody waits for the rest
        # A harness that lost patience asks again: it waits for the first request then.
        if key not in self._asking:
            self._asking[key] = asyncio.create_task(self._ask(key, body))
        return await asyncio.shield(self._asking[key])

    async def _ask(self, key: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self.model.server.post("/chat/completions", body)
            _check(answer, self.model.server.url)
            append_lines(self.path, [{"key": key, "answer": answer}])
            self._kept[key] = answer
            self.fresh += 1
            return answer
        finally:
            del self._asking[key]

    def _failed(self, why: str) -> JSONResponse:
        mark = f"{_MARK}{len(self.failures)}"
        self.failures.append(why)
        if self.fails_in_words:
            message = {"role": "assistant", "content": mark}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            return JSONResponse({"object": "chat.completion", "choices": [choice]})
        # 400: nobody asks that again.
        return JSONResponse({"error": {"message": mark, "type": "not_measured"}}, 400)


def _check(answer: dict[str, Any], url: str) -> None:
    """SamplerError for what is no answer of a chat server."""
    try:
        choice = answer["choices"][0]
        content, calls = (choice["message"].get(name) for name in ("content", "tool_calls"))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise SamplerError(
            f"{url} does not answer as a chat server does ({error!r}): name its address up to /v1"
        ) from error
    if not isinstance(content, str | None) or not isinstance(calls, list | None):
        raise SamplerError(f"{url} does not answer as a chat server does: {str(answer)[:200]}")
    if choice.get("finish_reason") == "insufficient_system_resource":
        raise SamplerError(f"{url} broke its answer off (insufficient_system_resource)")


def _hash(*words: Any) -> str:
    return hashlib.blake2b(json.dumps(words, sort_keys=True).encode(), digest_size=12).hexdigest()


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # Ctrl-C is the command's


@asynccontextmanager
async def listening(relay: Relay) -> AsyncIterator[str]:
    """The relay's address, on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        config = uvicorn.Config(
            relay.app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=2
        )
        server = _Quiet(config)
        work = asyncio.create_task(server.serve(sockets=[place]))
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}"
        finally:
            server.should_exit = True
            await work
