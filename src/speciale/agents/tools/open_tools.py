"""A set of tools from a line: `python,bash,files,search:DIR,mcp:COMMAND_OR_URL`.

What runs generated code shares one session of the sandbox, so that python finds what bash wrote.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from speciale.agents.tools.functions import Combined, Prefixed, tool_names
from speciale.errors import ConfigError
from speciale.sandbox import Limits, Sandbox, Session, default_sandbox
from speciale.tasks.environment import Environment

IN_SANDBOX = ("python", "bash", "files")
KINDS = "python, bash, files, search:DIR, mcp:COMMAND_OR_URL"

# A comma may also be part of a command: only one before the name of a kind divides.
_DIVIDES = re.compile(r",(?=\s*(?:(?:python|bash|files)\s*(?:,|$)|(?:search|mcp):))")


@asynccontextmanager
async def open_tools(
    spec: str | Sequence[str],
    sandbox: Sandbox | None = None,
    files: Mapping[str, str] | None = None,
) -> AsyncIterator[Environment]:
    """Opens the tools of `spec`, a line or its parts. Two sets with a tool of one name: those of
    the later set are called after their folder or server. `files` (path below /work -> text) lie
    in the sandbox before. ConfigError names the part at fault."""
    parts = _DIVIDES.split(spec) if isinstance(spec, str) else spec
    parts = [part.strip() for part in parts]
    for part in parts:
        kind, _, about = part.partition(":")
        if part not in IN_SANDBOX and not (kind in ("search", "mcp") and about.strip()):
            raise ConfigError(f"there are no tools {part!r}: give some of {KINDS}")
        if parts.count(part) > 1:
            raise ConfigError(f"the tools {part!r} are there twice: give them once")
    if not parts:
        raise ConfigError(f"no tools are named: give some of {KINDS}")
    async with AsyncExitStack() as stack:
        session, limits = None, Limits()
        if set(parts) & set(IN_SANDBOX):
            sandbox = sandbox or default_sandbox()
            limits = sandbox.limits
            session = await stack.enter_async_context(sandbox.session())
            for path, text in (files or {}).items():
                await session.write(path, text.encode())
        elif files:
            need = ", ".join(IN_SANDBOX)
            raise ConfigError(f"files need a sandbox to lie in: give one of {need}")
        opened: list[Environment] = []
        for part in parts:
            kind, _, about = part.partition(":")
            try:
                tools = await stack.enter_async_context(_set(kind, about.strip(), session, limits))
            except ConfigError as error:
                # A server's settings may be secrets.
                raise ConfigError(f"{kind if kind == 'mcp' else part}: {error}") from error
            taken = {name for one in opened for name in tool_names(one)}
            name = tools.name if kind == "mcp" else Path(about).expanduser().resolve().name
            opened.append(_apart(tools, re.sub(r"\W", "_", name)[:30] or kind, taken))
        yield Combined(opened)


def _apart(tools: Environment, name: str, taken: set[str]) -> Environment:
    """The set, its tools called after `name` where they would take another's name."""
    apart, number = tools, 2
    while tool_names(apart) & taken:
        apart = Prefixed(tools, name)
        name, number = f"{name.removesuffix(f'_{number - 1}')}_{number}", number + 1
    return apart


def _set(kind: str, about: str, session: Session, limits: Limits) -> AbstractAsyncContextManager:
    """Imports no more than what the kind needs."""
    if kind == "python":
        from speciale.agents.tools.python import python_tools

        return python_tools(session, limits)
    if kind == "bash":
        from speciale.agents.tools.bash import bash_tools

        return bash_tools(session, limits)
    if kind == "files":
        from speciale.agents.tools.files import files_tools

        return files_tools(session, limits)
    if kind == "search":
        from speciale.agents.tools.search import search_tools

        return search_tools(about)
    from speciale.agents.tools.mcp_client import mcp_tools
    from speciale.agents.tools.mcp_transport import read_server

    return mcp_tools(read_server(about, os.environ))
