"""Tasks out of reasoning-gym: "reasoning-gym" for all families in turn, "reasoning-gym/FAMILY".

Items are drawn and answers are scored in the sandbox, where library.py runs: see worker.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from itertools import cycle
from random import Random
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.tasks import answers
from speciale.tasks.gym.catalogue import CATALOGUE
from speciale.tasks.streams import in_turn
from speciale.tasks.task import Attempt, Task, Verdict
from speciale.tasks.worker import ask, ask_now

DRAW_S, SCORE_S = 120, 10
BATCH, BATCH_S = 32, 1.0  # items drawn at once, as long as they are quick
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
    return in_turn([_draws(name, seed, level, split, sandbox) for name in names])


def _draws(
    family: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    levels = [level] if level else list(range(1, CATALOGUE[family].levels + 1))
    streams = [_items(family, level, seed, split, sandbox) for level in levels]
    seen: set[str] = set()
    misses = 0
    for stream in cycle(streams):
        for task in stream:
            if task is not None and task.prompt[0]["content"] not in seen:
                seen.add(task.prompt[0]["content"])
                misses = 0
                yield task
                break
            misses += 1
            if misses == MISSES:
                return


def _items(
    family: str, level: int, seed: int, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task | None]:
    """A level's items in an order by `seed`, as `draw` gives them; never ends."""
    numbers = Random(f"{seed}/{family}/{level}")
    items: list[int] = []
    batch = 1
    while True:
        items += [numbers.getrandbits(31) for _ in range(batch - len(items))]
        drawn = draw(family, level, items, split, sandbox)
        yield from drawn
        batch = min(2 * batch, BATCH) if len(drawn) == batch else len(drawn)
        items = items[len(drawn) :]


def draw(
    family: str,
    level: int,
    items: list[int],
    split: str | None = None,
    sandbox: Sandbox | None = None,
) -> list[Task | None]:
    """The tasks of the first of these items, at least of one; None where the library has none
    there, or it is in another split."""
    reply = ask_now(
        sandbox,
        "draw",
        DRAW_S,
        family=family,
        level=level,
        items=items,
        split=split,
        budget_s=BATCH_S,
    )
    if reply.trouble:
        raise DataError(
            f"reasoning-gym could not draw {family}/{level}/{items[0]}: {reply.trouble}."
        )
    return [
        None
        if "skip" in each
        else task_of(family, level, item, each["entry"], each["answer"], sandbox)
        for item, each in zip(items, reply.value)
    ]


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
