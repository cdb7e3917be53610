"""Upstreams for tests: real HTTP servers on 127.0.0.1, good ones and all kinds of bad ones.

`Upstream` writes raw HTTP/1.1 with asyncio, so that it can stall, break off and lie in any byte.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from speciale.chat import encode_request
from speciale.serve.backends.seam import Job

Write = Callable[[bytes], Awaitable[None]]
Script = Callable[["Upstream", dict[str, Any], Write], Awaitable[None]]


class Upstream:
    """What it was asked is in `bodies` and `heads`; `gone` is set when a client leaves early."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.heads: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.health = 200
        self.health_delay_s = 0.0
        self.gone = asyncio.Event()
        self.tasks: set[asyncio.Task] = set()  # one for each connection
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(asyncio.current_task())
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("GET "):
            await asyncio.sleep(self.health_delay_s)
            writer.write(f"HTTP/1.1 {self.health} X\r\ncontent-length: 2\r\n\r\n{{}}".encode())
            await writer.drain()
            return True
        self.heads.append(head)
        fields = (line.split(":", 1) for line in head.lower().splitlines() if ":" in line)
        length = int(dict(fields)["content-length"])
        self.bodies.append(json.loads(await reader.readexactly(length)))

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        script = asyncio.create_task(self._script(self, self.bodies[-1], write))
        left = asyncio.create_task(reader.read(1))
        done, _ = await asyncio.wait([script, left], return_when=asyncio.FIRST_COMPLETED)
        if left in done and script not in done:
            self.gone.set()
        for task in (script, left):
            task.cancel()
        await asyncio.wait([script, left])
        if not script.cancelled() and script.exception():
            raise script.exception()
        return False


@asynccontextmanager
async def serving(*scripts: Script) -> AsyncIterator[list[Upstream]]:
    """One server for each script."""
    upstreams = [Upstream(script) for script in scripts]
    servers = []
    for upstream in upstreams:
        server = await asyncio.start_server(upstream.answer, "127.0.0.1", 0)
        upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        servers.append(server)
    try:
        yield upstreams
    finally:
        for server, upstream in zip(servers, upstreams):
            server.close()
            for task in upstream.tasks:
                task.cancel()
            while upstream.tasks:
                await asyncio.sleep(0)


# ---- what they answer ---------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def chat_chunk(
    content: str | None = None, *, finish: str | None = None, index: int = 0, **delta: Any
) -> bytes:
    delta = {"content": content, **delta} if content is not None else delta
    return event({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def text_chunk(text: str, *, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choice = {"index": index, "text": text, "finish_reason": finish}
    return event({"choices": [choice | more]})


def usage(prompt: int, completion: int, **more: Any) -> bytes:
    figures = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    return event({"choices": [], "usage": figures})


def streams(*parts: bytes | str) -> Script:
    """Answers with these bytes as an event stream; a text is a chunk of content."""

    async def script(upstream: Upstream, body: dict[str, Any], write: Write) -> None:
        await write(HEAD)
        for part in parts:
            await write(chat_chunk(part) if isinstance(part, str) else part)
            await asyncio.sleep(0)

    return script


def stalls(*parts: bytes | str) -> Script:
    """Sends these and then nothing, for ever."""

    async def script(upstream: Upstream, body: dict[str, Any], write: Write) -> None:
        await streams(*parts)(upstream, body, write)
        await asyncio.Event().wait()

    return script


def says(status: int, body: Any = None, headers: Iterable[str] = ()) -> Script:
    """Answers with a status and no stream."""

    async def script(upstream: Upstream, _: dict[str, Any], write: Write) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", "content-type: application/json",
                 f"content-length: {len(data)}", "connection: close", *headers]  # fmt: skip
        await write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    return script


async def silent(upstream: Upstream, body: dict[str, Any], write: Write) -> None:
    """Takes the request and never answers."""
    await asyncio.Event().wait()


GOOD = streams(
    chat_chunk(role="assistant"), "Hello", " world", chat_chunk(finish="stop"),
    usage(11, 2), DONE,
)  # fmt: skip


# ---- what they are asked ------------------------------------------------------------------------


def chat_job(text: str = "Hi", *, thinking: bool = False, ids: list[int] | None = None,
             messages: list[dict] | None = None, **body: Any) -> Job:  # fmt: skip
    messages = messages or [{"role": "user", "content": text}]
    switch = {"type": "enabled" if thinking else "disabled"}
    body = {"model": "m", "messages": messages, "thinking": switch, **body}
    return Job("job", "m", True, body, thinking, encode_request(body), None, ids, 100)


def text_job(text: str, ids: list[int] | None = None, **body: Any) -> Job:
    body = {"model": "m", "prompt": text, **body}
    return Job("job", "m", False, body, False, None, text, ids, 100)
