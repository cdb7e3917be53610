"""How a server of the Model Context Protocol is reached: a program's pipes, or HTTP, each with a
bound on what one message may take.

MCP 2025-11-25, "Transports": lines of JSON on stdin and stdout, or Streamable HTTP. The official
SDK's own pipes gather a line of any length, in quadratic time, and its HTTP a body of any length.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import re
import shlex
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from speciale.errors import ConfigError

log = logging.getLogger(__name__)

MOST_BYTES = 16 << 20  # of a message
STOP_S = 2.0  # for a program to end after its stdin, then after SIGTERM
SAID = 2000  # bytes of a program's stderr that are kept
INHERITED = ("PATH", "HOME", "USER", "LANG", "TMPDIR")  # all that a program gets unasked

_SETTING = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=(.*)", re.DOTALL)
_ID = re.compile(rb'"id"\s*:\s*(\d+)')


@dataclass(frozen=True)
class Server:
    """A program and its words, or a URL; `settings` are environment variables or HTTP headers."""

    command: tuple[str, ...] = ()
    url: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)  # secrets, as a rule

    def __str__(self) -> str:
        return self.url or shlex.join(self.command)


def read_server(text: str, variables: Mapping[str, str]) -> Server:
    """`[NAME=VALUE …] COMMAND WORDS…` or `[NAME=VALUE …] URL`, as a shell would split it. A VALUE
    `$OTHER` is taken from `variables`, so that a secret stands in no command line. ConfigError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} cannot be split into words ({error})") from error
    settings = {}
    while words and (match := _SETTING.fullmatch(words[0])):
        name, value = match.groups()
        if value.startswith("$"):
            if value[1:] not in variables:
                raise ConfigError(f"{name} is to be {value}, but there is no such variable: set it")
            value = variables[value[1:]]
        settings[name] = value
        del words[0]
    if not words:
        raise ConfigError("no server is named: give a command or a URL")
    if re.match(r"https?://", words[0]):
        if len(words) > 1:
            raise ConfigError(f"{words[0]} is followed by {words[1]!r}: a URL stands alone")
        return Server(url=words[0], settings=settings)
    program = shutil.which(words[0], path=settings.get("PATH", variables.get("PATH")))
    if program is None:
        raise ConfigError(f"there is no program {words[0]!r}: install it, or give its path")
    return Server(command=(program, *words[1:]), settings=settings)


@asynccontextmanager
async def streams(
    server: Server, ended: Callable[[str, str], None]
) -> AsyncIterator[tuple[Any, Any]]:
    """What a ClientSession reads from and writes to. Where the server ends by itself, `ended` is
    told how, and its last words on stderr."""
    opened = _http(server) if server.url else _pipes(server, ended)
    async with opened as both:
        yield both


@asynccontextmanager
async def _http(server: Server) -> AsyncIterator[tuple[Any, Any]]:
    from mcp.client import streamable_http as sdk

    http = getattr(sdk, "httpx2", None) or sdk.httpx  # SDK 2 and 1

    class Bounded(http.AsyncHTTPTransport):
        async def handle_async_request(self, request: Any) -> Any:
            response = await super().handle_async_request(request)
            response.stream = Counted(response.stream)
            return response

    class Counted(http.AsyncByteStream):
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for piece in self._stream:
                # An event ends with an empty line; a body of JSON has none, or is bound all the
                # same by the piece that follows it.
                end = max(piece.rfind(b"\n\n"), piece.rfind(b"\r\n\r\n"))
                size = len(piece) - end if end >= 0 else size + len(piece)
                if size > MOST_BYTES:
                    raise http.ReadError(f"the answer is longer than {MOST_BYTES >> 20} MB")
                yield piece

        async def aclose(self) -> None:
            await self._stream.aclose()

    options: dict[str, Any] = {}
    if "max_sse_event_size" in inspect.signature(sdk.streamable_http_client).parameters:
        options["max_sse_event_size"] = MOST_BYTES
    timeout = http.Timeout(30.0, read=None)  # each call has a limit of its own
    async with (
        http.AsyncClient(transport=Bounded(), headers=server.settings, timeout=timeout) as client,
        sdk.streamable_http_client(server.url, http_client=client, **options) as (read, write, *_),
    ):
        yield read, write


@asynccontextmanager
async def _pipes(
    server: Server, ended: Callable[[str, str], None]
) -> AsyncIterator[tuple[Any, Any]]:
    import anyio
    from mcp.shared.message import SessionMessage

    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *server.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**inherited, **server.settings},
        start_new_session=True,
    )
    arrived, reads = anyio.create_memory_object_stream[Any](0)
    writes, leaving = anyio.create_memory_object_stream[Any](0)
    said = bytearray()

    async def read() -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with arrived:  # closed at the end, so that no call waits on
                async for line in lines(process.stdout):
                    if (message := _message(line)) is not None:
                        await arrived.send(SessionMessage(message))
                await asyncio.sleep(0.05)  # for its last words and its exit code
                code = process.returncode
                how = "it closed its output" if code is None else f"it ended with exit code {code}"
                ended(how, said.decode(errors="replace").strip())

    async def write() -> None:
        async with leaving:
            async for sent in leaving:
                line = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
                with suppress(OSError):  # the reader sees its end
                    process.stdin.write(line.encode() + b"\n")
                    await process.stdin.drain()

    async def listen() -> None:
        while piece := await process.stderr.read(65536):
            said.extend(piece)
            del said[:-SAID]

    tasks = [asyncio.create_task(work()) for work in (read, write, listen)]
    try:
        yield reads, writes
    finally:
        try:
            await _stop(process)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for end in (reads, writes, arrived, leaving):
                end.close()


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Its whole group, so that what a wrapper such as npx started ends as well."""
    process.stdin.close()
    for sign in (None, signal.SIGTERM, signal.SIGKILL):
        if sign is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()
                break
    with suppress(ProcessLookupError):  # what it left running
        os.killpg(process.pid, signal.SIGKILL)


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Of a line beyond the bound only a beginning, which says what it answers."""
    line, over = bytearray(), False
    while piece := await stream.read(1 << 16):
        *ends, rest = piece.split(b"\n")
        for end in ends:
            yield bytes(line) + (b"" if over else end)
            line, over = bytearray(), False
        if not over:
            line += rest
        if len(line) > MOST_BYTES:
            over = True
            del line[300:]


def _message(line: bytes) -> Any | None:
    """A message of the protocol; None for what is none, such as a log on the wrong stream."""
    from mcp.types import JSONRPCMessage
    from pydantic import TypeAdapter, ValidationError

    reader = TypeAdapter(JSONRPCMessage)
    with suppress(ValidationError):
        return reader.validate_json(line)
    # What was cut can still be answered for.
    if line.startswith(b"{") and (match := _ID.search(line)):
        words = f"the answer is no valid message, or longer than {MOST_BYTES >> 20} MB"
        error = {"code": -32603, "message": words}
        return reader.validate_python({"jsonrpc": "2.0", "id": int(match[1]), "error": error})
    log.debug("an MCP server wrote what is no message: %r", line[:200])
    return None
