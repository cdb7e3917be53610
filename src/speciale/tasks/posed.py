"""Short reasoning problems as tasks: "problems/FAMILY", the 15 families of families.py.

The same questions that training poses (reasoning.py), scored in this process, so that a rollout
costs no sandbox; "reasoning-gym/FAMILY" has the library's own wording of all 105.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from speciale.errors import DataError
from speciale.tasks.answers import final_answer, shown
from speciale.tasks.families import FAMILIES, find_family
from speciale.tasks.problem import Problem
from speciale.tasks.reasoning import problems, score
from speciale.tasks.streams import in_turn
from speciale.tasks.task import Attempt, Task, Verdict


def posed_tasks(family: str, seed: int, level: int | None, split: str | None) -> Iterator[Task]:
    """Tasks of one family without end; without `level` its levels in turn. DataError for an unknown
    family or level."""
    if family not in FAMILIES:
        near = difflib.get_close_matches(family, FAMILIES, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"they are {', '.join(FAMILIES)}."
        raise DataError(f"there are no problems {family!r}: {hint}")
    levels = range(1, len(FAMILIES[family].levels) + 1) if level is None else [level]
    for each in levels:
        find_family(family, each)
    return _tasks(family, list(levels), seed, split)


def _tasks(family: str, levels: list[int], seed: int, split: str | None) -> Iterator[Task]:
    splits = [split] if split else ["train", "heldout"]
    streams = [problems({family: level}, seed, name) for level in levels for name in splits]
    return in_turn([map(_task, stream) for stream in streams])


def _task(problem: Problem) -> Task:
    async def verify(attempt: Attempt) -> Verdict:
        answer = final_answer(attempt.answer)
        value = score(problem, answer)
        if value == 1.0:
            return Verdict(1.0)
        return Verdict(value, (f"The answer is {problem.answer}, not {shown(answer)}.",))

    return Task(
        id=f"{problem.level}-{problem.seed}",
        source=f"problems/{problem.family}",
        prompt=[{"role": "user", "content": problem.question}],
        verifier=verify,
        level=problem.level,
        answer=problem.answer,
    )
