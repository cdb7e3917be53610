"""A family's data files as tables of texts, the way that a guesser sees them: uncleaned.

CSV, JSON lines, JSON and SQL dumps; what cannot be read so is no table.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MOST_ROWS = 20_000  # of a file that are looked at
_INSERT = re.compile(r"INSERT INTO \"?(\w+)\"? VALUES ?\((.*)\);", re.IGNORECASE)
_LITERAL = re.compile(r"'((?:[^']|'')*)'|([^,()\s]+)")


@dataclass(frozen=True)
class Table:
    """`rows` below `columns`, each value a text; a missing one is empty."""

    path: str
    columns: tuple[str, ...]
    rows: list[dict[str, str]]

    def column(self, name: str) -> list[str]:
        return [row.get(name, "") for row in self.rows]


def read_tables(files: dict[str, str]) -> list[Table]:
    """In the order of their paths; never raises for what a file holds."""
    found: list[Table] = []
    for path, text in sorted(files.items()):
        try:
            found += _tables(path, text)
        except (ValueError, csv.Error, RecursionError, AttributeError, TypeError):
            continue
    return found


def _tables(path: str, text: str) -> Iterator[Table]:
    if path.endswith((".csv", ".tsv", ".txt")):
        delimiter = max(",;\t|", key=text.partition("\n")[0].count)
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
        rows = [dict(zip(lines[0], line)) for line in lines[1 : MOST_ROWS + 1] if line]
        yield Table(path, tuple(lines[0]), rows)
    elif path.endswith(".jsonl"):
        yield _of_objects(path, [json.loads(line) for line in text.splitlines()[:MOST_ROWS]])
    elif path.endswith(".json"):
        value = json.loads(text)
        yield _of_objects(path, value[:MOST_ROWS] if isinstance(value, list) else [value])
    elif path.endswith(".sql"):
        tables: dict[str, list[dict[str, str]]] = {}
        for name, values in _INSERT.findall(text):
            cells = [
                one.replace("''", "'") if one else two for one, two in _LITERAL.findall(values)
            ]
            cells = ["" if cell == "NULL" else cell for cell in cells]
            rows = tables.setdefault(name, [])
            if len(rows) < MOST_ROWS:
                rows.append({str(at): cell for at, cell in enumerate(cells)})
        for name, rows in tables.items():
            yield Table(f"{path}:{name}", tuple(rows[0]), rows)


def _of_objects(path: str, objects: list[Any]) -> Table:
    rows = [{key: _text(value) for key, value in each.items()} for each in objects]
    return Table(path, tuple(dict.fromkeys(key for row in rows for key in row)), rows)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
