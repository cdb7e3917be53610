"""Gate 6 for this kind: how hard a task is, and that harder ones are harder.

It is measured by the cells, their lines and characters, the rows that they read, and the answers
that there are to choose from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from speciale.synth.gates.gate import Gate
from speciale.synth.gates.values import canonical, leaves
from speciale.synth.interpreter.tables import Table, read_tables
from speciale.tasks.synthesised.family import TaskAbout

LEAST_SPACE = math.log10(50)  # a blind guess must be right less than once in fifty times
MOST_DIGITS = 4  # of a part of the answer that count: more than that nobody guesses
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAY, MONTH = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d{4}-\d\d")
DAYS, MONTHS = math.log10(300), math.log10(10)  # that data are about
GROW = (
    "calls",
    "lines",
    "rows",
    "space_log10",
)  # none of them may shrink, and one of all must grow


def difficulty(
    about: TaskAbout, cells: Sequence[str], answer: Any, files: dict[str, str]
) -> dict[str, Any]:
    """`calls`: cells; `rows`: of the files that they name."""
    code = "\n".join(cells)
    tables = read_tables(files)
    read = [table for table in tables if table.path.partition(":")[0] in code]
    return {
        "calls": len(cells),
        "lines": sum(bool(line.strip()) for line in code.splitlines()),
        "rows": sum(len(table.rows) for table in read),
        "characters": len(code),
        "space_log10": space_log10(answer, about.answer_schema, tables),
    }


def space_log10(answer: Any, schema: Mapping[str, Any], tables: Sequence[Table]) -> float:
    """log10 of how many answers of this form there are: of a figure by its digits, of a text by its
    column in the files or else its different letters, of what the schema lists by its list."""
    columns = [set(table.column(name)) for table in tables for name in table.columns]
    total = 0.0
    for path, leaf in leaves(answer):
        part = _schema_at(schema, path)
        if isinstance(leaf, bool) or leaf is None:
            total += math.log10(2) if leaf is not None else 0.0
        elif "enum" in part:
            total += math.log10(max(1, len(part["enum"])))
        elif isinstance(leaf, int | float):
            digits = canonical(abs(leaf)).replace(".", "").lstrip("0")
            total += min(MOST_DIGITS, max(1, len(digits)))
        elif beside := [len(values) for values in columns if leaf in values]:
            total += math.log10(max(2, min(beside)))
        elif DAY.fullmatch(leaf) or MONTH.fullmatch(leaf):
            total += DAYS if DAY.fullmatch(leaf) else MONTHS
        elif leaf in WEEKDAYS:
            total += math.log10(len(WEEKDAYS))
        else:
            total += len(leaf) * math.log10(max(2, len(set(leaf))))
    return round(total, 2)


def _schema_at(schema: Any, path: tuple) -> Mapping[str, Any]:
    for step in path:
        schema = schema if isinstance(schema, Mapping) else {}
        schema = schema.get("items") if isinstance(step, int) else schema.get("properties")
        if not isinstance(step, int):
            schema = (schema or {}).get(step)
    return schema if isinstance(schema, Mapping) else {}


def rises(own: Mapping[str, Any], base: Mapping[str, Any]) -> bool:
    """Whether a task is harder than its easier one."""
    shrinks = any(own[key] < base[key] for key in GROW)
    return not shrinks and any(own[key] > base[key] for key in (*GROW, "characters"))


def gate_difficulty(
    about: TaskAbout,
    own: Mapping[str, Any],
    easier: TaskAbout | None,
    base: Mapping[str, Any] | None,
) -> Gate:
    """`own`: of a task whose solution ran; `base`: of the one it is harder than, if that ran."""
    evidence: dict[str, Any] = dict(own)
    if about.harder_than is None:
        return Gate(6, True, evidence)
    if easier is None or easier is about:
        why = f"There is no task {about.harder_than!r} that it could be harder than."
        return Gate(6, False, evidence, why)
    if easier.level >= about.level:
        why = f"It is of level {about.level}, as is {about.harder_than} or above."
        return Gate(6, False, evidence, why)
    if base is not None:
        evidence["easier"] = {"task": about.harder_than, **base}
        if not rises(own, base):
            figures = ", ".join(f"{key} {own[key]:g} after {base[key]:g}" for key in own)
            why = f"It is no harder than {about.harder_than}: {figures}."
            return Gate(6, False, evidence, why)
    return Gate(6, True, evidence)
