"""Sets of tools: functions as tools, sets together, names that collide."""

import asyncio

import pytest

from speciale.agents.tools.functions import Combined, Functions, Prefixed, ToolError
from speciale.errors import ConfigError
from speciale.tasks.environment import Result


async def add(a: int, b: int = 1) -> str:
    """Add two numbers.

    Args:
        a: The first.
    """
    return str(a + b)


async def echo(text: str) -> str:
    return text


async def refuse() -> str:
    raise ToolError("not today")


def call(environment, name, **arguments):
    return asyncio.run(environment.call(name, arguments))


def names(environment):
    return [tool["function"]["name"] for tool in environment.tools]


def test_functions_are_tools():
    tools = Functions([add, refuse])
    function = tools.tools[0]["function"]
    assert function["description"] == "Add two numbers."
    assert function["parameters"]["required"] == ["a"]
    assert function["parameters"]["properties"]["a"]["description"] == "The first."
    assert call(tools, "add", a=2, b=3) == Result("5")
    assert call(tools, "add", a=2) == Result("3")
    assert call(tools, "refuse") == Result("not today", error=True)


def test_half_a_surrogate_pair_reaches_no_tool():
    assert call(Functions([echo]), "echo", text="a\ud800b") == Result("a?b")


def test_a_sentence_is_added_to_a_description():
    tools = Functions([add, echo])
    tools.describe("add", "Slowly.")
    assert tools.tools[0]["function"]["description"] == "Add two numbers. Slowly."
    assert tools.tools[1]["function"]["description"] == ""


def test_sets_together():
    both = Combined([Functions([add]), Functions([echo, refuse])])
    assert names(both) == ["add", "echo", "refuse"]
    assert call(both, "echo", text="x") == Result("x")
    assert call(both, "nothing").error


def test_a_name_in_two_sets():
    with pytest.raises(ConfigError, match="two sets of tools have a tool 'add'"):
        Combined([Functions([add]), Functions([echo, add])])
    both = Combined([Functions([add]), Prefixed(Functions([add]), "other")])
    assert names(both) == ["add", "other_add"]
    assert call(both, "other_add", a=1) == Result("2")


def test_a_tool_that_comes_later_does_not_take_a_name():
    first, growing = Functions([echo]), Functions([add])
    both = Combined([first, growing])

    async def loud(text: str) -> str:
        return text.upper()

    loud.__name__ = "echo"
    later = Functions([loud, refuse])
    growing.tools, growing._functions = later.tools, later._functions
    assert names(both) == ["echo", "refuse"]
    assert call(both, "echo", text="x") == Result("x")
