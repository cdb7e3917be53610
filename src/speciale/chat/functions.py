"""A tool from a Python function: its signature gives the JSON schema, its docstring the words.
Types are read by pydantic, docstrings (Google, NumPy or reST style) by docstring_parser; both are
imported when a tool is made, so that importing speciale.chat stays light."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from speciale.chat.errors import ChatFormatError

_NAMELESS = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional only",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of positions",
    inspect.Parameter.VAR_KEYWORD: "takes any name",
}
# In a JSON schema: what holds schemas under names of the user's, and what holds the user's values.
_NAMED = {"properties", "patternProperties", "$defs"}
_VALUES = {"default", "const", "enum", "examples", "discriminator"}


def function_tool(function: Callable[..., Any]) -> dict[str, Any]:
    """The tool `{"type": "function", "function": {name, description, parameters}}` of `function`.

    Parameters without a default are required; one without an annotation takes any JSON value.
    Descriptions come from `Annotated[..., Field(description=...)]` or the docstring. Raises
    ChatFormatError for what a call by name cannot reach (`*args`, positional-only parameters), for
    types that have no JSON schema, and for lambdas and what else is no named function.
    """
    import docstring_parser

    name = getattr(function, "__name__", "")
    if isinstance(function, type):
        raise ChatFormatError(f"{name} is a class: use a function or a method of an object.")
    if not name.isidentifier():
        raise ChatFormatError(f"{function!r} has no name to be called by: use a named function.")
    doc = docstring_parser.parse(inspect.getdoc(function) or "")
    words = {
        one.strip(): item.description
        for item in doc.params
        if item.description
        for one in item.arg_name.split(",")  # NumPy style describes `x, y` together
    }
    try:
        # Of a bound method too: without `self`.
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ChatFormatError(
            f"the signature of {name} cannot be read ({error}): write a function around it."
        ) from error
    for parameter in signature.parameters.values():
        if parameter.kind in _NAMELESS:
            raise ChatFormatError(
                f"the parameter {parameter.name!r} of {name} {_NAMELESS[parameter.kind]}: a tool "
                "is called with named arguments only."
            )
    properties, shared = _schemas(name, _types(name, function, signature))
    required = []
    for key, parameter in signature.parameters.items():
        schema = properties[key]
        if key in words and "description" not in schema:
            schema["description"] = words[key]
        if parameter.default is parameter.empty:
            required.append(key)
        else:
            with suppress(TypeError, ValueError):  # where the default is no JSON
                default = json.loads(json.dumps(parameter.default, allow_nan=False))
                schema.setdefault("default", default)
    parameters = {"type": "object", "properties": properties, "required": required, **shared}
    # Without a blank line the summary goes on: it is longer than a line.
    gap = "\n\n" if doc.blank_after_short_description else "\n"
    text = gap.join(filter(None, (doc.short_description, doc.long_description)))
    description = {"name": name, "description": text, "parameters": parameters}
    return {"type": "function", "function": description}


def _types(name: str, function: Callable, signature: inspect.Signature) -> dict[str, Any]:
    """The type of each parameter. What the function returns may have a type that is not there."""
    known = getattr(inspect.unwrap(function), "__globals__", {})
    types = {}
    for key, parameter in signature.parameters.items():
        if parameter.annotation is parameter.empty:
            types[key] = Any
            continue

        def holder(): ...

        holder.__annotations__ = {key: parameter.annotation}
        try:
            types[key] = typing.get_type_hints(holder, known, include_extras=True)[key]
        except Exception as error:  # an annotation in quotes is code, which may raise anything
            raise ChatFormatError(
                f"the parameter {key!r} of {name} has the type {parameter.annotation!r}, which "
                f"cannot be read ({error}): use a type that the function's module knows."
            ) from error
    return types


def _schemas(name: str, types: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON schema of each type, and the definitions that they share."""
    from pydantic import TypeAdapter

    adapters = []
    for key, annotation in types.items():
        try:
            adapter = TypeAdapter(annotation)
            adapter.json_schema()
        except Exception as error:  # types may bring code of their own, which may raise anything
            raise ChatFormatError(
                f"the parameter {key!r} of {name} has the type {annotation!r}, which has no JSON "
                "schema: use plain types, enums, dataclasses, TypedDicts or pydantic models."
            ) from error
        adapters.append((key, "validation", adapter))
    schemas, definitions = TypeAdapter.json_schemas(adapters)
    properties = {key: _untitled(schemas[key, "validation"]) for key in types}
    named = {key: value for key, value in definitions.items() if key == "$defs" and value}
    return properties, _untitled(named)


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names. A property may be called title."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {}
    for key, value in schema.items():
        if key in _NAMED:
            plain[key] = {name: _untitled(item) for name, item in value.items()}
        elif key in _VALUES:
            plain[key] = value
        elif key != "title":
            plain[key] = _untitled(value)
    return plain
