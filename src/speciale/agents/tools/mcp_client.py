"""The tools of any MCP server as an Environment: by command or URL, over the official SDK.

A connection lives in a task of its own, since the SDK's contexts must be left by the task that
entered them. Where the server hangs, dies or talks nonsense the call is a failed Result, and the
next call connects again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from speciale.agents.calls import clipped
from speciale.agents.tools.functions import Tool
from speciale.agents.tools.mcp_transport import Server, streams
from speciale.errors import ConfigError
from speciale.tasks.environment import Result

log = logging.getLogger(__name__)
# What the SDK has to say about a server that went away is in our results.
logging.getLogger("mcp").addHandler(logging.NullHandler())

CONNECT_S = 60.0  # a package runner may have to fetch the server first
CALL_S = 100.0
PING_S = 5.0
MOST_PAGES = 100  # of a list of tools


@asynccontextmanager
async def mcp_tools(server: Server, call_s: float = CALL_S) -> AsyncIterator[McpTools]:
    """The server's tools; ConfigError where it cannot be reached."""
    tools = McpTools(server, call_s)
    try:
        try:
            await tools.connect()
        except _Unreachable as error:
            raise ConfigError(f"{error}\n{tools.last_words}".strip()) from error
        yield tools
    finally:
        await tools.close()


class _Unreachable(Exception):
    pass


class McpTools:
    """Made by mcp_tools."""

    def __init__(self, server: Server, call_s: float) -> None:
        self._server, self._call_s = server, call_s
        self.name = "mcp"  # as the server calls itself
        self.tools: Sequence[Tool] = []
        self._named: dict[str, str] = {}  # our name of a tool -> the server's
        self._session: Any = None
        self._suspect = False  # something went wrong: asked whether it lives before the next call
        self._why = ""  # the server ended
        self.last_words = ""  # of it, for the user alone: there may be secrets in them
        self._lock = asyncio.Lock()
        self._holding: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()
        self._listing: asyncio.Task[None] | None = None

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        try:
            async with self._lock:
                await self._alive()
        except _Unreachable:
            words = f"The server {self.name} is gone and cannot be reached."
            return Result(f"{words} The next call tries again.", error=True)
        if name not in self._named:
            return Result(f"the server has no tool {name!r} any more", error=True)
        try:
            async with asyncio.timeout(self._call_s):
                said = await self._session.call_tool(self._named[name], dict(arguments))
        except TimeoutError:
            self._suspect = True
            return Result(f"{name} did not answer within {self._call_s:g} s.", error=True)
        except Exception as error:  # the SDK's, pydantic's and the transport's, of many kinds
            self._suspect = True
            if self._why:
                words = f"The server {self.name} is gone: {self._why}."
                return Result(f"{words} The next call starts it again.", error=True)
            return Result(clipped(f"{name} failed: {_words(error)}"), error=True)
        return result_of(said.model_dump(mode="json", by_alias=True))

    async def _alive(self) -> None:
        """Connects where there is no connection, or one that does not answer any more."""
        if self._holding is not None and not self._holding.done() and not self._why:
            if not self._suspect:
                return
            try:
                async with asyncio.timeout(PING_S):
                    await self._session.send_ping()
                self._suspect = False
                return
            except Exception as error:
                log.info("%s does not answer (%s) and is connected to again", self._server, error)
        await self.close()
        await self.connect()

    async def connect(self) -> None:
        """Opens the connection, or _Unreachable says why not."""
        self._suspect, self._why, self.last_words = False, "", ""
        self._leave, self._session = asyncio.Event(), None
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._holding = asyncio.create_task(self._hold(ready, self._leave))
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.shield(ready)
        except TimeoutError:
            await self.close()
            raise _Unreachable(
                f"the MCP server {self._server} did not answer within {CONNECT_S:g} s"
            ) from None
        except Exception as error:
            await self.close()
            why = self._why or _words(error)
            raise _Unreachable(f"the MCP server {self._server} cannot be used: {why}") from error

    async def _hold(self, ready: asyncio.Future[None], leave: asyncio.Event) -> None:
        from mcp import ClientSession

        try:
            async with (
                streams(self._server, self._ended) as (read, write),
                ClientSession(read, write, message_handler=self._heard) as session,
            ):
                await self._greet(session)
                self._session = session
                await self._list()
                ready.set_result(None)
                await leave.wait()
        except Exception as error:
            if not ready.done():
                ready.set_exception(error)
            else:
                self._ended(_words(error))
        finally:
            if not ready.done():
                ready.cancel()

    async def _greet(self, session: Any) -> None:
        try:
            about = await session.initialize()
        except Exception:
            # A server of the protocol's newest form need not know the handshake of the older ones.
            if not hasattr(session, "discover"):
                raise
            about = await session.discover()
        said = about.model_dump(mode="json", by_alias=True).get("serverInfo") or {}
        self.name = _plain(str(said.get("name") or "mcp"))

    def _ended(self, why: str, last_words: str = "") -> None:
        self._why = self._why or why
        self.last_words = self.last_words or last_words

    async def _heard(self, message: Any) -> None:
        """The SDK's message handler: servers say when their tools change."""
        method = getattr(getattr(message, "root", message), "method", None)
        if method == "notifications/tools/list_changed" and self._session is not None:
            self._listing = asyncio.create_task(self._list_again())

    async def _list_again(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._list()
        except Exception as error:  # the list of before stays
            log.info("the tools of %s cannot be listed again (%s)", self._server, _words(error))

    async def _list(self) -> None:
        from mcp.types import PaginatedRequestParams

        found, cursor = [], None
        for _ in range(MOST_PAGES):
            asked = PaginatedRequestParams(cursor=cursor) if cursor else None
            page = await self._session.list_tools(params=asked)
            found += [tool.model_dump(mode="json", by_alias=True) for tool in page.tools]
            cursor = page.model_dump(by_alias=True).get("nextCursor")
            if not cursor:
                break
        named: dict[str, str] = {}
        tools = []
        for tool in found:
            name, number = _plain(tool["name"]), 2
            while name in named:
                name, number = f"{_plain(tool['name'])[:60]}_{number}", number + 1
            named[name] = tool["name"]
            described = tool.get("description") or tool.get("title") or ""
            function = {"name": name, "description": described, "parameters": tool["inputSchema"]}
            tools.append({"type": "function", "function": function})
        self._named, self.tools = named, tools

    async def close(self) -> None:
        """Ends the connection, and a server that was started for it."""
        holding, self._holding = self._holding, None
        if self._listing is not None:
            self._listing.cancel()
        if holding is None:
            return
        self._leave.set()
        if self._session is None:  # it is still waiting for the server's first words
            holding.cancel()
        _, late = await asyncio.wait({holding}, timeout=10.0)
        if late:
            holding.cancel()
            await asyncio.wait({holding}, timeout=10.0)


def result_of(said: Mapping[str, Any]) -> Result:
    """A tools/call result as text. Structured content repeats the text, as a rule."""
    parts = [_part(block) for block in said.get("content") or ()]
    structured = said.get("structuredContent")
    if structured is not None and not any(b.get("type") == "text" for b in said["content"]):
        parts.insert(0, json.dumps(structured, ensure_ascii=False))
    text = "\n".join(parts) if parts else "(no output)"
    return Result(clipped(text), error=bool(said.get("isError")))


def _part(block: Mapping[str, Any]) -> str:
    kind = block.get("type")
    if kind == "text":
        return block["text"]
    if kind in ("image", "audio"):
        return _left_out(kind, block.get("mimeType"), block["data"])
    if kind == "resource_link":
        return f"[resource {block['uri']}: {block.get('description') or block.get('name')}]"
    if kind == "resource":
        inner = block["resource"]
        if "text" in inner:
            return f"[resource {inner['uri']}]\n{inner['text']}"
        return _left_out(f"resource {inner['uri']},", inner.get("mimeType"), inner.get("blob", ""))
    return f"[content of an unknown kind, {kind!r}]"


def _left_out(what: str, mime: str | None, data: str) -> str:
    size = len(data) * 3 // 4
    return f"[{what} {mime or ''} of about {size:,} bytes, which cannot be shown here]"


def _plain(name: str) -> str:
    """A name that OpenAI's API takes."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "tool"


def _words(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error) or type(error).__name__
