"""Every family of reasoning-gym at every level: it generates, the same in two processes, its own
answers score 1.0, and other items' answers, near misses, prose and hostile text do not.

A row a family; "accepted" are answers made to be wrong that scored 1.0, "mended" says what of the
library is not used as it is. Exits with 1 where a family accepts one without a reason that is
known (ALSO_RIGHT), or any other column is not as it has to be.
`--items N` draws N items a level (3 unless given); names of families check those alone.
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
from speciale.tasks.gym import mends, scorers
from speciale.tasks.gym.catalogue import CATALOGUE, Family
from speciale.tasks.gym.source import DRAW_S, task_of
from speciale.tasks.task import Task
from speciale.tasks.worker import ask

# Why what was made to be wrong may be right after all.
ALSO_RIGHT = {
    "boxnet": "the word before an agent's place does not count",
    "codeio": "floats are compared to a tolerance",
    "cryptarithm": "several solutions",
    "graph_color": "several colourings",
    "intermediate_integration": "any constant may be added",
    "jugs": "several solutions",
    "knights_knaves": "the words between the roles do not count",
    "n_queens": "several solutions",
    "number_format": "the candidates have three decimals",
    "power_function": "three significant digits are asked for",
    "propositional_logic": "any conclusion that follows is right",
    "puzzle24": "several solutions",
    "quantum_lock": "several solutions",
    "simple_integration": "any constant may be added",
    "sokoban": "several solutions",
    "time_intervals": "the word after the number does not count",
}

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
    fields = {"family": family, "level": level, "items": [item], "split": None, "budget_s": 0}
    reply = await ask(sandbox, "draw", DRAW_S, **fields)
    seconds = time.perf_counter() - begun
    if reply.trouble or "skip" in reply.value[0]:
        return None, seconds
    (value,) = reply.value
    return task_of(family, level, item, value["entry"], value["answer"], sandbox), seconds


async def check_level(
    first: Sandbox, second: Sandbox, family: str, level: int, items: int
) -> dict[str, list]:
    """What came of each item: times, differences, own answers refused, wrong ones accepted."""
    rng = random.Random(f"{family}/{level}")
    found: dict[str, list] = {"ms": [], "skipped": [], "differ": [], "refused": [], "tried": []}
    found |= {"accepted": [], "trouble": [], "score": []}
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
        begun = time.perf_counter()
        verdict = await task.verify(f"Here it is: <answer>{task.answer}</answer>")
        found["score"].append((time.perf_counter() - begun) * 1e3)
        if verdict.score != 1.0:
            found["refused"].append(f"{task.id}: {verdict.reasons}")
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
    mended = [
        *(["levels"] if name in mends.BOUNDS or name in mends.LEFT_OUT else []),
        *(["score"] if name in scorers.SCORERS else []),
        *(["eval"] if name in {each.split(".")[1] for each in mends.EVALUATING} else []),
    ]
    return {
        "family": name,
        "levels": family.levels,
        "items": len(total["ms"]),
        "without a right answer": len(total["skipped"]),
        "differ": len(total["differ"]),
        "own refused": len(total["refused"]),
        "wrong tried": len(total["tried"]),
        "accepted": len(total["accepted"]),
        "draw ms, slowest level": slowest,
        "score ms": statistics.median(total["score"]),
        "mended": ", ".join(mended),
        "why": ALSO_RIGHT.get(name, "") if total["accepted"] else "",
        "examples": "; ".join(
            [*total["refused"][:2], *total["accepted"][:2], *total["trouble"][:1]]
        ),
    }


async def main(items: int, names: list[str]) -> bool:
    rows: list[Row] = []
    async with Sandbox() as first, Sandbox() as second:
        for name in names or CATALOGUE:
            rows.append(await check_family(first, second, name, CATALOGUE[name], items))
            print(rows[-1], file=sys.stderr, flush=True)
    if not names:
        sums = {key: sum(int(row[key]) for row in rows) for key in list(rows[0])[1:8]}
        write("reasoning_gym_check", [{"family": "all", **sums}, *rows])
    return all(map(as_it_has_to_be, rows))


def as_it_has_to_be(row: Row) -> bool:
    known = not row["accepted"] or row["family"] in ALSO_RIGHT
    return known and not row["differ"] and not row["own refused"] and row["items"] > 0


if __name__ == "__main__":
    words = sys.argv[1:]
    count = int(words[words.index("--items") + 1]) if "--items" in words else 3
    fine = asyncio.run(main(count, [word for word in words if word in CATALOGUE]))
    sys.exit(0 if fine else 1)
