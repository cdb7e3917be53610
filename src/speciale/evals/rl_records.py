"""What an RL run's metrics.jsonl tells: a line a step, and a line an evaluation on held-out tasks.

Cut-off and broken lines are left out; where a resumed run wrote a step twice the later line counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from speciale.evals.records import mapping, number, objects, parsed

Curve = tuple[list[float], list[float]]  # steps, values


@dataclass(frozen=True)
class RlRecords:
    """Both sorted by step, of which an evaluation's is how many were trained before it."""

    steps: dict[float, dict]
    evaluations: dict[float, list[dict]]

    @property
    def seconds(self) -> float | None:
        return max(filter(None, (number(line.get("seconds")) for line in self.steps.values())),
                   default=None)  # fmt: skip

    def curve(self, *path: str) -> Curve:
        """A figure of the steps, where it was recorded: `curve("reward", "mean")`."""
        found: dict[float, float] = {}
        for step, line in self.steps.items():
            value: object = line
            for key in path:
                value = mapping(value).get(key)
            figure = number(value)
            if figure is not None:
                found[step] = figure
        return list(found), list(found.values())

    def pass1(self, trained: bool) -> Curve:
        """The mean over environments of what was solved of held-out tasks."""
        found = {
            step: values
            for step, rows in self.evaluations.items()
            if (values := list(_held_out(rows, trained)))
        }
        return list(found), [fmean(values) for values in found.values()]


def _held_out(rows: list[dict], trained: bool) -> Iterator[float]:
    for row in rows:
        if row.get("split") != "train" and bool(row.get("trained")) is trained:
            value = number(row.get("pass1"))
            if value is not None:
                yield value


def rl_lines(folder: Path) -> list[dict]:
    try:
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line for line in map(parsed, text.split("\n")) if line is not None]


def read_rl(folder: Path) -> RlRecords:
    steps: dict[float, dict] = {}
    evaluations: dict[float, list[dict]] = {}
    for line in rl_lines(folder):
        step = number(line.get("step"))
        if step is not None and line.get("kind") == "step":
            steps[step] = line
        elif step is not None and line.get("kind") == "eval":
            evaluations[step] = objects(line.get("rows"))
    return RlRecords(dict(sorted(steps.items())), dict(sorted(evaluations.items())))
