"""What all questions about records share: how they are put, and figures in whole numbers.

The truth is computed from the clean rows, exactly; the cells work on what they read back from the
files. A question whose answer is not the only one is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from random import Random
from typing import Any

from speciale.synth.interpreter.problem import Problem, ends_well
from speciale.synth.interpreter.records import Records, Row
from speciale.synth.interpreter.wording import asked, cell


class Unclear(Exception):
    """The question has more than one answer here, or one on the edge of rounding."""


Maker = Callable[[Records, Random], Problem]


def chain(makers: Iterable[Maker], records: Records, rng: Random) -> list[Problem]:
    found = []
    for maker in makers:
        for _ in range(4):
            try:
                found.append(maker(within(records, rng), rng))
                break
            except Unclear:
                continue
    return found


def within(records: Records, rng: Random) -> Records:
    """Often only the rows of some days, so that no two questions are about the same rows."""
    if rng.random() < 0.2:
        return records
    first, last = records.rows[0].day, records.rows[-1].day
    room = (last - first).days // 4
    start = first + timedelta(rng.randrange(1, room))
    end = last - timedelta(rng.randrange(1, room))
    bounds = [f"date({day.year}, {day.month}, {day.day})" for day in (start, end)]
    return replace(
        records,
        rows=[row for row in records.rows if start <= row.day <= end],
        load=f"{records.load}\nrows = [row for row in rows"
        f" if {bounds[0]} <= row['day'] <= {bounds[1]}]",
        span=(start, end),
        whole=records,
    )


def best(figures: dict[Any, Any]) -> tuple[Any, Any]:
    """The key of the largest figure. Unclear where two have it."""
    ordered = sorted(figures.items(), key=lambda pair: pair[1], reverse=True)
    if not ordered or (len(ordered) > 1 and ordered[0][1] == ordered[1][1]):
        raise Unclear
    return ordered[0]


def rounded(value: Fraction | float, decimals: int) -> float:
    if not ends_well(float(value), decimals):
        raise Unclear
    result = round(float(value), decimals)
    if result == int(result):
        raise Unclear  # JSON would not say that it is no whole number
    return result


def problem(
    records: Records, rng: Random, wordings: list[str], answer: Any, parts: list[str],
    pattern: str, decimals: int | None = None, hint: str = "",
) -> Problem:  # fmt: skip
    """`parts`: what follows the loading of the rows. Where it is long it gets a cell of its own."""
    files = [path for path in records.files if path != "NOTES.txt"]
    used = [path for path in files if path.split(".")[0] == records.theme.facts]
    setup = [records.load]
    code = cell("import json", *parts)
    if "region" in code or "size" in code:
        setup.append(records.load_sites)
        used += [path for path in files if path.split(".")[0] == records.theme.sites]
    if "goals" in code:
        setup.append(records.load_goals)
        used.append("goals.sql")
    listed, many, owner = ", ".join(used), records.theme.many, records.owner
    opening = rng.choice(
        [
            f"The current folder holds {listed} of {owner}, and NOTES.txt, which says how to read "
            "them.",
            f"You have the {many} of {owner} in {listed}; read NOTES.txt first, it explains the "
            "columns and what to leave out.",
            f"Work with the {many} of {owner}: {listed} in /work, cleaned as NOTES.txt says.",
            f"{owner} keeps data about {many} in {listed}. NOTES.txt tells which lines count.",
        ]
    )
    if records.span:
        start, end = records.span
        opening += " " + rng.choice(
            [
                f"Only {many} from {start} to {end}, both included, are of interest.",
                f"Leave out all {many} before {start} and after {end}.",
                f"The question is about the days from {start} up to and including {end} alone.",
            ]
        )
    text = asked(rng, [f"{opening} {each}" for each in wordings], answer, hint)
    cells = (cell("print(open('NOTES.txt').read())", *setup), code)
    return Problem(text, answer, cells, pattern, decimals, {"theme": records.theme.name})


def sums(pairs: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    totals: dict[Any, int] = {}
    for key, amount in pairs:
        totals[key] = totals.get(key, 0) + amount
    return totals


def lists(pairs: Iterable[tuple[Any, int]]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for key, amount in pairs:
        found.setdefault(key, []).append(amount)
    return found


def by_site(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.site, []).append(row)
    return found


def quantile(values: list[int], part: Fraction) -> Fraction:
    ordered = sorted(values)
    place = part * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def plain(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def line(points: list[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction]:
    """Slope and intercept of least squares, by the normal equations in whole numbers."""
    n = len(points)
    x, y = sum(p for p, _ in points), sum(q for _, q in points)
    xx, xy = sum(p * p for p, _ in points), sum(p * q for p, q in points)
    slope = Fraction(n * xy - x * y, n * xx - x * x)
    return slope, (y - slope * x) / n
