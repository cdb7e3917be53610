"""The index of a store: families, tasks, and the bands in which near-duplicates are found.

It is derived from the folders and can be made again from them; see store.py for who writes when.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from speciale.synth import database as db
from speciale.synth.gates.gate import Judged
from speciale.synth.near import Other, Print, print_of
from speciale.synth.work import Item
from speciale.tasks.synthesised.family import Family


@dataclass(frozen=True)
class Entry:
    """What the index is told of an item: what came of it, and the family with all its tasks."""

    item: Item
    family: Family | None
    judged: Mapping[str, Judged]
    reason: str | None = None
    failed: bool = False

    @property
    def id(self) -> str:
        return str(self.item["key"])

    @property
    def accepted(self) -> list[str]:
        return sorted(number for number, one in self.judged.items() if one.accepted)

    @property
    def state(self) -> str:
        return "kept" if self.accepted else "failed" if self.failed else "rejected"


class Index:
    """`url` as in database.Database."""

    def __init__(self, url: str) -> None:
        self.database = db.Database(url)

    def close(self) -> None:
        self.database.close()

    def owner(self, store: str) -> str:
        """The store that this index is of, by its id; from now on this one where it is new."""
        with self.database.writing() as connection:
            meta = db.meta.c
            found = connection.scalar(sa.select(meta.value).where(meta.name == "store"))
            if found is None:
                connection.execute(db.meta.insert().values(name="store", value=store))
            return found or store

    def ids(self) -> dict[str, str]:
        """The state of every item that is done, by its key."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(db.families.c.id, db.families.c.state))
            return {row.id: row.state for row in rows}

    def accepted(self, id: str) -> int | None:
        """How many tasks of an item were accepted; None for one that is not done."""
        query = sa.select(db.families.c.accepted).where(db.families.c.id == id)
        with self.database.reading() as connection:
            return connection.scalar(query)

    def add(self, *entries: Entry) -> None:
        """In one transaction. Rows of the same items that are there already are replaced."""
        with self.database.writing() as connection:
            for entry in entries:
                _remove(connection, entry.id)
                _add(connection, entry)

    def remove(self, *ids: str) -> None:
        with self.database.writing() as connection:
            for id in ids:
                _remove(connection, id)

    def near(self, new: Print) -> list[Other]:
        """The accepted tasks that share a band with this one, or have its data and prompt."""
        tasks, bands = db.tasks, db.bands
        columns = (tasks.c.family, tasks.c.number, tasks.c.prompt, tasks.c.twin)
        same = sa.and_(bands.c.family == tasks.c.family, bands.c.number == tasks.c.number)
        shared = (
            sa.select(*columns)
            .join(bands, same)
            .where(bands.c.band.in_(new.bands), tasks.c.structure == new.structure)
            .where(tasks.c.accepted)
            .distinct()
        )
        twins = sa.select(*columns).where(tasks.c.twin == new.twin, tasks.c.accepted)
        with self.database.reading() as connection:
            rows = {*connection.execute(shared), *connection.execute(twins)}
        return [Other(f"{row.family}/{row.number}", row.prompt, row.twin) for row in rows]

    def tasks(self, **equal: Any) -> Iterator[Mapping[str, Any]]:
        """The rows of tasks whose columns have these values, by family and number."""
        yield from self._rows(db.tasks, equal, ("family", "number"))

    def families(self, **equal: Any) -> Iterator[Mapping[str, Any]]:
        """The rows of families whose columns have these values, by id."""
        yield from self._rows(db.families, equal, ("id",))

    def _rows(
        self, table: sa.Table, equal: Mapping[str, Any], order: tuple[str, ...]
    ) -> Iterator[Mapping[str, Any]]:
        query = sa.select(table).order_by(*(_bytewise(table.c[name], self) for name in order))
        for name, value in equal.items():
            query = query.where(table.c[name] == value)
        with self.database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        yield from rows


def _bytewise(column: sa.Column[Any], index: Index) -> Any:
    return column if index.database.sqlite else column.collate("C")  # not by a language's rules


def _remove(connection: sa.Connection, id: str) -> None:
    connection.execute(db.bands.delete().where(db.bands.c.family == id))
    connection.execute(db.tasks.delete().where(db.tasks.c.family == id))
    connection.execute(db.families.delete().where(db.families.c.id == id))


def _add(connection: sa.Connection, entry: Entry) -> None:
    family, accepted = entry.family, entry.accepted
    about: dict[str, Any] = {}
    if family is not None:
        names = ("kind", "category", "generator", "about")
        about = {name: db.text(getattr(family.about, name)) for name in names}
        seed = family.about.seed
        about["seed"] = seed if -(2**63) <= seed < 2**63 else None
    connection.execute(
        db.families.insert().values(
            id=entry.id, state=entry.state, item=json.dumps(entry.item, sort_keys=True),
            reason=db.text(entry.reason), accepted=len(accepted),
            refused=len(entry.judged) - len(accepted), **about,
        )
    )  # fmt: skip
    if family is None:
        return
    rows, bands = [], []
    for number in sorted(family.tasks):
        judged = entry.judged.get(number, Judged("", ()))
        found = print_of(family, number)
        rows.append(_task(family, number, judged, found))
        if judged.accepted:
            keys = sorted(set(found.bands))
            bands += [{"band": key, "family": entry.id, "number": number} for key in keys]
    if rows:
        connection.execute(db.tasks.insert(), rows)
    if bands:
        connection.execute(db.bands.insert(), bands)


def _task(family: Family, number: str, judged: Judged, found: Print) -> dict[str, Any]:
    about, refusal = family.tasks[number].about, judged.refusal
    evidence = {gate.number: gate.evidence for gate in judged.gates}
    new = evidence.get(7, {})
    return {
        "family": family.about.id, "number": number, "kind": family.about.kind,
        "category": family.about.category, "level": about.level, "pattern": db.text(about.pattern),
        "digest": judged.digest, "prompt": db.text(about.prompt), "twin": found.twin,
        "structure": found.structure, "calls": _whole(evidence.get(6, {}).get("calls")),
        "space": _number(evidence.get(6, {}).get("space_log10")),
        "pass_rate": _rate(evidence.get(8, {})),
        "nearest": new.get("nearest"), "jaccard": _number(new.get("jaccard")),
        "accepted": judged.accepted, "gate": refusal.number if refusal else None,
        "reason": db.text(refusal.reason) if refusal else None,
    }  # fmt: skip


def _rate(evidence: Mapping[str, Any]) -> float | None:
    passed, attempts = _number(evidence.get("passed")), _number(evidence.get("attempts"))
    return passed / attempts if passed is not None and attempts else None


def _number(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if good else None


def _whole(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
    return value if good else None
