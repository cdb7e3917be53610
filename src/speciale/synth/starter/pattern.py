"""The parts of a starter environment: a pattern, its domains, and questions over it.

A pattern (V3.2 report, 3.2.3: an environment with its tools) is one way to an answer; a domain
gives its nouns and its tools other names, each without regard to the other: what a question is
about does not tell how the tools are called, so that who answers has to look. All that has to be
copied, from the prompt and from results, is a number of a few digits: a small model copies those
long before it copies words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from speciale.synth.general.text import fill
from speciale.synth.general.world import World

NUMBER = " Answer: one number."

Domain = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """`solve`: the body of solve(tools); `check`: the body of verify(answer, before, after).

    `thoughts`: what may be thought before each call and before the answer, one line each.
    `writes`: the tables that it changes.
    """

    level: int  # calls less one
    prompt: str
    solve: str
    check: str
    thoughts: Sequence[str]
    writes: Sequence[str] = ()

    @property
    def whole_prompt(self) -> str:
        return self.prompt + NUMBER


@dataclass(frozen=True)
class Pattern:
    """`build` puts tables and tools into a world and gives questions, in an order that is drawn:
    of each level more than a family takes, if there are so many."""

    name: str
    about: str  # of the world, for readers
    nouns: Mapping[str, Domain]  # the last are for environments that nobody trains on
    tools: tuple[Domain, Domain]  # two sets of names
    build: Callable[[World, Domain], Iterable[Question]]

    @property
    def domains(self) -> dict[str, Domain]:
        """Both names of the tools with each noun but the last, which has the first names only."""
        *known, last = self.nouns
        pairs = [(noun, (place + turn) % 2) for turn in (0, 1) for place, noun in enumerate(known)]
        return {
            f"{noun}-{'ab'[named]}": {**self.nouns[noun], **self.tools[named]}
            for noun, named in [*pairs, (last, 0)]
        }


_ONE = '''
def _one(db: sqlite3.Connection, sql: str, *keys):
    """The value of the only row of a query."""
    row = db.execute(sql, keys).fetchone()
    if row is None:
        raise ValueError(f"there is no {keys[0]}")
    return row[0]
'''

_ALL = '''
def _all(db: sqlite3.Connection, sql: str, *keys) -> list:
    """The first values of the rows of a query."""
    rows = db.execute(sql, keys).fetchall()
    if not rows:
        raise ValueError(f"there is no {keys[0]}")
    return [row[0] for row in rows]
'''

_TOOL = '''
def $name(db: sqlite3.Connection, $parameters) -> $gives:
    """$doc"""
    $body
'''


def tool(world: World, name: str, doc: str, body: str, gives: str = "int", /, **takes: str) -> None:
    """A tool with the given body; `takes`: the types of its parameters by name."""
    parameters = ", ".join(f"{key}: {kind}" for key, kind in takes.items())
    for helper, text in (("_one", _ONE), ("_all", _ALL)):
        if f"{helper}(" in body:
            world.helper(text)
    world.tool(_TOOL, name=name, doc=doc, body=fill(body), parameters=parameters, gives=gives)


def look_up(
    world: World, name: str, doc: str, sql: str, gives: str = "int", /, **takes: str
) -> None:
    """A tool that shows one value of the database, or a list of them."""
    reader = "_all" if gives == "list" else "_one"
    tool(world, name, doc, f'return {reader}(db, "{sql}", {", ".join(takes)})', gives, **takes)


def check(working: str) -> str:
    """The body of a verifier: `working` finds `right` in the database `before`."""
    return _NUMBER + fill(working) + _SAME


def numbers(rng: Random, count: int) -> list[int]:
    """Different numbers of two digits that name things, in a drawn order."""
    return rng.sample(range(11, 100), count)


def named(noun: str, numbers: Sequence[int]) -> str:
    """ "cat 12", "cat 12 and cat 40", "cat 12, cat 40 and cat 31"."""
    *most, last = [f"{noun} {n}" for n in numbers]
    return f"{', '.join(most)} and {last}" if most else last


_NUMBER = """if not whole_number(answer):
    return "The answer must be one whole number."
"""
_SAME = """if answer != right:
    return "It is another one."
"""
# What verifiers use, by name.
HELPERS = {
    "one": '''
def one(db, sql, *keys):
    """The value of a query's first row."""
    return db.execute(sql, keys).fetchone()[0]
''',
    "every": '''
def every(db, sql, *keys):
    """The first values of a query's rows."""
    return [row[0] for row in db.execute(sql, keys)]
''',
}
