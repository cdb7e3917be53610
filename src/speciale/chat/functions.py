"""A tool from a Python function: its signature gives the JSON schema, its docstring the words.
Types are read by pydantic, docstrings (Google, NumPy or reST style) by docstring_parser; both are
imported when a tool is made, so that importing speciale.chat stays light."""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable
from typing import Any

from speciale.chat.errors import ChatFormatError

_NAMELESS = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional only",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of positions",
    inspect.Parameter.VAR_KEYWORD: "takes any name",
}


def function_tool(function: Callable[..., Any]) -> dict[str, Any]:
    """The tool `{"type": "function", "function": {name, description, parameters}}` of `function`.

    Parameters without a default are required; one without an annotation takes any JSON value.
    Descriptions come from `Annotated[..., Field(description=...)]` or the docstring. Raises
    ChatFormatError for what a call by name cannot reach (`*args`, positional-only parameters), for
    types that have no JSON schema, and for functions without a name.
    """
    import docstring_parser

    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise ChatFormatError(f"{function!r} has no name to be called by: use a named function.")
    doc = docstring_parser.parse(inspect.getdoc(function) or "")
    words = {item.arg_name: item.description for item in doc.params if item.description}
    try:
        # Of a bound method too: without `self`.
        signature = inspect.signature(function)
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise ChatFormatError(f"the signature of {name} cannot be read ({error}).") from error
    for parameter in signature.parameters.values():
        if parameter.kind in _NAMELESS:
            raise ChatFormatError(
                f"the parameter {parameter.name!r} of {name} {_NAMELESS[parameter.kind]}: a tool "
                "is called with named arguments only."
            )
    properties, shared = _schemas(name, {p: hints.get(p, Any) for p in signature.parameters})
    required = []
    for key, parameter in signature.parameters.items():
        schema = properties[key]
        if key in words and "description" not in schema:
            schema["description"] = words[key]
        if parameter.default is parameter.empty:
            required.append(key)
        elif _is_json(parameter.default):
            schema.setdefault("default", parameter.default)
    parameters = {"type": "object", "properties": properties, "required": required, **shared}
    text = "\n\n".join(filter(None, (doc.short_description, doc.long_description)))
    description = {"name": name, "description": text, "parameters": parameters}
    return {"type": "function", "function": description}


def _schemas(name: str, types: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON schema of each type, and the definitions that they share."""
    from pydantic import PydanticUserError, TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema

    adapters = []
    for key, annotation in types.items():
        try:
            adapter = TypeAdapter(annotation)
            adapter.json_schema()
        except (PydanticUserError, PydanticInvalidForJsonSchema, NameError) as error:
            raise ChatFormatError(
                f"the parameter {key!r} of {name} has the type {annotation!r}, which has no JSON "
                "schema: use plain types, enums, dataclasses, TypedDicts or pydantic models."
            ) from error
        adapters.append((key, "validation", adapter))
    schemas, definitions = TypeAdapter.json_schemas(adapters)
    properties = {key: _untitled(schemas[key, "validation"]) for key in types}
    shared = {"$defs": _untitled(definitions["$defs"])} if definitions.get("$defs") else {}
    return properties, shared


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names. A property may be called title."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _untitled(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
