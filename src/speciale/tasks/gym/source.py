"""Tasks out of reasoning-gym: "reasoning-gym" for all families in turn, "reasoning-gym/FAMILY".

Items are drawn and answers are scored in the sandbox, where library.py runs: see worker.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import count as counting
from random import Random
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.tasks import answers
from speciale.tasks.families import FAMILIES
from speciale.tasks.gym.catalogue import CATALOGUE
from speciale.tasks.problem import split_of
from speciale.tasks.task import Attempt, Task, Verdict
from speciale.tasks.worker import ask, ask_now

DRAW_S, SCORE_S = 120, 10
MISSES = 200  # draws in a row without a new question: then the family has no more

Entry = dict[str, Any]


def gym_tasks(
    family: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    """Tasks of one family, or of all in turn (""), each question once, in an order by `seed`.

    Without `level` each family's levels come in turn; with one, families without it are left out.
    Ends where no family has another question; few families do. DataError for an unknown name or
    level.
    """
    if family and family not in CATALOGUE:
        near = difflib.get_close_matches(family, CATALOGUE, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`speciale tasks list` names all."
        raise DataError(f"reasoning-gym has no family {family!r}: {hint}")
    names = [family] if family else list(CATALOGUE)
    if level is not None:
        names = [name for name in names if 1 <= level <= CATALOGUE[name].levels]
    if not names:
        most = (
            CATALOGUE[family].levels if family else max(each.levels for each in CATALOGUE.values())
        )
        raise DataError(f"there is no level {level} of {family or 'any family'}: 1 to {most}.")
    return _in_turn([_draws(name, seed, level, split, sandbox) for name in names])


def _in_turn(streams: list[Iterator[Task]]) -> Iterator[Task]:
    while streams:
        for stream in list(streams):
            task = next(stream, None)
            if task is None:
                streams.remove(stream)
            else:
                yield task


def _draws(
    family: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    levels = [level] if level else list(range(1, CATALOGUE[family].levels + 1))
    numbers = {level: Random(f"{seed}/{family}/{level}") for level in levels}
    seen: set[str] = set()
    misses = 0
    for turn in counting():
        current = levels[turn % len(levels)]
        while misses < MISSES:
            task = draw(family, current, numbers[current].getrandbits(31), split, sandbox)
            if task is not None and task.prompt[0]["content"] not in seen:
                break
            misses += 1
        else:
            return
        misses = 0
        seen.add(task.prompt[0]["content"])
        yield task


def draw(
    family: str, level: int, item: int, split: str | None = None, sandbox: Sandbox | None = None
) -> Task | None:
    """One task by its numbers; None where the library has none there, or it is in another split."""
    reply = ask_now(sandbox, "draw", DRAW_S, family=family, level=level, item=item)
    if reply.trouble:
        raise DataError(f"reasoning-gym could not draw {family}/{level}/{item}: {reply.trouble}.")
    if "skip" in reply.value:
        return None
    entry = reply.value["entry"]
    if split is not None and split_of(family, _asked(family, entry)) != split:
        return None
    return task_of(family, level, item, entry, reply.value["answer"], sandbox)


def task_of(
    family: str, level: int, item: int, entry: Entry, answer: str, sandbox: Sandbox | None
) -> Task:
    async def verifier(attempt: Attempt) -> Verdict:
        return await _verdict(attempt, family, level, entry, answer, sandbox)

    question = f"{entry['question'].strip()}\n\n{answers.HOW_TO_ANSWER}"
    return Task(
        id=f"{family}/{level}/{item}",
        source=f"reasoning-gym/{family}",
        prompt=[{"role": "user", "content": question}],
        verifier=verifier,
        level=level,
        answer=answer,
        metadata={"family": family, "item": item, "entry": entry},
    )


def _asked(family: str, entry: Entry) -> str:
    """The question as `problems` would put it, so that both put it in the same split."""
    return FAMILIES[family].restate(entry)[0] if family in FAMILIES else entry["question"]


async def _verdict(
    attempt: Attempt, family: str, level: int, entry: Entry, right: str, sandbox: Sandbox | None
) -> Verdict:
    answer = answers.final_answer(attempt.answer)
    if not answer:
        return Verdict(0.0, ("The answer is empty.",))
    if len(answer) > answers.MOST:
        return Verdict(0.0, (f"The answer has {len(answer):,} characters: too many to score.",))
    reply = await ask(
        sandbox, "score", SCORE_S, family=family, level=level, entry=entry, answer=answer
    )
    if reply.trouble:
        return Verdict(0.0, (f"The answer could not be scored: {reply.trouble}.",))
    if reply.value == 1.0:
        return Verdict(1.0)
    return Verdict(
        reply.value,
        (f"The answer is {answers.shown(answer)}; right is, for one, {answers.shown(right)}.",),
    )
