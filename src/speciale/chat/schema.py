"""Arguments fitted to a tool's schema where the model missed it: an option, never the default.
The format types each value itself (`string="true|false"`); some models and some clients do not
keep to it. What engines do unasked (vLLM coerces, SGLang unwraps) is done here only on request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

# One parameter of this name that the tool does not have: the model wrapped all arguments in it.
_WRAPPERS = ("arguments", "input")


def fit_arguments(
    name: str, arguments: str, tools: Iterable[Mapping[str, Any]]
) -> tuple[str, list[str]]:
    """The JSON text `arguments` fitted to the schema of the tool `name`, and what was changed.

    A single `arguments` or `input` that the tool does not declare is unwrapped if it holds an
    object; a string becomes a number, boolean, null, array or object where the schema allows no
    string and the text is exactly that. Whatever does not fit stays as it is.
    """
    schema = next((_schema(tool) for tool in tools if _function(tool).get("name") == name), None)
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments, []
    if schema is None or not isinstance(values, dict):
        return arguments, []
    declared = schema.get("properties")
    declared = declared if isinstance(declared, Mapping) else {}
    changes = []
    if len(values) == 1 and (wrapper := next(iter(values))) in _WRAPPERS:
        inner = _value(values[wrapper]) if isinstance(values[wrapper], str) else values[wrapper]
        if wrapper not in declared and isinstance(inner, dict):
            values = inner
            changes.append(f"the arguments of {name} were wrapped in {wrapper!r}")
    for key, value in values.items():
        kinds = _kinds(declared.get(key))
        if not isinstance(value, str) or "string" in kinds:
            continue
        other = _value(value)
        if _kind(other) in kinds or (_kind(other) == "integer" and "number" in kinds):
            values[key] = other
            changes.append(f"{key!r} of {name} was text, now {_kind(other)}")
    return (json.dumps(values, ensure_ascii=False) if changes else arguments), changes


def _function(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return function if isinstance(function, Mapping) else {}


def _schema(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = _function(tool).get("parameters")
    return schema if isinstance(schema, Mapping) else {}


def _kinds(schema: Any) -> set[str]:
    """The JSON types that a schema allows; one that does not say allows text."""
    kinds: set[str] = set()
    pending = [schema]
    while pending:  # not by recursion: whoever sends the schema decides how deep it is
        part = pending.pop()
        stated: list[Any] = []
        choices: list[Any] = []
        if isinstance(part, Mapping):
            stated = _listed(part.get("type"))
            choices = [*_listed(part.get("anyOf")), *_listed(part.get("oneOf"))]
        kinds.update(kind for kind in stated if isinstance(kind, str))
        pending += choices
        if not stated and not choices:
            kinds.add("string")
    return kinds


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [value] if isinstance(value, str) else []


def _value(text: str) -> Any:
    """The JSON value that `text` is, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"
