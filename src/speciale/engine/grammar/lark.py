"""The pieces of a grammar in llguidance's Lark dialect (docs/syntax.md of llguidance).
Upper-case names are terminals, which the lexer matches; special tokens are `<[id]>`, and no
terminal matches one."""

from __future__ import annotations

import json
from typing import Any

# White space between the parts of JSON, as much as an indented deep object needs. Without a bound
# a model can go on with it for ever.
_SPACE = r"[ \n\r\t]{1,64}"

# As in JSON schemas (ECMA 262), where these are ASCII; in llguidance's regexes they are Unicode.
_CLASSES = {r"\d": "0-9", r"\w": "A-Za-z0-9_"}
_NEGATED = {r"\D": "[^0-9]", r"\W": "[^A-Za-z0-9_]"}

ANYTHING = "/(?s:.*)/"  # a terminal: any text


def literal(text: str) -> str:
    """A terminal that is exactly `text`."""
    return json.dumps(text, ensure_ascii=False)


def token(id: int) -> str:
    return f"<[{id}]>"


def json_value(schema: dict[str, Any]) -> str:
    """A rule's body: JSON by `schema`."""
    options = {"whitespace_pattern": _SPACE, "json_allow_general_unicode_escapes": True}
    return f"%json {json.dumps({**schema, 'x-guidance': options}, ensure_ascii=False)}"


def containing(pattern: str) -> str:
    """A terminal: text in which the JSON schema `pattern` is found, as its `^` and `$` say."""
    branches = []
    for branch in _alternatives(pattern):
        before = after = "(?s:.*)"
        if branch[0] == "^":
            before, branch = "", branch[1:]
        if branch and branch[-1] == "$":
            after, branch = "", branch[:-1]
        branches.append(f"{before}(?:{''.join(branch)}){after}")
    return f"/{'|'.join(branches)}/"


def _alternatives(pattern: str) -> list[list[str]]:
    """The branches of a regex's outermost `|`, each as its characters and escapes."""
    branches: list[list[str]] = [[]]
    depth, in_class, at = 0, False, 0
    while at < len(pattern):
        piece = pattern[at : at + (2 if pattern[at] == "\\" else 1)]
        at += len(piece)
        if piece == "[":
            in_class = True
        elif piece == "]":
            in_class = False
        elif not in_class:
            depth += (piece == "(") - (piece == ")")
        if piece == "|" and depth == 0 and not in_class:
            branches.append([])
            continue
        if piece in _CLASSES:
            piece = _CLASSES[piece] if in_class else f"[{_CLASSES[piece]}]"
        elif not in_class:
            piece = _NEGATED.get(piece, piece)
        # A slash would end Lark's own `/.../`.
        branches[-1].append(r"\/" if piece == "/" else piece)
    return [branch or [""] for branch in branches]
