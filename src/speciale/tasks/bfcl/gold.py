"""The right calls of a case, as a model would make them: BFCL's own, or one of those it allows.

Multi-turn answers are Python calls, read as syntax and never run; single-turn answers list the
values that each argument may have, where "" means that it may be left out.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from speciale.tasks.bfcl.calls import Call
from speciale.tasks.bfcl.data import Json
from speciale.tasks.bfcl.schemas import tool_name


def spoken_turns(turns: Iterable[Sequence[str]], documents: Iterable[Json]) -> list[list[Call]]:
    """The calls of each turn out of Python texts such as "sort('a.txt')"."""
    places = {one["name"]: list(one["parameters"]["properties"]) for one in documents}
    return [[_spoken(text, places) for text in turn] for turn in turns]


def _spoken(text: str, places: Mapping[str, list[str]]) -> Call:
    call = ast.parse(text.strip(), mode="eval").body
    assert isinstance(call, ast.Call) and isinstance(call.func, ast.Name), text
    values = zip(places[call.func.id], call.args)
    arguments = {name: ast.literal_eval(value) for name, value in values}
    for keyword in call.keywords:
        assert keyword.arg, text
        arguments[keyword.arg] = ast.literal_eval(keyword.value)
    return {"name": call.func.id, "arguments": arguments}


def allowed_calls(answer: Iterable[Json], documents: Iterable[Json], language: str) -> list[Call]:
    """One call for each of a single-turn answer, with the first value allowed for each argument."""
    by_name = {one["name"]: one["parameters"] for one in documents}
    calls = []
    for one in answer:
        ((name, allowed),) = one.items()
        schema = by_name[name]
        arguments = {}
        for key, values in allowed.items():
            parameter = schema["properties"].get(key)
            needed = key in schema["required"] or "" not in values
            if needed or (parameter and any(value != "" for value in values)):
                value = _first(values)
                if language == "java":
                    value = _java(value, parameter)
                elif language == "javascript":
                    value = _javascript(value)
                arguments[key] = value
        calls.append({"name": tool_name(name), "arguments": arguments})
    return calls


def _first(values: Any) -> Any:
    """The first value that is not "", with the choices inside of it made as well."""
    if not isinstance(values, list):  # a field of an object that leaves no choice
        return values
    real = [value for value in values if value != ""]
    return _filled(real[0]) if real else ""


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _first(inner) for key, inner in value.items() if _first(inner) != ""}
    if isinstance(value, list):
        return [_filled(inner) for inner in value]
    return value


def _java(value: Any, parameter: Json) -> str:
    """The literal that BFCL's reader of Java takes for `value`."""
    kind, inner = parameter["type"], parameter.get("items", {})
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        puts = " ".join(f"put({json.dumps(key)}, {json.dumps(one)});" for key, one in value.items())
        return f"new HashMap<String, Object>() {{{{ {puts} }}}}"
    if isinstance(value, list) and kind == "ArrayList":
        quoted = ", ".join(
            json.dumps(one) if isinstance(one, str) else _java(one, inner) for one in value
        )
        return f"new ArrayList<Object>(Arrays.asList({quoted}))"
    if isinstance(value, list):  # its reader of arrays would keep the quotes of text
        return f"new Object[]{{{', '.join(_java(one, inner) for one in value)}}}"
    return f"{value}L" if kind == "long" else str(value)


def _javascript(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
