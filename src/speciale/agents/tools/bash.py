"""`bash(command)`: one command line after another in the sandbox, over the same /work.

Each has a shell of its own (bash -c); what it left running is killed, what it wrote to files stays.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from speciale.agents.calls import clipped
from speciale.agents.tools.functions import Functions, ToolError
from speciale.sandbox import Limits, Session, limit_named
from speciale.tasks.environment import Environment

# Both streams as one, in the order of writing, as in a terminal.
SHELL = ("bash", "-c", 'exec 2>&1; eval "$1"', "bash")


@asynccontextmanager
async def bash_tools(session: Session, limits: Limits) -> AsyncIterator[Environment]:
    """The tool over a session of the sandbox."""

    async def bash(command: str) -> str:
        # An argument that execve(2) cannot take.
        if "\0" in command:
            raise ToolError("the command holds a NUL character, which no shell can be given")
        if len(command.encode("utf-8", "replace")) > 100_000:
            raise ToolError("the command is longer than 100,000 bytes: write it to a file first")
        outcome = await session.run([*SHELL, command], limits=limits)
        said = (outcome.stdout + outcome.stderr).decode(errors="replace")
        text = clipped(said.rstrip("\n"))
        if outcome.stopped:
            text += f"\n(stopped by the limit on {limit_named(outcome.stopped, limits)})"
        elif outcome.exit_code:
            text += f"\n(exit code {outcome.exit_code})"
        if outcome.stopped or outcome.exit_code:
            raise ToolError(text.lstrip("\n"))
        return text or "(no output)"

    bash.__doc__ = f"""Run a command line in bash and return what it wrote, and its exit code if
    that is not 0.

    Files in /work, the current folder, last from call to call; shell variables, the current folder
    and background processes do not. A call may take {limits.wall_s:g} seconds; there is no network.

    Args:
        command: A command line, or a script of several lines.
    """
    yield Functions([bash])
