"""The seam between an agent and what it acts on: tools with JSON schemas, and calls to them.

A task's own world (BFCL's file system, a synthesised shop), our tools (agents/tools) and any MCP
server are all an `Environment`; the loop (agents/loop.py) knows nothing else of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Message = dict[str, Any]  # in OpenAI's form


@dataclass(frozen=True)
class Result:
    """What a call gave, as the model reads it. `error`: the call failed, and the text says why."""

    text: str
    error: bool = False


class Environment(Protocol):
    """Open while a task is worked on. Whoever makes one also says how it is closed: makers are
    async context managers."""

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """OpenAI's function tools, as they are when the agent begins. Those that come with a later
        user turn are in its Turn; `call` takes them too."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """Calls a tool that was declared, with arguments that fit its schema (the loop checked).
        Calls of one message come side by side; who cannot have that takes one after the other.

        What goes wrong is a Result with `error`; an exception is a fault of the environment, which
        the loop turns into one as well.
        """
        ...
