"""A parameter's schema in the two forms that a DSML value has: text as it is (`string="true"`)
and JSON (`string="false"`). The type of the value decides the form, so a schema is split into
what it allows of strings and what it allows of all else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from speciale.engine.grammar import lark
from speciale.errors import RequestError

Schema = dict[str, Any]

ANNOTATIONS = {
    "title", "description", "default", "examples", "example", "deprecated", "readOnly",
    "writeOnly", "$comment", "$schema", "$id",
}  # fmt: skip
_OTHER_KINDS = ["null", "boolean", "number", "array", "object"]
_DEEPEST = 50  # references and alternatives inside each other


def forms(schema: Any, root: Mapping[str, Any], depth: int = 0) -> tuple[list[str], Any]:
    """(terminals for text values, a schema for the others or None), together what `schema` allows.

    `root` holds what `$ref` points to. A string's `format` is a note here, as JSON schema has it
    by default. Raises RequestError for what cannot be split.
    """
    if depth > _DEEPEST:
        raise RequestError("its references or alternatives lead on without end")
    if not isinstance(schema, Mapping):
        if schema is False:
            return [], None
        schema = {}
    plain = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
    kinds = _listed(plain.get("type", ["string", *_OTHER_KINDS]))
    if "string" not in kinds:
        return [], schema
    for key in ("$ref", "allOf"):
        if key in plain:
            parts = [resolve(plain.pop(key), root)] if key == "$ref" else plain.pop(key)
            if any(_is_no_string(part, root) for part in parts):
                return [], schema
            for part in parts:
                plain = _both(plain, part)
            texts, other = forms(plain, root, depth + 1)
            return (texts, other) if texts else ([], schema)
    for key in ("anyOf", "oneOf"):
        if key in plain:
            branches = plain.pop(key)
            found = [forms(_both(plain, branch), root, depth + 1) for branch in branches]
            texts = [text for texts, _ in found for text in texts]
            others = [other for _, other in found if other is not None]
            if not texts:
                return [], schema
            return texts, {key: others} if len(others) > 1 else next(iter(others), None)
    return _by_kind(plain, kinds)


def _by_kind(plain: Schema, kinds: list[str]) -> tuple[list[str], Any]:
    for key in ("not", "if"):
        if key in plain:
            raise RequestError(f"{key!r} is not supported")
    limits = []
    values = [plain["const"]] if "const" in plain else plain.get("enum")
    if values is not None:
        strings = [value for value in values if isinstance(value, str)]
        limits.append(f"({' | '.join(map(lark.literal, strings))})")
    if "pattern" in plain:
        limits.append(lark.containing(plain["pattern"]))
    if "minLength" in plain or "maxLength" in plain:
        least, most = int(plain.get("minLength", 0)), plain.get("maxLength")
        limits.append(rf"/(?s:.{{{least},{'' if most is None else int(most)}}})/")
    texts = [" & ".join(limits)] if limits else [lark.ANYTHING]
    kinds = [kind for kind in kinds if kind != "string"]
    other = {**plain, "type": kinds} if kinds else None
    if values is not None:
        texts = texts if strings else []
        rest = [value for value in values if not isinstance(value, str)]
        if other is not None:
            other.pop("const", None)
            other = {**other, "enum": rest} if rest else None
    return texts, other


def _is_no_string(part: Any, root: Mapping[str, Any]) -> bool:
    if isinstance(part, Mapping) and "$ref" in part:
        part = resolve(part["$ref"], root)
    return isinstance(part, Mapping) and "string" not in _listed(part.get("type", "string"))


def _listed(kinds: Any) -> list[Any]:
    return kinds if isinstance(kinds, list) else [kinds]


def _both(one: Schema, other: Any) -> Schema:
    """One schema for what two allow, where no keyword but the type has two values."""
    if not isinstance(other, Mapping):
        other = {} if other else {"enum": []}
    merged = dict(one)
    for key, value in other.items():
        if key in ANNOTATIONS:
            continue
        if key == "type" and key in merged:
            value = [kind for kind in _listed(merged[key]) if kind in _listed(value)]
        elif key in merged and merged[key] != value:
            raise RequestError(f"{key!r} is stated twice for the same value")
        merged[key] = value
    return merged


def resolve(reference: Any, root: Mapping[str, Any]) -> Any:
    """What `#/$defs/name` stands for."""
    place: Any = root
    for step in str(reference).split("/")[1:]:
        step = unquote(step).replace("~1", "/").replace("~0", "~")
        place = place.get(step) if isinstance(place, Mapping) else None
    if place is None or not str(reference).startswith("#/"):
        raise RequestError(f"the reference {reference!r} leads nowhere")
    return place
