"""How many attempts at small tool tasks an RL run can open, act in and judge a second: with three
processes for each attempt, with a pool of warm worlds, and once the pool remembers.

    python benchmarks/rl_environments.py [--tasks 60] [--group 8] [--at-once 16] [--store DIR]

The policy is a script that makes the solution's calls and gives its answer; every second attempt
gives a wrong answer. Without --store families are made and judged first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path

from _results import Row, write
from speciale.sandbox import Sandbox
from speciale.synth.pool import LocalPool
from speciale.synth.run import run
from speciale.synth.starter import items
from speciale.synth.store import Store
from speciale.tasks.synthesised.demonstrations import Demonstration, demonstrations
from speciale.tasks.synthesised.pool import WorldPool
from speciale.tasks.synthesised.source import synthesised_tasks
from speciale.tasks.task import Attempt, Task

PATTERNS = ("chain", "hunt", "price", "move", "refill", "lock")


def made(folder: str, count: int) -> str:
    with Store(Path(folder)) as store, LocalPool(None) as pool:
        run(items(PATTERNS, 0), count, store, pool)
    return folder


async def attempted(task: Task, shown: Demonstration, right: bool) -> bool:
    """One attempt from an open world to a verdict; whether the verdict is as it should be."""
    assert task.open is not None
    async with task.open() as environment:
        for message in shown.messages:
            for call in message.get("tool_calls", ()):
                function = call["function"]
                result = await environment.call(function["name"], json.loads(function["arguments"]))
                assert not result.error, result
    answer = shown.messages[-1]["content"] if right else "none"
    verdict = await task.verify(Attempt(answer, shown.messages))
    return (verdict.score == 1) == right


async def rate(
    tasks: list[tuple[Task, Demonstration]], group: int, at_once: int
) -> tuple[float, float]:
    """Attempts a second, and the share of right verdicts. Groups as RL has them: the attempts at
    one task side by side, several tasks at once."""
    gate, begun = asyncio.Semaphore(at_once), time.perf_counter()

    async def one(task: Task, shown: Demonstration, right: bool) -> bool:
        async with gate:
            return await attempted(task, shown, right)

    jobs = [one(*pair, number % 2 == 0) for pair in tasks for number in range(group)]
    verdicts = await asyncio.gather(*jobs)
    seconds = time.perf_counter() - begun
    return len(verdicts) / seconds, sum(verdicts) / len(verdicts)


async def measured(folder: str, count: int, group: int, at_once: int) -> list[Row]:
    shown = {f"{one.family}/{one.number}": one for one in demonstrations(folder, 0, None)}
    rows: list[Row] = []
    sandbox = Sandbox()

    def tasks(pool: WorldPool | None) -> list[tuple[Task, Demonstration]]:
        found = synthesised_tasks(folder, 0, None, None, sandbox, pool)
        return [(task, shown[task.id]) for task in found][:count]

    def row(what: str, attempts: int, found: tuple[float, float]) -> None:
        rows.append({"worlds": what, "attempts": attempts, "attempts/s": found[0],
                     "right verdicts": found[1]})  # fmt: skip

    few = tasks(None)[: max(1, count // 4)]
    row("processes of each attempt", 2 * len(few), await rate(few, 2, at_once))
    async with WorldPool(sandbox) as pool:
        warm = tasks(pool)
        for what in ("pool, each task seen first", "pool, seen before"):
            row(what, group * len(warm), await rate(warm, group, at_once))
        rows[-1]["processes"] = pool.started
    sandbox.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--group", type=int, default=8, help="attempts at each task")
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--store", help="of `speciale synth starter`, instead of a new one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or made(folder, given.tasks)
        rows = asyncio.run(measured(store, given.tasks, given.group, given.at_once))
    write("rl_environments", rows)


if __name__ == "__main__":
    main()
