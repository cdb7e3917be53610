"""A server that answers the page as a test scripts it: odd answers no model gives on demand.
It serves the page's own routes, so that headers and files are the real ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from http_server import http_server
from speciale.serve.page_routes import page_routes

PRICING = {"prompt_cache_hit": 0.1, "prompt_cache_miss": 1.0, "completion": 2.0}
USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 500,
    "total_tokens": 1500,
    "prompt_cache_hit_tokens": 400,
    "prompt_cache_miss_tokens": 600,
}
Step = dict | threading.Event  # a chunk to send, or a gate that the test opens


def delta(finish: str | None = None, choice: dict | None = None, **fields) -> dict:
    """A chunk with one choice: its delta's fields, and more of the choice."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish, **(choice or {})}]}


def text(content: str, reasoning: str = "", finish: str = "stop") -> list[Step]:
    """A whole answer in a few chunks, with its usage."""
    chunks: list[Step] = [delta(role="assistant")]
    if reasoning:
        chunks.append(delta(reasoning_content=reasoning))
    half = len(content) // 2
    chunks += [delta(content=content[:half]), delta(content=content[half:]), delta(finish)]
    return [*chunks, {"choices": [], "usage": USAGE}]


class PageServer:
    """Answers in the order of `say` and `fail`; without any, with "Hello." """

    def __init__(self, url: str = "") -> None:
        self.bodies: list[dict] = []  # of /v1/chat/completions
        self.keys: list[str | None] = []  # their Authorization
        self.key: str | None = None  # where set, what /v1/models asks for
        self.left = threading.Event()  # a client left before its answer ended
        self.url = url
        self._answers: list[list[Step] | Response] = []

    def say(self, *steps: Step) -> None:
        self._answers.append(list(steps))

    def fail(self, status: int, message: str, headers: dict | None = None, **fields) -> None:
        error = {"message": message, "type": "error", "param": None, "code": None, **fields}
        self._answers.append(JSONResponse({"error": error}, status, headers))

    async def models(self, request: Request) -> Response:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return JSONResponse({"error": {"message": "no such key"}}, 401)
        names = ["deepseek-chat", "deepseek-other"]
        data = [{"id": name, "object": "model", "pricing": PRICING} for name in names]
        return JSONResponse({"object": "list", "data": data})

    async def chat(self, request: Request) -> Response:
        self.bodies.append(await request.json())
        self.keys.append(request.headers.get("authorization"))
        answer = self._answers.pop(0) if self._answers else text("Hello.")
        if isinstance(answer, Response):
            return answer
        return StreamingResponse(self._stream(answer), media_type="text/event-stream")

    async def _stream(self, steps: list[Step]) -> AsyncIterator[str]:
        complete = False
        try:
            yield ": keep-alive\n\n"
            for step in steps:
                if isinstance(step, dict):
                    yield f"data: {json.dumps(step)}\n\n"
                    continue
                while not step.is_set():
                    await asyncio.sleep(0.01)
            yield "data: [DONE]\n\n"
            complete = True
        finally:
            if not complete:
                self.left.set()


@contextlib.contextmanager
def running(server: PageServer) -> Iterator[PageServer]:
    """The server on a free port of 127.0.0.1, in a thread, at `server.url`."""
    routes = [
        *page_routes(),
        Route("/v1/models", server.models),
        Route("/v1/chat/completions", server.chat, methods=["POST"]),
    ]
    # Scripts that wait are left behind.
    with http_server(Starlette(routes=routes), timeout_graceful_shutdown=1) as url:
        server.url = f"{url}/"
        yield server
