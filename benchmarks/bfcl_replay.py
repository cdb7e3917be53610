"""Claims: the right calls of every BFCL task score 1.0, through the agent's loop for those of
several turns; wrong ones (each call dropped, each argument changed to another value) score 0 on
at least 99%.

A change is not wrong where it has no effect: the environment gives the same results and has the
same states, or the answer allows the other value too. Those are counted apart. They are listed in
bfcl_exceptions.json, with all else that is accepted and the tasks that no right answer solves.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from rich.progress import track

from _results import Row, write
from speciale.tasks.bfcl import CATEGORIES, Category, bfcl_tasks

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tasks"))
from bfcl_trajectories import (
    ALLOWED,
    IGNORED,
    accepted,
    attempt,
    gold,
    through_the_loop,
    wrong_ones,
)

# What is accepted or unsolvable -> the ids of the tasks.
Exceptions = dict[tuple[str, str, str], list[str]]


async def measure(category: Category, exceptions: Exceptions) -> Row:
    right = solvable = 0
    wrong: Counter[str] = Counter()
    excuses: Counter[str] = Counter()
    seconds = 0.0
    for task in track(list(bfcl_tasks(category.name)), category.name, transient=True):
        if reason := task.metadata.get("unsolvable"):
            exceptions["right", "all calls", reason].append(task.id)
            continue
        solvable += 1
        if category.kind == "worlds":
            right += await through_the_loop(task) == 1.0
        else:
            right += (await task.verify(attempt(task, gold(task)))).score == 1.0
        mistakes = list(wrong_ones(task))
        wrong.update(one.kind for one in mistakes)
        begun = time.perf_counter()
        passed = await accepted(task, mistakes)
        seconds += time.perf_counter() - begun
        for one, excuse in passed:
            excuses[excuse] += 1
            exceptions[one.kind, one.what, excuse or "unexplained"].append(task.id)
    without_effect = excuses[IGNORED] + excuses[ALLOWED]
    rejected = wrong.total() - excuses.total()
    return {
        "category": category.name,
        "tasks": category.size,
        "solvable": solvable,
        "right %": 100 * right / solvable,
        "dropped": wrong["dropped"],
        "changed": wrong["changed"],
        "added": wrong["added"],
        "without effect": without_effect,
        "accepted": excuses.total() - without_effect,
        "scored 0 %": 100 * rejected / (wrong.total() - without_effect),
        "scored 0 % of all": 100 * rejected / wrong.total(),
        "ms/verdict": 1e3 * seconds / wrong.total(),
    }


async def main() -> None:
    exceptions: Exceptions = defaultdict(list)
    write("bfcl_replay", [await measure(one, exceptions) for one in CATEGORIES.values()])
    rows = [
        {
            "trajectory": kind,
            "of": what,
            "why": why,
            "count": len(ids),
            "tasks": ", ".join(sorted(set(ids))),
        }
        for (kind, what, why), ids in sorted(exceptions.items(), key=lambda item: -len(item[1]))
    ]
    write("bfcl_exceptions", rows)


if __name__ == "__main__":
    asyncio.run(main())
