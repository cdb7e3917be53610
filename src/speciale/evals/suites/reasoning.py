"""Reasoning: problems of reasoning-gym (arXiv:2505.24760) by family and level, held out.

By default the 15 families that training may pose, in short words (`problems/`); any cell of
`reasoning-gym/FAMILY@LEVEL` may be named, which has the library's wording of all 105.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from speciale.evals.attempts import Question
from speciale.evals.suites.suite import Choice, Said, Suite, split_cell, taken, told
from speciale.tasks.families import FAMILIES
from speciale.tasks.sources import load_tasks

CELLS = tuple(f"problems/{name}@1" for name in FAMILIES)
_GUESSES = tuple(str(number) for number in range(10))


def questions(choice: Choice) -> list[Question]:
    found: list[Question] = []
    for cell in choice.cells or CELLS:
        source, level = split_cell(cell)
        tasks = load_tasks(source, seed=choice.seed, level=level, split="heldout")
        found += taken(cell, _distinct(tasks), choice.tasks)
    return found


def _distinct(tasks: Iterator) -> Iterator:
    """A family that has no new question begins again: so far, and no further."""
    seen = set()
    for task in tasks:
        if task.id in seen:
            return
        seen.add(task.id)
        yield task


def guess(question: Question, rng: Random) -> Iterator[Said]:
    """Any digit."""
    yield rng.choice(_GUESSES)


def chance(question: Question) -> float:
    return 1 / len(_GUESSES) if question.task.answer in _GUESSES else 0.0


SUITE = Suite(
    "reasoning", "problems by family and level, held out", questions, told, guess, chance
)  # fmt: skip
