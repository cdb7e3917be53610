"""What a suite is: questions, and two who answer without a model.

The oracle knows the answers and must score 1; the guesser draws from what an answer may be and must
come near the chance that can be reckoned. Where they do not, the suite is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from speciale.errors import ConfigError
from speciale.evals.attempts import Question
from speciale.tasks.task import Task

Said = dict[str, Any] | str  # an assistant message in OpenAI's form, or its content


@dataclass(frozen=True)
class Choice:
    """What of a suite is asked."""

    cells: Sequence[str] = ()  # none: the suite's own
    tasks: int = 20  # of each cell
    seed: int = 0
    store: Path | None = None  # of synthesised tasks
    window: int = 131_072  # tokens that the target can hold
    count: Callable[[str], int] = len  # tokens of a text, by the target


@dataclass(frozen=True)
class Suite:
    """oracle and guess: question -> the messages of an attempt, one after the other. chance: what
    guessing solves of a question."""

    name: str
    about: str
    questions: Callable[[Choice], list[Question]]
    oracle: Callable[[Question], Iterator[Said]]
    guess: Callable[[Question, Random], Iterator[Said]]
    chance: Callable[[Question], float]


def split_cell(cell: str) -> tuple[str, int | None]:
    """ "problems/gcd@2" -> ("problems/gcd", 2)."""
    source, mark, level = cell.rpartition("@")
    if not mark:
        return cell, None
    if not level.isdigit() or int(level) < 1:
        raise ConfigError(f"the cell {cell!r} has the level {level!r}: give a number from 1 on")
    return source, int(level)


def taken(cell: str, tasks: Iterator[Task], count: int, **more: Any) -> list[Question]:
    """The first so many as questions. ConfigError for none."""
    found = [Question(cell, task, **more) for task in islice(tasks, count)]
    if not found:
        raise ConfigError(f"{cell} has no task to ask: leave it out of --cells")
    return found


def told(question: Question) -> Iterator[Said]:
    """An oracle's only message: the reference answer."""
    if question.task.answer is None:
        raise ConfigError(f"{question.task.source} has no reference answer for an oracle")
    yield question.task.answer
