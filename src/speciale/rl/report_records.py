"""What a report shows of an RL run's folder: steps and evaluations of metrics.jsonl, and samples.

A run may be in progress or killed: cut-off and broken lines are left out, and where a resumed run
wrote a step twice the later line counts.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speciale.errors import DataError
from speciale.rl.metrics import flatten

TASKS = 60  # shown at most
COLUMNS = 24  # evaluation steps of a task, at most: the first, the last, and others between
TEXT = 12_000  # characters of one text, of which the middle is left out beyond
BYTES = 32_000_000  # of all samples together


@dataclass(frozen=True)
class Row:
    """A line of an evaluation: one environment at one level."""

    step: int
    figures: Mapping[str, Any]

    @property
    def domain(self) -> str:
        return str(self.figures.get("domain", "unnamed"))

    @property
    def source(self) -> str:
        return str(self.figures.get("source", "unnamed"))

    @property
    def level(self) -> str:
        """ "" where a source is asked at all of its levels."""
        level = self.figures.get("level")
        return "" if level is None else str(level)

    @property
    def trained(self) -> bool:
        return bool(self.figures.get("trained"))

    @property
    def held_out(self) -> bool:
        """Whether its tasks were not trained on, be its environment trained on or not."""
        return self.figures.get("split") != "train"

    @property
    def key(self) -> tuple[str, ...]:
        """What it measures: the same at every step."""
        split = str(self.figures.get("split", ""))
        return self.domain, self.source, self.level, split, str(self.trained)

    def number(self, name: str) -> float | None:
        return _number(self.figures.get(name))


@dataclass(frozen=True)
class Records:
    """A run's figures, sorted by step. `steps`: the flattened figures of each training step."""

    name: str
    steps: dict[int, dict[str, float]]
    rows: list[Row]
    seconds: float  # the last record's

    def series(self, key: str) -> tuple[list[int], list[float]]:
        """Steps and values of a figure, where it was recorded."""
        found = [(step, figures[key]) for step, figures in self.steps.items() if key in figures]
        return [step for step, _ in found], [value for _, value in found]

    def keys(self, start: str) -> list[str]:
        """The figures that begin so, in the order of their first record."""
        names = (key for figures in self.steps.values() for key in figures)
        return [key for key in dict.fromkeys(names) if key.startswith(start)]


def read_records(folder: Path) -> Records:
    """DataError where there is no metrics.jsonl, or no record in it yet."""
    steps: dict[int, dict[str, float]] = {}
    evaluations: dict[int, list[Row]] = {}
    seconds = 0.0
    path = Path(folder) / "metrics.jsonl"
    for _, record in _lines(path, "give the folder that `speciale rl RECIPE --out DIR` wrote"):
        step = _number(record.get("step"))
        if step is None:
            continue
        seconds = max(seconds, _number(record.get("seconds")) or 0.0)
        if record.get("kind") == "eval":
            rows = record.get("rows")
            rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            evaluations[int(step)] = [Row(int(step), row) for row in rows]
        elif record.get("kind") == "step":
            figures = {k: v for k, v in flatten(record) if math.isfinite(v)}
            steps[int(step)] = figures
    if not steps and not evaluations:
        raise DataError(f"{path} holds no step and no evaluation yet: wait for the run's first one")
    rows = [row for _, rows in sorted(evaluations.items()) for row in rows]
    return Records(_name(Path(folder)), dict(sorted(steps.items())), rows, seconds)


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """Tasks to compare over time: [{task, domain, steps: [sample, ...]}], steps ascending.

    Only tasks with samples of at least two steps, at most TASKS, taken from the domains in turn,
    those with the most steps first. Of several samples of a task at one step the last counts. The
    file is read twice rather than held. DataError where there is none.
    """
    path = Path(folder) / "samples.jsonl"
    places: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)  # the byte of each step's
    advice = (
        "an evaluation writes it: wait for the run's first one, or give the folder of an RL run"
    )
    for place, record in _lines(path, advice):
        step = _number(record.get("step"))
        if step is not None and isinstance(record.get("messages"), list):
            key = str(record.get("domain", "unnamed")), str(record.get("task", "unnamed"))
            places[key][int(step)] = place
    shown, size = [], 0
    with open(path, "rb") as file:
        for domain, task in _chosen(places):
            columns = []
            for _, place in _spread(sorted(places[domain, task].items())):
                file.seek(place)
                columns.append(_cut(json.loads(file.readline())))
            size += len(json.dumps(columns))
            if size > BYTES and shown:
                break
            shown.append({"task": task, "domain": domain, "steps": columns})
    return sorted(shown, key=lambda each: each["domain"])  # stable: within a domain as chosen


def _lines(path: Path, advice: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file of lines, each with the byte it begins at."""
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): {advice}") from None
    with file:
        place = 0
        for line in file:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None  # under way, or cut off by a kill
            if isinstance(record, dict):
                yield place, record
            place += len(line)


def _chosen(places: Mapping[tuple[str, str], Mapping[int, int]]) -> list[tuple[str, str]]:
    domains: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for key, steps in places.items():
        if len(steps) > 1:
            domains[key[0]].append(key)
    ranked = []
    for keys in domains.values():
        keys.sort(key=lambda key: -len(places[key]))
        ranked += list(enumerate(keys))
    ranked.sort(key=lambda pair: pair[0])  # the first of each domain, then the second of each
    return [key for _, key in ranked[:TASKS]]


def _spread(items: list[Any]) -> list[Any]:
    if len(items) <= COLUMNS:
        return items
    last = len(items) - 1
    return [items[round(index * last / (COLUMNS - 1))] for index in range(COLUMNS)]


def _cut(value: Any) -> Any:
    """A value with its long texts shortened in the middle, as they say themselves."""
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_cut(each) for each in value]
    if isinstance(value, str) and len(value) > TEXT:
        half = TEXT // 2
        return (
            f"{value[:half]}\n[… {len(value) - 2 * half:,} characters left out …]\n{value[-half:]}"
        )
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _name(folder: Path) -> str:
    try:
        name = json.loads((folder / "run.json").read_bytes()).get("name")
    except (OSError, ValueError, AttributeError):
        name = None
    return str(name or folder.resolve().name)


def _number(value: Any) -> float | None:
    """A finite number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
