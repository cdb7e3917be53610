"""Figures about a store: counts, the acceptance table by gate, difficulty by level, likeness.

All of it is read from the index.
"""

from __future__ import annotations

import re
import statistics as maths
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from speciale.synth.gates.gate import GATES
from speciale.synth.store import Store

MOST_REASONS = 5  # of a gate, in the table


@dataclass(frozen=True)
class Level:
    """Of the accepted tasks of one kind and level: medians, where they were measured."""

    kind: str
    level: int
    tasks: int
    calls: float | None
    space: float | None  # log10
    pass_rate: float | None


@dataclass(frozen=True)
class Statistics:
    """`tasks`: accepted of judged, by kind. `counts`: accepted tasks by kind, category, level,
    pattern. `refused`: tasks by the first gate that did not pass, `reasons` the commonest of each
    with their numbers; `without`: the same of items that gave no family. `likeness`: accepted tasks
    by the tenth that their Jaccard similarity to the nearest one lies in, 0 to 10."""

    families: int
    items: Mapping[str, int]  # by state: kept, rejected, failed
    tasks: Mapping[str, tuple[int, int]]
    counts: Mapping[str, Mapping[str, int]]
    refused: Mapping[int, int]
    reasons: Mapping[int, list[tuple[str, int]]]
    without: list[tuple[str, int]] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    likeness: Mapping[int, int] = field(default_factory=dict)

    @property
    def accepted(self) -> int:
        return sum(accepted for accepted, _ in self.tasks.values())

    @property
    def duplicates(self) -> int:
        return self.refused.get(7, 0)


def statistics(store: Store, **equal: Any) -> Statistics:
    """Of all in the store, or of the tasks whose columns have these values, such as `kind`."""
    families = list(store.index.families(**{k: v for k, v in equal.items() if k != "level"}))
    rows = list(store.index.tasks(**equal))
    kept = [row for row in rows if row["accepted"]]
    judged = Counter(row["kind"] for row in rows)
    accepted = Counter(row["kind"] for row in kept)
    gates: dict[int, Counter[str]] = {}
    for row in rows:
        if row["gate"] is not None:
            gates.setdefault(row["gate"], Counter())[_kind_of(row["reason"] or "")] += 1
    without = Counter(_kind_of(row["reason"]) for row in families if row["reason"])
    return Statistics(
        families=sum(row["state"] == "kept" for row in families),
        items=_counted(row["state"] for row in families),
        tasks={kind: (accepted[kind], judged[kind]) for kind in sorted(judged)},
        counts={
            name: _counted(str(row[name]) for row in kept)
            for name in ("kind", "category", "level", "pattern")
        },
        refused={gate: sum(gates[gate].values()) for gate in sorted(gates)},
        reasons={gate: _commonest(gates[gate]) for gate in sorted(gates)},
        without=_commonest(without),
        levels=_levels(kept),
        likeness=dict(sorted(Counter(int((row["jaccard"] or 0.0) * 10) for row in kept).items())),
    )


def gate_name(gate: int) -> str:
    """Such as "4 rejects"."""
    return f"{gate} {GATES.get(gate, '')}".strip()


def _levels(kept: list[Mapping[str, Any]]) -> list[Level]:
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in kept:
        groups.setdefault((row["kind"], row["level"]), []).append(row)
    return [
        Level(
            kind, level, len(rows),
            *(_median(row[name] for row in rows) for name in ("calls", "space", "pass_rate")),
        )
        for (kind, level), rows in sorted(groups.items())
    ]  # fmt: skip


def _median(values: Iterable[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return maths.median(measured) if measured else None


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _commonest(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_REASONS]


def _kind_of(reason: str) -> str:
    """A reason without what is particular to one task, so that like ones count together."""
    text = re.sub(
        r"'[^']*'|\"[^\"]*\"|\{.*\}|\[.*\]", "…", reason.splitlines()[0] if reason else ""
    )
    text = re.sub(r"\b[\w.-]+/\d{3,6}\b", "…", text)
    return re.sub(r"\d+(?:[.,]\d+)*", "N", text)[:160]
