"""The world of a family while it is made: tables with rows, and tools as text.

V3.2 report, 3.2.3: step one, data in the sandbox's database; step two, tools over it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from speciale.synth.general.names import Names
from speciale.synth.general.text import fill, tidy

Row = dict[str, Any]


@dataclass
class Table:
    """`columns`: name to the rest of its declaration in SQL, "TEXT NOT NULL"."""

    name: str
    columns: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    comment: str = ""

    def sql(self) -> str:
        columns = ",\n".join(f"    {name} {kind}" for name, kind in self.columns.items())
        comment = f"-- {self.comment}\n" if self.comment else ""
        return f"{comment}CREATE TABLE {self.name} (\n{columns}\n);\n"


@dataclass
class World:
    """What the facets put into a family. `tools` and `helpers` are functions as text."""

    rng: Random
    names: Names
    tables: list[Table] = field(default_factory=list)
    helpers: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> set[int]:
        """Every number that stands in a table."""
        return {
            value
            for table in self.tables
            for row in table.rows
            for value in row.values()
            if isinstance(value, int)
        }

    def helper(self, template: str, **values: Any) -> None:
        text = fill(template, **values)
        if text not in self.helpers:
            self.helpers.append(text)

    def tool(self, template: str, **values: Any) -> None:
        self.tools.append(fill(template, **values))

    def schema(self) -> str:
        return "\n".join(table.sql() for table in self.tables)

    def database(self) -> bytes:
        """The file, the same bytes for the same rows and the same SQLite."""
        db = sqlite3.connect(":memory:")
        try:
            db.executescript(self.schema())
            for table in self.tables:
                names = list(table.columns)
                marks = ", ".join("?" for _ in names)
                db.executemany(
                    f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})",
                    [[_cell(row[name]) for name in names] for row in table.rows],
                )
            db.commit()
            return db.serialize()
        finally:
            db.close()

    def toolbox(self, about: str) -> str:
        """tools.py. The order of the tools is drawn, so that the useful one is not always first."""
        tools = list(self.tools)
        self.rng.shuffle(tools)
        body = "\n\n".join(self.helpers + tools)
        imports = [name for name in ("datetime", "math", "re") if f"{name}." in body]
        lines = [f'"""Tools of {about}."""', "", "from __future__ import annotations", ""]
        lines += [f"import {name}" for name in sorted([*imports, "sqlite3"])]
        return tidy("\n".join(lines) + "\n\n\n" + body)


def _cell(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


PAGE_HELPER = '''
def _page(rows: list, page: int, size: int, key: str) -> dict:
    """One page of the rows, with the number of pages there are."""
    pages = max(1, -(-len(rows) // size))
    if not 1 <= page <= pages:
        raise ValueError(f"There is no page {page}: the pages are 1 to {pages}.")
    return {key: rows[(page - 1) * size : page * size], "page": page, "pages": pages}
'''


def spread(rng: Random, low: int, high: int, step: int, count: int) -> list[int]:
    """`count` numbers of the range, no two the same while there are enough."""
    values = list(range(low, high + 1, step))
    if count <= len(values):
        return rng.sample(values, count)
    return [rng.choice(values) for _ in range(count)]


def draw_some(rng: Random, items: Sequence[Any], low: int, high: int) -> list[Any]:
    """A few of the items in their order."""
    count = min(len(items), rng.randint(low, high))
    chosen = sorted(rng.sample(range(len(items)), count))
    return [items[index] for index in chosen]
