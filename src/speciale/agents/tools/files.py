"""Reading, writing, editing, listing and searching files of a session's /work.

Each call runs files_inside.py in the sandbox: nothing here touches a file of the host's.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from speciale.agents.calls import clipped
from speciale.agents.tools import files_inside
from speciale.agents.tools.functions import Functions, ToolError
from speciale.sandbox import Limits, Session, limit_named
from speciale.tasks.environment import Environment

SECONDS = 20.0  # of a call; a regular expression can take for ever

Count = Annotated[int, Field(ge=1)]


@asynccontextmanager
async def files_tools(session: Session, limits: Limits) -> AsyncIterator[Environment]:
    """The five tools over a session of the sandbox."""
    limits = replace(limits, wall_s=SECONDS)
    source = Path(files_inside.__file__).read_text("utf-8")

    async def ask(name: str, **arguments: Any) -> str:
        outcome = await session.run(
            ["python3", "-I", "-S", "-c", source],
            stdin=json.dumps({"name": name, "arguments": arguments}).encode(),
            limits=limits,
        )
        if outcome.stopped:
            raise ToolError(f"stopped by the limit on {limit_named(outcome.stopped, limits)}")
        try:
            said = json.loads(outcome.stdout)
            text, error = str(said["text"]), said["error"]
        except (ValueError, TypeError, KeyError) as problem:
            raise ToolError(
                f"failed: {outcome.stderr.decode(errors='replace')[-500:].strip()}"
            ) from problem
        if error:
            raise ToolError(clipped(text))
        return clipped(text)

    async def read_file(path: str, start_line: Count = 1, lines: Count = files_inside.LINES) -> str:
        """Read lines of a text file.

        Args:
            path: Path in /work.
            start_line: The first line; lines are counted from 1.
            lines: How many at most.
        """
        return await ask("read_file", path=path, start_line=start_line, lines=lines)

    async def write_file(path: str, content: str) -> str:
        """Write a text file, in place of one that is there. Missing folders are made.

        Args:
            path: Path in /work.
            content: All of the text.
        """
        return await ask("write_file", path=path, content=content)

    async def edit_file(path: str, old: str, new: str) -> str:
        """Replace a piece of text in a file.

        Args:
            path: Path in /work.
            old: What stands there, exactly and only once in the file.
            new: What shall stand there.
        """
        return await ask("edit_file", path=path, old=old, new=new)

    async def list_files(path: str = ".") -> str:
        """List a folder and all below it, with sizes.

        Args:
            path: Path in /work.
        """
        return await ask("list_files", path=path)

    async def find_in_files(pattern: str, path: str = ".") -> str:
        """Find lines of text files that match a regular expression.

        Args:
            pattern: As Python's re.search takes it, such as `def \\w+_test|TODO`.
            path: A folder, or one file, in /work.
        """
        return await ask("find_in_files", pattern=pattern, path=path)

    yield Functions([read_file, write_file, edit_file, list_files, find_in_files])
