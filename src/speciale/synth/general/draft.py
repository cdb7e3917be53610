"""A task before it is numbered, and the parts that every verifier has.

V3.2 report, 3.2.3: step three, a task with solution and verifier; step four, harder ones of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from speciale.synth.general.text import fill, tidy
from speciale.synth.general.world import World


@dataclass(frozen=True)
class Draft:
    """`writes`: whether it changes the database."""

    pattern: str
    level: int
    prompt: str
    solution: str
    verify: str
    schema: dict[str, Any]
    writes: bool
    figures: tuple[int, ...] = ()  # the answer's numbers that no tool shows
    metadata: dict[str, Any] = field(default_factory=dict)


def climb(
    world: World, levels: Sequence[int], draw: Callable[[int], Draft | None], tries: int = 14
) -> list[Draft]:
    """A ladder: one kind of question at rising levels, each harder than the one before. `draw`
    gives a draft of a level, or None where the constants it drew make no good task."""
    ladder: list[Draft] = []
    for level in levels:
        for _ in range(tries):
            draft = draw(level)
            if draft and _rises(world, draft, ladder):
                ladder.append(draft)
                break
    return ladder


def _rises(world: World, draft: Draft, ladder: list[Draft]) -> bool:
    """The figures must be worked out, not be there to pick from; and take no fewer digits than
    those of the easier task, or there would be less to guess."""
    if any(figure < 12 or figure in world.numbers for figure in draft.figures):
        return False
    return not ladder or _digits(draft) >= _digits(ladder[-1])


def _digits(draft: Draft) -> int:
    return sum(len(str(figure)) for figure in draft.figures)


TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer"}


def object_of(**properties: dict[str, Any]) -> dict[str, Any]:
    """A schema of an object that has exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def list_of(schema: dict[str, Any], count: int) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": count, "maxItems": count}


def solution(doc: str, *parts: str) -> str:
    """solution.py out of functions, with the imports that they use."""
    return _file(doc, [part for part in parts if part.strip()])


def verify(doc: str, body: str, *parts: str, writes: Sequence[str] = ()) -> str:
    """verify.py: `body` is that of verify(answer, before, after); it finds out what is wrong and
    returns a sentence, or goes on. `writes`: the tables that the task changes; what they have
    become is the body's to check, and all others must be as they were."""
    same = fill(_SAME)
    if writes:
        tables = ", ".join(f'"{name}"' for name in writes)
        same = fill(_SAME_BUT, tables=tables if len(writes) > 1 else tables + ",")
    own = [*(part for part in parts if part.strip()), fill(_VERIFY, same=same, body=body)]
    used = [
        text
        for name, text in _HELPERS.items()
        if any(re.search(rf"\b{name}\b", part) for part in own)
    ]
    return _file(doc, [*used, *own])


def _file(doc: str, functions: Sequence[str]) -> str:
    body = "\n\n".join(text.strip("\n") + "\n" for text in functions)
    imports = [f"import {name}" for name in _IMPORTS if f"{name}." in body]
    head = [f'"""{doc}"""', *([""] if imports else []), *imports]
    return tidy("\n".join(head) + "\n\n\n" + body)


_IMPORTS = ("datetime", "heapq", "itertools", "math")


# What verifiers have in common, by name; each takes what it uses.
_HELPERS = {
    "whole_number": '''
def whole_number(value):
    """A number without fraction; true and false are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value)
''',
    "has_keys": """
def has_keys(value, keys):
    return isinstance(value, dict) and sorted(value) == sorted(keys)
""",
    "tables": '''
def tables(db):
    """All rows of all tables."""
    names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return {
        row[0]: [tuple(entry) for entry in db.execute(f"SELECT * FROM {row[0]} ORDER BY rowid")]
        for row in names.fetchall()
    }
''',
    "by_key": '''
def by_key(db, table, key):
    """A table's rows by one of its columns."""
    return {row[key]: row for row in db.execute(f"SELECT * FROM {table} ORDER BY rowid")}
''',
    "new_rows": '''
def new_rows(before, after, table, key):
    """The rows a table has more than before; None if an old row is gone or was changed."""
    old = {row[key]: tuple(row) for row in before.execute(f"SELECT * FROM {table}")}
    rows = after.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
    now = {row[key]: tuple(row) for row in rows}
    if any(now.get(name) != row for name, row in old.items()):
        return None
    return [row for row in rows if row[key] not in old]
''',
}

_SAME = """
if tables(before) != tables(after):
    return "The database was changed, and nothing was to be changed."
"""

_SAME_BUT = """
old, new = tables(before), tables(after)
for name in ($tables):
    old.pop(name), new.pop(name)
if old != new:
    return "Something was changed that had to stay as it was."
"""

_VERIFY = '''
def verify(answer, before, after):
    """True for a right attempt, else what is wrong with it."""
    $same
    $body
    return True
'''
