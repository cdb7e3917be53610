"""From attempts to rows: pass@1 with its interval, pass@k, tokens and cost, a cell at a time.

What was not measured is left out of every mean and counted beside it; a cell without any measured
attempt has no figure at all, never a zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from speciale.evals import statistics
from speciale.evals.attempts import Record
from speciale.evals.kept import ALL


@dataclass(frozen=True)
class Prices:
    """Of a million tokens, in whatever currency."""

    prompt: float
    sampled: float

    def of(self, prompt: int, sampled: int) -> float:
        return (prompt * self.prompt + sampled * self.sampled) / 1e6


def rows_of(
    records: Sequence[Record],
    prices: Prices | None = None,
    chance: Mapping[str, float] | None = None,
) -> list[dict]:
    """One row a cell in the records' order, then one over all tasks. chance: what guessing solves
    of a cell."""
    cells: dict[str, list[Record]] = {}
    for record in records:
        cells.setdefault(record.cell, []).append(record)
    if len(cells) > 1:
        cells[ALL] = list(records)
    chance = dict(chance or {})
    if chance:
        tasks = {(record.cell, record.task) for record in records}
        chance[ALL] = statistics.mean([chance[cell] for cell, _ in tasks])
    return [
        {"cell": cell, **_solved(found), "chance": chance.get(cell), **_spent(found, prices)}
        for cell, found in cells.items()
    ]


def _solved(records: Sequence[Record]) -> dict:
    tasks = by_task(records)
    means = [statistics.mean([r.solved for r in found]) for found in tasks.values()]
    samples = min(map(len, tasks.values()), default=0)
    if not means:
        keys = ("pass1", "interval", "k", "passk", "score")
        return {"tasks": 0, "samples": 0, **dict.fromkeys(keys), "passes": []}
    solved = [(len(found), sum(r.solved for r in found)) for found in tasks.values()]
    passes = [  # for k = 1, 2 and so on, up to as many attempts as every task has
        statistics.mean([statistics.pass_at_k(count, right, k) for count, right in solved])
        for k in range(1, samples + 1)
    ]
    scores = [statistics.mean([r.score or 0.0 for r in found]) for found in tasks.values()]
    return {
        "tasks": len(tasks),
        "samples": samples,
        "pass1": statistics.mean(means),
        "interval": list(statistics.interval(means)),
        "k": samples if samples > 1 else None,
        "passk": passes[-1] if samples > 1 else None,
        "passes": passes,
        "score": statistics.mean(scores),
    }


def _spent(records: Sequence[Record], prices: Prices | None) -> dict:
    """Tokens of an attempt and of a solved task, cost of a solved task, attempts not measured."""
    measured = [record for record in records if record.score is not None]
    known = [record for record in measured if record.tokens is not None]
    sampled = sum(record.tokens or 0 for record in known)
    prompts = sum(record.prompt_tokens or 0 for record in known)
    solved = sum(record.solved for record in known)
    return {
        "tokens": sampled / len(known) if known else None,
        "tokens_per_solved": sampled / solved if solved else None,
        "cost_per_solved": prices.of(prompts, sampled) / solved if prices and solved else None,
        "not_measured": len(records) - len(measured),
    }


def by_task(records: Sequence[Record]) -> dict[tuple[str, str], list[Record]]:
    """The measured attempts at each task."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.score is not None:
            found.setdefault((record.cell, record.task), []).append(record)
    return found


def compared(first: Sequence[Record], second: Sequence[Record]) -> list[dict]:
    """The second target less the first, by cell and over all, on the tasks that both have."""
    one, two = by_task(first), by_task(second)
    shared = [task for task in one if task in two]
    rows = []
    cells = list(dict.fromkeys(cell for cell, _ in shared))
    for cell in [*cells, *([ALL] if len(cells) > 1 else [])]:
        tasks = [task for task in shared if cell in (task[0], ALL)]
        found = statistics.compare(
            [statistics.mean([r.solved for r in one[task]]) for task in tasks],
            [statistics.mean([r.solved for r in two[task]]) for task in tasks],
        )
        rows.append({"cell": cell, **vars(found), "significant": found.significant})
    return rows
