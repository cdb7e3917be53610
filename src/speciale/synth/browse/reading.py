"""What the page shows, as JSON: families and tasks out of the index, the rest out of folders.

Nothing here runs or imports what a family holds: code is text, and databases are read in the
sandbox.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from speciale.errors import DataError
from speciale.sandbox import Limits, Sandbox
from speciale.synth import database as db
from speciale.synth.gates.gate import GATES, Judged, gates_json
from speciale.synth.index import Entry
from speciale.synth.statistics import statistics
from speciale.synth.store import Store
from speciale.synth.work import KEY
from speciale.tasks.synthesised.family import Family, TaskFiles
from speciale.tasks.synthesised.signatures import tools_of

FAMILIES, ROWS = 50, 50  # on a page
MOST_TEXT = 200_000  # characters of a file that are shown
DATABASE, SCHEMA, TOOLS = "data.sqlite", "schema.sql", "tools.py"
FILTERS = ("kind", "category", "state", "level", "pattern", "gate", "text")
_LIMITS = Limits(memory_mb=512, cpu_s=10, wall_s=15, output_kb=4096)
_INSIDE = Path(__file__).with_name("rows_inside.py")


class Missing(Exception):
    """What was asked for is not there."""


def about_store(store: Store) -> dict[str, Any]:
    """Figures of the whole store, and the values that can be filtered by."""
    told = statistics(store)
    with store.index.database.reading() as connection:
        columns = {
            "kind": db.families.c.kind, "category": db.families.c.category,
            "state": db.families.c.state, "level": db.tasks.c.level,
            "pattern": db.tasks.c.pattern, "gate": db.tasks.c.gate,
        }  # fmt: skip
        values = {
            name: sorted(v for v in connection.scalars(sa.select(column).distinct()) if v)
            for name, column in columns.items()
        }
    return {
        "name": store.folder.resolve().name,
        "troubles": store.troubles,
        "families": told.families,
        "items": told.items,
        "accepted": told.accepted,
        "judged": sum(judged for _, judged in told.tasks.values()),
        "duplicates": told.duplicates,
        "counts": told.counts,
        "refused": [
            {"gate": gate, "name": GATES[gate], "tasks": count, "reasons": told.reasons[gate]}
            for gate, count in told.refused.items()
        ],
        "without": told.without,
        "levels": [vars(level) for level in told.levels],
        "likeness": told.likeness,
        "values": values,
        "gates": GATES,
    }


def list_families(store: Store, asked: Mapping[str, str]) -> dict[str, Any]:
    """A page of families that fit the filters, with figures of their tasks. DataError for a filter
    that is no number where one is needed."""
    families, tasks = db.families.c, db.tasks.c
    where: list[Any] = []
    of_tasks: list[Any] = []
    for name in ("kind", "category", "state"):
        if asked.get(name):
            where.append(families[name] == asked[name])
    if asked.get("pattern"):
        of_tasks.append(tasks.pattern == asked["pattern"])
    for name in ("level", "gate"):
        if asked.get(name):
            of_tasks.append(tasks[name] == number_of(asked, name))
    if of_tasks:
        where.append(families.id.in_(sa.select(tasks.family).where(*of_tasks)))
    if text := db.text(asked.get("text", "").strip()):
        by_prompt = sa.select(tasks.family).where(tasks.prompt.icontains(text, autoescape=True))
        where.append(
            sa.or_(
                families.id.icontains(text, autoescape=True),
                families.about.icontains(text, autoescape=True),
                families.reason.icontains(text, autoescape=True),
                families.id.in_(by_prompt),
            )
        )
    first = max(0, number_of(asked, "first"))
    query = sa.select(db.families).where(*where).order_by(families.id)
    with store.index.database.reading() as connection:
        count = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery()))
        found = connection.execute(query.limit(FAMILIES).offset(first)).mappings().all()
        ids = [row["id"] for row in found]
        columns = (tasks.family, tasks.level, tasks.calls)
        measured = connection.execute(
            sa.select(*columns).where(tasks.family.in_(ids), tasks.accepted)
        ).all()
    names = ("id", "state", "kind", "category", "about", "reason", "accepted", "refused")
    return {
        "count": count,
        "first": first,
        "page": FAMILIES,
        "families": [
            {name: row[name] for name in names}
            | {
                "levels": _span(m.level for m in measured if m.family == row["id"]),
                "calls": _span(m.calls for m in measured if m.family == row["id"]),
            }
            for row in found
        ],
    }


def show_family(store: Store, id: str) -> dict[str, Any]:
    """A family: what it is about, schema, tools, files, its tasks in short."""
    entry = entry_of(store, id)
    told: dict[str, Any] = {
        "id": id, "state": entry.state, "item": entry.item, "reason": entry.reason,
        "tasks": [], "tools": [], "files": [],
    }  # fmt: skip
    family = entry.family
    if family is None:
        return told
    rows = {row["number"]: row for row in store.index.tasks(family=id)}
    names = ("calls", "space", "pass_rate", "nearest", "jaccard", "gate", "reason")
    told |= {
        "about": family.about.model_dump(),
        "schema": _text(family.files[SCHEMA]) if SCHEMA in family.files else None,
        "database": DATABASE in family.files,
        "files": [{"path": p, "bytes": len(data)} for p, data in sorted(family.files.items())],
        "tasks": [
            {
                "number": number, "prompt": task.about.prompt, "level": task.about.level,
                "pattern": task.about.pattern, "harder_than": task.about.harder_than,
                "accepted": number in entry.accepted,
                "judged": bool(entry.judged.get(number, Judged("", ())).gates),
                **{name: rows.get(number, {}).get(name) for name in names},
            }
            for number, task in family.tasks.items()
        ],
    }  # fmt: skip
    if TOOLS in family.files:
        told |= _tools(family)
    return told


def show_task(store: Store, id: str, number: str) -> dict[str, Any]:
    """A task: prompt, code, its solution's calls, the gates with their evidence."""
    entry = entry_of(store, id)
    if entry.family is None or number not in entry.family.tasks:
        raise Missing
    task = entry.family.tasks[number]
    judged = entry.judged.get(number, Judged("", ()))
    gates = gates_json({number: judged})["tasks"][number]["gates"]
    evidence = {gate.number: gate.evidence for gate in judged.gates}
    trace = evidence.get(1, {}).get("trace")
    return {
        "id": id,
        "number": number,
        "numbers": list(entry.family.tasks),
        "accepted": judged.accepted,
        "about": task.about.model_dump(),
        "answer": evidence.get(3, {}).get("answer"),
        "trace": trace if isinstance(trace, list) else [],
        "calls": evidence.get(1, {}).get("calls"),
        "gates": [
            {**gate, "evidence": {k: v for k, v in gate["evidence"].items() if k != "trace"}}
            for gate in gates
        ],
        "files": _code(task),
    }


def show_file(store: Store, id: str, path: str) -> dict[str, Any]:
    """One of the environment's files as a text."""
    family = entry_of(store, id).family
    if family is None or path not in family.files:
        raise Missing
    data = family.files[path]
    return {"path": path, "bytes": len(data), "text": _text(data), "clipped": len(data) > MOST_TEXT}


async def show_rows(
    sandbox: Sandbox, family: Family, table: str | None, first: int
) -> dict[str, Any]:
    """The tables of a family's database, or a page of one's rows."""
    if DATABASE not in family.files:
        raise Missing
    command = ["python3", "rows_inside.py", DATABASE]
    if table is not None:
        command += [table, str(first), str(ROWS)]
    files = {"rows_inside.py": _INSIDE.read_bytes(), DATABASE: family.files[DATABASE]}
    outcome = await sandbox.run(command, files=files, limits=_LIMITS)
    try:
        told = json.loads(outcome.stdout)
        if fault := told.get("fault"):
            raise DataError(str(fault))
        found = told["found"]
    except (ValueError, KeyError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        why = f"it was stopped by a limit, {outcome.stopped}" if outcome.stopped else "no answer"
        raise DataError(f"The database cannot be read: {why}.") from None
    if found is None:
        raise Missing
    return {"tables": found} if table is None else {**found, "page": ROWS}


def entry_of(store: Store, id: str) -> Entry:
    """Missing where the store has nothing about it, DataError where that cannot be read."""
    if not KEY.fullmatch(id) or store.index.accepted(id) is None:
        raise Missing
    return store.entry(id)


def _tools(family: Family) -> dict[str, Any]:
    """Each tool with its schema and source; where the file makes no tools, why."""
    source = _text(family.files[TOOLS])
    try:
        schemas = [tool["function"] for tool in tools_of(source)]
        tree = ast.parse(source)
    except (DataError, SyntaxError, ValueError, RecursionError) as error:
        return {"source": source, "tools_fault": str(error)}
    parts = {
        node.name: ast.get_source_segment(source, node)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    return {
        "source": source,
        "tools": [{**schema, "source": parts.get(schema["name"])} for schema in schemas],
    }


def _code(task: TaskFiles) -> list[dict[str, str]]:
    """solution.py and verify.py first, then what else there is."""
    order = {"solution.py": 0, "verify.py": 1}
    names = sorted(task.files, key=lambda name: (order.get(name, 2), name))
    return [{"name": name, "text": _text(task.files[name])} for name in names]


def _text(data: bytes) -> str:
    return data[: MOST_TEXT * 4].decode(errors="replace")[:MOST_TEXT]


def number_of(asked: Mapping[str, str], name: str) -> int:
    """A whole number out of a query, 0 where there is none. DataError where it is no number."""
    value = asked.get(name) or "0"
    if not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise DataError(f"{name} is {value[:50]!r}: give a whole number")
    return int(value)


def _span(values: Any) -> list[int] | None:
    known = [value for value in values if value is not None]
    return [min(known), max(known)] if known else None
