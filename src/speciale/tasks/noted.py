"""Tools that nobody runs: for tasks that end with the calls and judge those."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from speciale.tasks.environment import Environment, Result


class _Noted:
    def __init__(self, tools: Sequence[Mapping[str, Any]]) -> None:
        self.tools = tools

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        return Result("The call was noted. It gives no result.")


def noted(
    tools: Sequence[Mapping[str, Any]],
) -> Callable[[], AbstractAsyncContextManager[Environment]]:
    """What `Task.open` is, for OpenAI's function tools."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Environment]:
        yield _Noted(tools)

    return opened
