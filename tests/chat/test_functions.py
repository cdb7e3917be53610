"""Tools from Python functions: what a model is told, and what it is not."""

import enum
import json
import math
import re
from dataclasses import dataclass
from typing import Annotated, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from speciale.chat import ChatFormatError, encode_request, function_tool


class Unit(enum.Enum):
    celsius = "C"
    fahrenheit = "F"


@dataclass
class Place:
    city: str
    title: str = "home"


def weather(
    place: Place,
    days: Annotated[int, Field(description="How many.", ge=1)],
    unit: Unit = Unit.celsius,
    detail: Literal["low", "high"] = "low",
    notes: Optional[list[str]] = None,  # noqa: UP045
    extra=None,
):
    """Forecast the weather.

    Only for places on land.

    Args:
        place: Where.
        days: Not this text.
        detail: How much to say.

    Returns:
        A forecast.
    """


def test_a_whole_function():
    tool = function_tool(weather)
    assert tool["type"] == "function"
    function = tool["function"]
    assert list(function) == ["name", "description", "parameters"]
    assert function["name"] == "weather"
    assert function["description"] == "Forecast the weather.\n\nOnly for places on land."
    parameters = function["parameters"]
    assert list(parameters) == ["type", "properties", "required", "$defs"]
    assert parameters["required"] == ["place", "days"]
    properties = parameters["properties"]
    assert list(properties) == ["place", "days", "unit", "detail", "notes", "extra"]
    assert properties["days"] == {"type": "integer", "minimum": 1, "description": "How many."}
    assert properties["place"] == {"$ref": "#/$defs/Place", "description": "Where."}
    assert parameters["$defs"]["Place"]["properties"]["title"] == {
        "type": "string",
        "default": "home",
    }
    assert parameters["$defs"]["Unit"] == {"enum": ["C", "F"], "type": "string"}
    assert properties["detail"]["enum"] == ["low", "high"]
    assert properties["detail"]["default"] == "low"
    assert properties["notes"]["anyOf"][0] == {"type": "array", "items": {"type": "string"}}
    assert properties["extra"] == {"default": None}
    json.dumps(tool)


@pytest.mark.parametrize(
    "doc",
    [
        "Add.\n\nArgs:\n    a: first",
        "Add.\n\nParameters\n----------\na : int\n    first",
        "Add.\n\n:param a: first",
    ],
    ids=["google", "numpy", "rest"],
)
def test_styles_of_docstrings(doc):
    def add(a: int):
        pass

    add.__doc__ = doc
    function = function_tool(add)["function"]
    assert function["description"] == "Add."
    assert function["parameters"]["properties"]["a"]["description"] == "first"


def test_methods_and_coroutines_and_no_docstring():
    class Shop:
        async def buy(self, item: "str"): ...

    function = function_tool(Shop().buy)["function"]
    assert (function["name"], function["description"]) == ("buy", "")
    assert function["parameters"] == {
        "type": "object",
        "properties": {"item": {"type": "string"}},
        "required": ["item"],
    }


def test_a_summary_of_two_lines_and_parameters_described_together():
    def add(x: int, y: int):
        """Add two numbers
        of any size.

        Slowly.

        Parameters
        ----------
        x, y : int
            A number.
        """

    function = function_tool(add)["function"]
    assert function["description"] == "Add two numbers\nof any size.\n\nSlowly."
    properties = function["parameters"]["properties"]
    assert [properties[key]["description"] for key in "xy"] == ["A number."] * 2


def test_defaults_are_json_and_copies():
    given = {"title": "kept"}

    @dataclass
    class Options:
        layout: Annotated[dict, Field(default={"title": "kept"})]

    def draw(a: dict = given, b: tuple = (1,), c: float = math.nan, d: Options = Options): ...

    parameters = function_tool(draw)["function"]["parameters"]
    properties = parameters["properties"]
    assert properties["a"]["default"] == given and properties["a"]["default"] is not given
    assert properties["b"]["default"] == [1]
    assert "default" not in properties["c"] and "default" not in properties["d"]
    assert parameters["required"] == []
    assert parameters["$defs"]["Options"]["properties"]["layout"]["default"] == given


def test_what_it_returns_may_have_an_unknown_type():
    def load(path: "str") -> "Frame": ...  # noqa: F821

    assert function_tool(load)["function"]["parameters"]["required"] == ["path"]


class Tree(BaseModel):
    branches: "list[Tree]" = []


def test_definitions_are_found_inside_of_parameters():
    def climb(tree: Tree, places: list[Place], units: dict[str, Unit | None]): ...

    parameters = function_tool(climb)["function"]["parameters"]
    found = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(parameters)))
    assert found == {f"#/$defs/{name}" for name in parameters["$defs"]}
    assert set(parameters["$defs"]) == {"Tree", "Place", "Unit"}


def test_two_types_of_one_name_stay_two():
    def made():
        @dataclass
        class Place:
            country: str

        return Place

    def go(a: Place, b: made()): ...

    parameters = function_tool(go)["function"]["parameters"]
    assert parameters["properties"]["a"]["$ref"] != parameters["properties"]["b"]["$ref"]
    assert len(parameters["$defs"]) == 2


def positional(a, /): ...
def several(*a): ...
def any_name(**a): ...
def untypable(a: type(lambda: 0)): ...
def unknown(a: "Nowhere"): ...  # noqa: F821
def no_type(a: "1 +"): ...  # noqa: F722
def bad_pattern(a: Annotated[str, Field(pattern="(")]): ...


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (positional, "'a' of positional is positional only"),
        (several, "takes any number"),
        (any_name, "takes any name"),
        (untypable, "'a' of untypable has the type"),
        (unknown, "'a' of unknown has the type 'Nowhere', which cannot be read"),
        (no_type, "'a' of no_type has the type"),
        (bad_pattern, "'a' of bad_pattern has the type"),
        (Place, "Place is a class"),
        (dict.fromkeys, "fromkeys is positional only"),
        (lambda a: a, "has no name"),
        (3, "has no name"),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_what_cannot_be_a_tool(function, problem):
    with pytest.raises(ChatFormatError, match=problem):
        function_tool(function)


def test_a_tool_goes_into_a_prompt():
    request = {"messages": [{"role": "user", "content": "q"}], "tools": [function_tool(weather)]}
    line = encode_request(request).text.split("<functions>\n")[1].split("\n</functions>")[0]
    assert json.loads(line) == function_tool(weather)["function"]
