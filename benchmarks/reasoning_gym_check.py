"""Every family of reasoning-gym at every level: it generates, the same in two processes, its own
answers score 1.0, and other items' answers, near misses, prose and hostile text do not.

`--items N` draws N items a level (4 unless given). A row a family; "accepted" are wrong answers
that scored 1.0, each to be looked at: some puzzles have several right answers.
"""

from __future__ import annotations

import asyncio
import random
import re
import statistics
import sys
import time
from collections.abc import Iterator

from _results import Row, write
from speciale.sandbox import Sandbox
from speciale.tasks.gym.catalogue import CATALOGUE, Family
from speciale.tasks.gym.source import DRAW_S, task_of
from speciale.tasks.task import Task
from speciale.tasks.worker import ask

PROSE = "I am not sure about this one, sorry; I would have to work on it for longer."
HOSTILE = (
    "__import__('os').system('touch /tmp/mine')",
    "[].__class__.__base__.__subclasses__()",
    "9**9**9**9**9",
    "1e999999999",
    "(" * 5000,
    "[" * 5000,
    "R" + "9" * 12,
    "\x00\ud800",
    "9" * 100_000,
)


def near_misses(answer: str, rng: random.Random) -> Iterator[str]:
    """The answer with one digit, one letter or one word changed or left out."""
    for pattern, others in ((r"\d", "0123456789"), (r"[A-Za-z]", "abcdefghijklmnopqrstuvwxyz")):
        places = [match.start() for match in re.finditer(pattern, answer)]
        if places:
            place = rng.choice(places)
            other = rng.choice([sign for sign in others if sign != answer[place].lower()])
            other = other.upper() if answer[place].isupper() else other
            yield answer[:place] + other + answer[place + 1 :]
    words = re.split(r"(\s+|,)", answer)
    if len(words) > 2:
        yield "".join(words[:-2])


async def draw(sandbox: Sandbox, family: str, level: int, item: int) -> tuple[Task | None, float]:
    begun = time.perf_counter()
    reply = await ask(sandbox, "draw", DRAW_S, family=family, level=level, item=item)
    seconds = time.perf_counter() - begun
    if reply.trouble or "skip" in reply.value:
        return None, seconds
    value = reply.value
    return task_of(family, level, item, value["entry"], value["answer"], sandbox), seconds


async def check_level(
    first: Sandbox, second: Sandbox, family: str, level: int, items: int
) -> dict[str, list]:
    """What came of each item: times, differences, own answers refused, wrong ones accepted."""
    rng = random.Random(f"{family}/{level}")
    found: dict[str, list] = {"ms": [], "skipped": [], "differ": [], "refused": [], "tried": []}
    found |= {"accepted": [], "trouble": []}
    tasks: list[Task] = []
    for item in (rng.getrandbits(31) for _ in range(items)):
        (task, seconds), (again, _) = await asyncio.gather(
            draw(first, family, level, item), draw(second, family, level, item)
        )
        found["ms"].append(seconds * 1e3)
        same = (task and (task.prompt, task.answer)) == (again and (again.prompt, again.answer))
        if not same:
            found["differ"].append(item)
        if task is None:
            found["skipped"].append(item)
        else:
            tasks.append(task)
    for number, task in enumerate(tasks):
        assert task.answer is not None
        if (await task.verify(f"Here it is: <answer>{task.answer}</answer>")).score != 1.0:
            found["refused"].append(task.id)
        wrong = [("empty", ""), ("prose", PROSE)]
        wrong += [("hostile", HOSTILE[(number + level) % len(HOSTILE)])]
        wrong += [("near", each) for each in near_misses(task.answer, rng)]
        others = {other.answer for other in tasks} - {task.answer}
        wrong += [("other", each or "") for each in sorted(others)[:2]]
        verdicts = await asyncio.gather(*(task.verify(each) for _, each in wrong))
        for (kind, each), verdict in zip(wrong, verdicts):
            found["tried"].append(kind)
            if verdict.score == 1.0:
                found["accepted"].append(
                    f"{kind}: {task.id}: {each[:60]!r} for {task.answer[:60]!r}"
                )
            if kind != "hostile" and "could not be scored" in " ".join(verdict.reasons):
                found["trouble"].append(f"{kind}: {verdict.reasons[0][:100]}")
    return found


async def check_family(
    first: Sandbox, second: Sandbox, name: str, family: Family, items: int
) -> Row:
    levels = [
        await check_level(first, second, name, level, items)
        for level in range(1, family.levels + 1)
    ]
    total = {key: [each for level in levels for each in level[key]] for key in levels[0]}
    slowest = max(statistics.median(level["ms"]) for level in levels)
    return {
        "family": name,
        "levels": family.levels,
        "items": len(total["ms"]),
        "without a right answer": len(total["skipped"]),
        "differ": len(total["differ"]),
        "own refused": len(total["refused"]),
        "wrong tried": len(total["tried"]),
        "accepted": len(total["accepted"]),
        "slowest level ms": slowest,
        "notes": "; ".join([*total["accepted"][:3], *total["trouble"][:2]]),
    }


async def main(items: int, names: list[str]) -> None:
    rows: list[Row] = []
    async with Sandbox() as first, Sandbox() as second:
        for name in names or CATALOGUE:
            rows.append(await check_family(first, second, name, CATALOGUE[name], items))
            print(rows[-1], file=sys.stderr, flush=True)
    sums = {key: sum(int(row[key]) for row in rows) for key in list(rows[0])[1:-2]}
    rows.append({"family": "all", **sums, "slowest level ms": 0.0, "notes": ""})
    if not names:
        write("reasoning_gym_check", rows)


if __name__ == "__main__":
    words = sys.argv[1:]
    asyncio.run(
        main(
            int(words[words.index("--items") + 1]) if "--items" in words else 4,
            [word for word in words if word in CATALOGUE],
        )
    )
