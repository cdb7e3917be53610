"""Which task comes next: domains by weight, sources and levels by how much they still teach.

V3.2 report, 3.1: one mixed run; prompts that are hard but not hopeless count. A cell is a source at
a level; its weight falls with the share of its last groups that were all right or all wrong, since
these have no advantage to learn from. All of it is a function of seed and history, so it resumes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from random import Random
from typing import Any

from speciale.errors import ConfigError, DataError
from speciale.rl.recipe import Recipe
from speciale.tasks.sources import load_tasks
from speciale.tasks.synthesised.pool import WorldPool
from speciale.tasks.task import Task

_SOURCE = re.compile(r"(?P<source>.+?)(?:@(?P<first>\d+)(?:-(?P<last>\d+))?)?")


@dataclass(frozen=True)
class Cell:
    """A source at a level (None: whatever the source gives)."""

    domain: str
    source: str
    level: int | None

    @property
    def name(self) -> str:
        return self.source if self.level is None else f"{self.source}@{self.level}"

    def tasks(self, seed: int, split: str, pool: WorldPool | None = None) -> Iterator[Task]:
        found = load_tasks(self.source, seed=seed, level=self.level, split=split, pool=pool)
        return found


def cells_of(domain: str, sources: list[str]) -> list[Cell]:
    """SOURCE, SOURCE@LEVEL and SOURCE@FIRST-LAST as cells. ConfigError for others."""
    cells = []
    for text in sources:
        found = _SOURCE.fullmatch(text)
        first, last = found["first"], found["last"] or found["first"]
        if first is None:
            cells.append(Cell(domain, text, None))
            continue
        if int(last) < int(first):
            raise ConfigError(f"domains.{domain}: {text!r} has no level: write the lower one first")
        cells += [Cell(domain, found["source"], n) for n in range(int(first), int(last) + 1)]
    return cells


@dataclass
class Draw:
    """A task whose group of attempts is to be made. `number` counts all draws of the run."""

    number: int
    domain: str
    cell: str
    task: Task
    thinking: bool
    at: tuple[int, int] = (0, 0)  # where the task stands in its cell: epoch, place

    @property
    def mark(self) -> list[Any]:
        """JSON that `Draws.again` makes the same draw of."""
        return [self.number, self.domain, self.cell, self.thinking, *self.at]


@dataclass
class _Place:
    """How far a cell's tasks are read, and how its last groups went."""

    cell: Cell
    drawn: int = 0
    told: list[bool] = field(default_factory=list)  # neither all right nor all wrong
    tasks: Iterator[Task] | None = None
    epoch: int = 0


class Draws:
    """Endless draws; `state` and `restore` carry all that they depend on."""

    def __init__(self, recipe: Recipe, pool: WorldPool | None = None) -> None:
        """pool: warm worlds for synthesised tasks."""
        self._domains, self._curriculum, self._seed = recipe.domains, recipe.curriculum, recipe.seed
        self._pool = pool
        self._count = 0
        self._given = dict.fromkeys(recipe.domains, 0)
        self._banned: set[str] = set()
        self._places = {
            name: [_Place(cell) for cell in cells_of(name, recipe.sources(name))]
            for name in recipe.domains
        }

    def next(self) -> Draw:
        """DataError where a source has no task at all."""
        number = self._count
        domain = min(self._domains, key=self._turn)
        rng = Random(f"{self._seed}/{number}")
        places = self._places[domain]
        place = rng.choices(places, [self.weight(each) for each in places])[0]
        task = self._task(place)
        self._count += 1
        self._given[domain] += 1
        mode = self._domains[domain].thinking
        thinking = mode == "on" or (mode == "mixed" and rng.random() < 0.5)
        at = (place.epoch, place.drawn - 1)
        return Draw(number, domain, place.cell.name, task, thinking, at)

    def again(self, mark: list[Any]) -> Draw:
        """A draw that was made before."""
        number, domain, cell, thinking, epoch, index = mark
        place = next(p for p in self._places[domain] if p.cell.name == cell)
        tasks = place.cell.tasks(self._seed + epoch, "train", self._pool)
        task = next(islice(tasks, index, None))
        return Draw(number, domain, cell, task, thinking, (epoch, index))

    def weight(self, place: _Place) -> float:
        """Of a cell within its domain: what share of its last groups taught something."""
        told = place.told[-self._curriculum.window :]
        if len(told) < 2:
            return 1.0
        return max(self._curriculum.floor, sum(told) / len(told))

    def weights(self) -> dict[str, float]:
        """By cell."""
        return {p.cell.name: self.weight(p) for ps in self._places.values() for p in ps}

    def tell(self, domain: str, cell: str, informative: bool) -> None:
        """How a group went."""
        place = next(p for p in self._places[domain] if p.cell.name == cell)
        place.told = [*place.told, informative][-self._curriculum.window :]

    def ban(self, task: Task) -> None:
        """A task whose verifier cannot be trusted comes no more."""
        self._banned.add(_key(task))

    def state(self) -> dict[str, Any]:
        """JSON."""
        return {
            "count": self._count,
            "given": self._given,
            "banned": sorted(self._banned),
            "places": [
                [[p.cell.name, p.epoch, p.drawn, p.told] for p in places]
                for places in self._places.values()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._count, self._given = state["count"], dict(state["given"])
        self._banned = set(state["banned"])
        for places, kept in zip(self._places.values(), state["places"], strict=True):
            for place, (_, epoch, drawn, told) in zip(places, kept, strict=True):
                place.epoch, place.drawn, place.told = epoch, drawn, list(told)
                place.tasks = None

    def _turn(self, domain: str) -> float:
        """The domain that is furthest behind its weight comes next."""
        return (self._given[domain] + 0.5) / self._domains[domain].weight

    def _task(self, place: _Place) -> Task:
        barren = 0  # ends of the source since a task was found
        while True:
            if place.tasks is None:
                place.tasks = place.cell.tasks(self._seed + place.epoch, "train", self._pool)
                place.tasks = islice(place.tasks, place.drawn, None)
            task = next(place.tasks, None)
            if task is None:
                barren += 1
                if place.drawn == 0 or barren > 1:
                    raise DataError(
                        f"domain {place.cell.domain!r}: the source {place.cell.name!r} has no "
                        "task to train on that can be trusted: leave it out, or make some"
                    )
                place.epoch, place.drawn, place.tasks = place.epoch + 1, 0, None
                continue
            place.drawn += 1
            if _key(task) not in self._banned:
                return task


def _key(task: Task) -> str:
    return f"{task.source}#{task.id}"
