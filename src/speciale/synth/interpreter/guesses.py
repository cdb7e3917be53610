"""Gate 5 for this kind. One call is the normal way here, so a shortcut is an answer without a
program worth the name: it stands in the prompt, a blind guess finds it once in fifty times, or it
is a number of the prompt, a small or round number, or a figure that a look at a file shows.

A look shows rows, columns, and of each column as it stands: its first, last, least, greatest, most
frequent value, how many there are, and their sum, mean and median.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Any

from speciale.synth.gates.gate import Gate
from speciale.synth.gates.shortcut import holds, prompt_words
from speciale.synth.gates.values import canonical, leaves, replaced, text_of
from speciale.synth.interpreter.kernels import Bench
from speciale.synth.interpreter.measures import LEAST_SPACE, space_log10
from speciale.synth.interpreter.tables import Table, read_tables

GUESSES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 24, 25, 30, 50, 64, 99, 100, 128, 200, 256,
           500, 512, 1000, 1024, 10_000, 100_000, 1_000_000, -1)  # fmt: skip
MOST_ASKED = 600  # answers of one part that the verifier is asked about


async def gate_no_shortcut(bench: Bench, number: str, answer: Any) -> Gate:
    """Broke where the verifier hangs."""
    about = bench.family.tasks[number].about
    told = [leaf for _, leaf in leaves(answer) if not isinstance(leaf, bool | None)]
    inside = sum(holds(about.prompt, text_of(leaf)) for leaf in told)
    evidence: dict[str, Any] = {"answer_parts": len(told), "in_prompt": inside}
    if told and inside == len(told):
        return Gate(5, False, evidence, "The answer is in the prompt.")
    tables = read_tables(bench.files)
    space = space_log10(answer, about.answer_schema, tables)
    evidence["space_log10"] = space
    if space < LEAST_SPACE:
        why = (
            f"It can be guessed: there are about {max(1, round(10**space))} answers to choose from."
        )
        return Gate(5, False, evidence, why)
    seen = naive_values(about.prompt, tables)
    whence = looked_up(about.prompt, answer, seen)
    evidence |= {"naive": len(seen), "shown": sum(each is not None for each in whence)}
    if None not in whence:
        why = f"A look gives the answer: {'; '.join(map(str, whence))[:200]}."
        return Gate(5, False, evidence, why)
    if len(told) == 1:  # a verifier may forgive more than equality
        path = next(path for path, leaf in leaves(answer) if leaf is told[0])
        kind = str if isinstance(told[0], str) else int | float
        asked = [value for value, _ in seen.values() if isinstance(value, kind)][:MOST_ASKED]
        evidence["asked"] = len(asked)
        wrong = [replaced(answer, path, each) for each in asked]
        rulings = (await bench.rule(number, wrong))[0] if wrong else []
        if rulings and rulings[-1].accepted:
            value, whence = list(seen.values())[
                [text_of(each) for each, _ in seen.values()].index(text_of(asked[len(rulings) - 1]))
            ]
            why = f"A look gives an answer that is accepted, {canonical(value)}: {whence}."
            return Gate(5, False, evidence, why)
    return Gate(5, True, evidence)


def looked_up(prompt: str, answer: Any, seen: dict[str, tuple[Any, str]]) -> list[str | None]:
    """For each part of an answer where a look shows it, `seen` being the naive values; or None."""
    found: list[str | None] = []
    for _, leaf in leaves(answer):
        if not isinstance(leaf, bool | None):
            text = text_of(leaf)
            inside = "the prompt" if holds(prompt, text) else None
            found.append(seen[text][1] if text in seen else inside)
    return found


def naive_values(prompt: str, tables: list[Table]) -> dict[str, tuple[Any, str]]:
    """By its text each value that needs no program, with where it is from."""
    found: dict[str, tuple[Any, str]] = {}
    for value in GUESSES:
        found.setdefault(text_of(value), (value, "a plain guess"))
    for value in prompt_words(prompt)["number"]:
        found.setdefault(text_of(value), (value, "a number of the prompt"))
    for table in tables:
        for value, what in _of_table(table):
            found.setdefault(text_of(value), (value, f"{what} of {table.path}"))
    return found


def _of_table(table: Table) -> Iterator[tuple[Any, str]]:
    yield len(table.rows), "the rows"
    yield len(table.rows) + 1, "the lines"
    yield len(table.columns), "the columns"
    for name in table.columns:
        values = [value for value in table.column(name) if value != ""]
        if not values:
            continue
        where = f"column {name!r}"
        common = Counter(values).most_common(1)[0][0]
        shown = {
            "first": values[0], "last": values[-1], "least": min(values), "greatest": max(values),
            "most frequent": common,
        }  # fmt: skip
        for what, text in shown.items():
            yield text, f"the {what} value in {where}"
            if (plain := _number(text)) is not None:
                yield plain, f"the {what} value in {where}"
        yield len(values), f"how many values are in {where}"
        yield len(set(values)), f"how many different values are in {where}"
        numbers = [each for each in map(_number, values) if each is not None]
        if numbers:
            figures = {
                "least": min(numbers), "greatest": max(numbers), "sum": math.fsum(numbers),
                "mean": statistics.fmean(numbers), "median": statistics.median(numbers),
            }  # fmt: skip
            for what, figure in figures.items():
                for digits in (None, 1, 2, 3, 4):
                    value = figure if digits is None else round(figure, digits)
                    yield value, f"the {what} of {where}"


def _number(text: str) -> int | float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 1e15 else value
