"""What `speciale eval` left in a folder: a suite's rows, read so that damage is a note, no crash.

A figure that is missing is None, and so is one that cannot be right, such as a share above 1: none
of the two may be shown as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speciale.evals.records import mapping, number, parsed

ALL = "all"  # the row over every cell


@dataclass(frozen=True)
class Row:
    """A cell's figures; shares are from 0 to 1. passes: pass@1, pass@2 and so on up to pass@k."""

    cell: str
    budget: int | None  # tokens of thinking, where they were bounded
    tasks: int | None
    pass1: float | None
    interval: tuple[float, float] | None
    k: int | None
    passk: float | None
    passes: tuple[float, ...]
    chance: float | None
    tokens_per_solved: float | None
    not_measured: int | None  # attempts


@dataclass(frozen=True)
class Kept:
    """An evaluation; its rows have a budget of thinking each, or none."""

    suite: str
    settings: dict[str, Any]
    rows: list[Row]

    @property
    def cells(self) -> list[Row]:
        return [row for row in self.rows if row.cell != ALL]

    @property
    def shown(self) -> list[Row]:
        """For a table: of budgets only what is told of all cells together."""
        return self.rows if any(row.budget is None for row in self.rows) else self.whole

    @property
    def whole(self) -> list[Row]:
        """What is told of all cells together, a row a budget; of a single cell its own."""
        single = len({row.cell for row in self.rows}) == 1
        return self.rows if single else [row for row in self.rows if row.cell == ALL]


def read_kept(folder: Path, notes: list[str]) -> list[Kept]:
    """The evaluations of a folder; `notes` gets a sentence on each that is damaged."""
    found = []
    try:
        paths = sorted(folder.glob("*.json"), key=lambda path: path.stem)
    except OSError:
        return []
    for path in paths:
        name = f"{folder.name}/{path.name}"
        try:
            values = parsed(path.read_text(encoding="utf-8", errors="replace"))
        except OSError as error:
            notes.append(f"{name} could not be read: {error.strerror}.")
            continue
        rows = None if values is None else values.get("rows")
        if values is None or not isinstance(rows, list):
            notes.append(f"{name} is not a whole evaluation, so it is left out.")
            continue
        reader = _Reader()
        kept = [row for row in map(reader.row, rows) if row is not None]
        if reader.damaged:
            notes.append(f"{name}: {reader.damaged} of its values cannot be right, left out.")
        if kept:
            suite = values.get("suite")
            suite = suite if isinstance(suite, str) and suite else path.stem
            found.append(Kept(suite, mapping(values.get("settings")), kept))
    return found


class _Reader:
    """Reads rows and counts what is damaged in them."""

    def __init__(self) -> None:
        self.damaged = 0

    def row(self, values: Any) -> Row | None:
        values = mapping(values)
        cell = values.get("cell")
        if not isinstance(cell, str):
            self.damaged += 1
            return None
        return Row(
            cell=cell,
            budget=self._count(values.get("budget")),
            tasks=self._count(values.get("tasks")),
            pass1=self._share(values.get("pass1")),
            interval=self._interval(values.get("interval")),
            k=self._count(values.get("k")),
            passk=self._share(values.get("passk")),
            passes=self._shares(values.get("passes")),
            chance=self._share(values.get("chance")),
            tokens_per_solved=self._within(values.get("tokens_per_solved"), float("inf")),
            not_measured=self._count(values.get("not_measured")),
        )

    def _within(self, value: Any, most: float) -> float | None:
        """A number from 0 to `most`."""
        figure = number(value)
        if value is not None and (figure is None or not 0 <= figure <= most):
            self.damaged += 1
            return None
        return figure

    def _share(self, value: Any) -> float | None:
        return self._within(value, 1.0)

    def _count(self, value: Any) -> int | None:
        figure = self._within(value, 1e12)
        return None if figure is None else int(figure)

    def _interval(self, value: Any) -> tuple[float, float] | None:
        bounds = self._shares(value)
        if len(bounds) == 2 and bounds[0] <= bounds[1]:
            return bounds[0], bounds[1]
        self.damaged += value is not None
        return None

    def _shares(self, value: Any) -> tuple[float, ...]:
        items: Sequence[Any] = value if isinstance(value, list) else []
        shares = [share for share in map(self._share, items) if share is not None]
        return tuple(shares) if len(shares) == len(items) else ()
