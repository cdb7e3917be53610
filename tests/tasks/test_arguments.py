"""Arguments are held to a tool's schema, and what is wrong is a sentence."""

import pytest

from speciale.chat import function_tool
from speciale.tasks.arguments import argument_faults


def book(city: str, nights: int, people: list[str] | None = None) -> str:
    """Books a hotel."""


TOOL = function_tool(book)
RIGHT = {"city": "Rome", "nights": 2}


@pytest.mark.parametrize("more", [{}, {"people": ["Ann"]}, {"people": None}])
def test_what_fits(more):
    assert argument_faults(TOOL, RIGHT | more) == []


WRONG = [
    ({}, "'city' is a required property."),
    (RIGHT | {"nights": "two"}, "The argument 'nights': 'two' is not of type 'integer'."),
    (RIGHT | {"nights": 1.5}, "The argument 'nights': 1.5 is not of type 'integer'."),
    (RIGHT | {"people": [1]}, "The argument 'people'"),
    (RIGHT | {"stars": 4}, "It takes no 'stars', but city, nights, people."),
    ([1], "The arguments are [1]: give an object."),
    ("x" * 100, "The arguments are"),
]


@pytest.mark.parametrize("place", range(len(WRONG)))
def test_what_does_not_fit(place):
    values, words = WRONG[place]
    faults = argument_faults(TOOL, values)
    assert any(words in fault for fault in faults), faults
    assert all(len(fault) < 400 for fault in faults)


def test_a_schema_may_allow_more():
    parameters = TOOL["function"]["parameters"] | {"additionalProperties": True}
    open_tool = {"type": "function", "function": TOOL["function"] | {"parameters": parameters}}
    assert argument_faults(open_tool, RIGHT | {"stars": 4}) == []


@pytest.mark.parametrize("schema", [{"type": "banana"}, {}, None, {"type": "object"}])
def test_a_schema_that_says_nothing_binds_nobody(schema):
    assert argument_faults({"function": {"name": "f", "parameters": schema}}, {"x": 1}) == []
