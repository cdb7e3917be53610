"""Messages and environments for the tests of agents."""

import asyncio
import json

from speciale.chat import function_tool
from speciale.tasks.environment import Result


def call(name, **arguments):
    return {
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)},
    }


def says(content="", thinking="", calls=()):
    message = {"role": "assistant", "content": content}
    if thinking:
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = list(calls)
    return message


def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return str(a + b)


def slow(seconds: float) -> str:
    """Answers after a while."""
    raise NotImplementedError


class Desk:
    """An environment with tools that behave and one each that does not."""

    def __init__(self):
        self.called = []
        self.tools = [function_tool(add), function_tool(slow)]
        self._met = asyncio.Event()
        for name in ("flood", "crash", "stubborn", "meet", "half"):
            self.tools.append(
                {
                    "type": "function",
                    "function": {
                        "name": name,
                        "description": name,
                        "parameters": {"type": "object", "properties": {}},
                    },
                }
            )

    async def call(self, name, arguments):
        self.called.append((name, dict(arguments)))
        if name == "add":
            return Result(add(**arguments))
        if name == "slow":
            await asyncio.sleep(arguments["seconds"])
            return Result(f"waited {arguments['seconds']}")
        if name == "meet":  # the first one waits for the second one
            if self.called.count(("meet", {})) == 1:
                await self._met.wait()
                return Result("first")
            self._met.set()
            return Result("second")
        if name == "flood":
            return Result("x" * 100_000_000)
        if name == "half":
            return Result("half a pair: \ud800")
        if name == "stubborn":
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    await asyncio.sleep(60)
        raise ValueError("the tool broke")
