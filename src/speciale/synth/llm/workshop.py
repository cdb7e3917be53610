"""The sandbox that a model works in: bash, python and files over one session that stays open.

What it wrote is read out by names that we know, and no others, each up to a size; nothing of it is
run or believed on this side of the wall (V3.2 report, 3.2.3: a sandbox with bash and search).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from speciale.agents.tools.bash import bash_tools
from speciale.agents.tools.files import files_tools
from speciale.agents.tools.functions import Combined
from speciale.agents.tools.python import python_tools
from speciale.sandbox import Limits, Sandbox, SandboxError, Session
from speciale.synth.llm import trial
from speciale.tasks.environment import Environment, Result

# The only files that are ever read, with the most bytes of each.
SIZES = {
    "schema.sql": 200_000,
    "data.sqlite": 32 << 20,
    "tools.py": 200_000,
    "about.txt": 2_000,
    "task.json": 60_000,
    "solution.py": 60_000,
    "verify.py": 60_000,
}
_PATH = re.compile(r"(?:schema\.sql|data\.sqlite|tools\.py|about\.txt|"
                   r"tasks/\d{3}/(?:task\.json|solution\.py|verify\.py))", re.ASCII)  # fmt: skip


class Unreadable(Exception):
    """A file that should be there cannot be read; the text tells the model why."""


class Workshop:
    """Made by open_workshop."""

    def __init__(self, session: Session, tools: Environment) -> None:
        self._session, self.tools = session, tools

    async def read(self, path: str) -> bytes:
        """A file of /work. Unreadable where it is not there, is none or is too long; SandboxError
        where the sandbox itself is broken."""
        if not _PATH.fullmatch(path):
            raise ValueError(f"no file {path!r} is read")
        try:
            return await self._session.read(path, SIZES[path.rpartition("/")[2]])
        except SandboxError as error:
            await self._session.run(["true"])  # raises where it is the machine's fault
            raise Unreadable(f"/work/{path}: {error}") from None

    async def text(self, path: str) -> str:
        """The same as text: Unreadable for what is no UTF-8."""
        data = await self.read(path)
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise Unreadable(f"/work/{path} is no UTF-8: {error}") from None
        if "\0" in text:
            raise Unreadable(f"/work/{path} holds a NUL character: write it as plain text")
        return text

    async def put_back(self, path: str, data: bytes) -> None:
        """Writes a file as it was, if it was changed. Unreadable where it cannot be written."""
        try:
            if await self.read(path) == data:
                return
        except Unreadable:
            pass
        try:
            await self._session.write(path, data)
        except SandboxError as error:
            await self._session.run(["true"])
            raise Unreadable(f"/work/{path} was changed, and cannot be put back: {error}") from None


class Few:
    """Tools of which so many run at once: a model may write a hundred calls in one message."""

    def __init__(self, tools: Environment, most: int = 4) -> None:
        self._tools, self._room = tools, asyncio.Semaphore(most)

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        return self._tools.tools

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        async with self._room:
            return await self._tools.call(name, arguments)


@asynccontextmanager
async def open_workshop(
    sandbox: Sandbox, call_s: float, search: str | None = None
) -> AsyncIterator[Workshop]:
    """A fresh /work with try.py in it. call_s: the longest that a tool call may take, in seconds;
    search: a folder of texts or an index of them, for the search tools."""
    limits = Limits(cpu_s=2 * call_s, wall_s=call_s)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(sandbox.session(limits))
        await session.write("try.py", trial.SCRIPT)
        opened = [
            await stack.enter_async_context(tools(session, limits))
            for tools in (bash_tools, python_tools, files_tools)
        ]
        if search is not None:
            from speciale.agents.tools.search import search_tools

            opened.append(await stack.enter_async_context(search_tools(search)))
        yield Workshop(session, Few(Combined(opened)))
