"""A user's JSON schema, made ready for llguidance: what it may hold and how large it may be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from speciale.errors import RequestError

# Compiling takes time that is quadratic in an object's optional properties: two seconds at
# this length, some milliseconds for what is usual.
LONGEST = 200_000  # characters of JSON
# JSON schema has formats as notes, which whoever does not know them passes by; llguidance enforces
# these and refuses all others.
_FORMATS = {
    "date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri",
}  # fmt: skip
_NAMED = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_VALUES = {"default", "const", "enum", "examples", "example"}


def prepared(schema: Any, what: str) -> dict[str, Any]:
    """`schema` without the formats that are not enforced; the original is left as it is.

    Raises RequestError, which calls it `what`, unless it is an object that can be written as JSON
    in at most LONGEST characters.
    """
    if not isinstance(schema, Mapping):
        kind = type(schema).__name__
        raise RequestError(f"{what} is a {kind}: pass the object of a JSON schema.")
    check_length(schema, what)
    return _known_formats(schema)


def check_length(value: Any, what: str) -> None:
    try:
        length = len(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise RequestError(f"{what} cannot be written as JSON ({error}): mend it.") from error
    if length > LONGEST:
        raise RequestError(
            f"{what} is {length} characters long, above the limit of {LONGEST}: ask for less."
        )


def references(schema: Any) -> Iterator[Any]:
    """The targets of all `$ref` in `schema`."""
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key == "$ref":
                yield value
            elif key not in _VALUES:
                yield from references(value)
    elif isinstance(schema, list):
        for part in schema:
            yield from references(part)


def _known_formats(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_known_formats(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    known = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, Mapping):
            known[key] = {name: _known_formats(part) for name, part in value.items()}
        elif key in _VALUES:
            known[key] = value
        elif key != "format" or value in _FORMATS:
            known[key] = _known_formats(value)
    return known
