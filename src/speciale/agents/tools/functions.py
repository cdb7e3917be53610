"""Tools from coroutine functions, and several sets of tools as one.

A function's signature and docstring are its JSON schema and description (chat/functions.py); what
it returns is the result, and ToolError is how it says that it failed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from speciale.chat import function_tool
from speciale.errors import ConfigError
from speciale.tasks.environment import Environment, Result

Tool = Mapping[str, Any]


class ToolError(Exception):
    """A call that failed; its text is what the model reads."""


class Functions:
    """Coroutine functions as an Environment. `tools` may be a part of a larger description."""

    def __init__(self, functions: Sequence[Callable[..., Awaitable[str]]]) -> None:
        self._functions = {function.__name__: function for function in functions}
        self.tools: Sequence[Tool] = [function_tool(function) for function in functions]

    def describe(self, name: str, more: str) -> None:
        """Adds a sentence to the description of a tool."""
        for tool in self.tools:
            if tool["function"]["name"] == name:
                tool["function"]["description"] += f" {more}"

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        # JSON can write half a surrogate pair, which no file, pipe or program takes.
        whole = {
            key: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
            for key, value in arguments.items()
        }
        try:
            return Result(await self._functions[name](**whole))
        except ToolError as error:
            return Result(str(error), error=True)


class Combined:
    """Environments as one. A name that two of them have is an error at the start; a tool that one
    gets later under a name that is taken stays hidden behind the first."""

    def __init__(self, environments: Sequence[Environment]) -> None:
        self._environments = environments
        seen: set[str] = set()
        for environment in environments:
            names = tool_names(environment)
            if both := sorted(names & seen):
                raise ConfigError(
                    f"two sets of tools have a tool {both[0]!r}: leave one of the sets out"
                )
            seen |= names

    @property
    def tools(self) -> Sequence[Tool]:
        found: dict[str, Tool] = {}
        for environment in self._environments:
            for tool in environment.tools:
                found.setdefault(tool["function"]["name"], tool)
        return list(found.values())

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        for environment in self._environments:
            if name in tool_names(environment):
                return await environment.call(name, arguments)
        return Result(f"there is no tool {name!r}", error=True)


class Prefixed:
    """An Environment whose tools are called PREFIX_name."""

    def __init__(self, environment: Environment, prefix: str) -> None:
        self._environment, self._prefix = environment, f"{prefix}_"

    @property
    def tools(self) -> Sequence[Tool]:
        return [
            {**tool, "function": {**tool["function"], "name": self._prefix + name}}
            for tool in self._environment.tools
            for name in [tool["function"]["name"]]
        ]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        return await self._environment.call(name.removeprefix(self._prefix), arguments)


def tool_names(environment: Environment) -> set[str]:
    return {tool["function"]["name"] for tool in environment.tools}
