"""Whether a call's arguments fit the tool that it names, by the tool's JSON schema.

The loop refuses calls that do not, and verifiers that look at calls go by the same rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from speciale.errors import DataError

_FEW = 3  # faults that are named


def argument_faults(tool: Mapping[str, Any], values: Any) -> list[str]:
    """What is wrong with a call's arguments, a sentence each."""
    if not isinstance(values, dict):
        return [f"The arguments are {_short(values)}: give an object."]
    schema = tool["function"].get("parameters") or {"type": "object"}
    faults = []
    for error in _validator(json.dumps(schema, sort_keys=True)).iter_errors(values):
        where = ".".join(map(str, error.absolute_path))
        words = error.message if len(error.message) <= 300 else error.message[:300] + "…"
        faults.append(f"The argument {where!r}: {words}." if where else f"{words}.")
        if len(faults) == _FEW:
            break
    known = schema.get("properties") or {}
    unknown = [key for key in values if key not in known] if known else []
    if unknown and not faults and schema.get("additionalProperties", False) is False:
        faults.append(f"It takes no {', '.join(map(repr, unknown))}, but {', '.join(known)}.")
    return faults


@lru_cache(maxsize=1024)
def _validator(schema: str) -> Any:
    try:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import Draft202012Validator, validator_for
    except ImportError:
        raise DataError(
            "calls of tools need the package jsonschema: run `pip install 'speciale[agents]'`."
        ) from None

    parsed = json.loads(schema)
    kind = validator_for(parsed, Draft202012Validator)
    try:
        kind.check_schema(parsed)
    except SchemaError:  # a server's own schema that is none binds nobody
        return kind({"type": "object"})
    return kind(parsed)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
