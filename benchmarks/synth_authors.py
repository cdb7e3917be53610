"""How many tasks an hour pass all gates, kind by kind, what is refused, and how hard they are.

Makes a store of each kind with the authors that need no model. Of the general kind two policies
that cannot think then try a sample, by level: a single call, and random calls.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain, zip_longest
from pathlib import Path
from random import Random

from _results import Row, write
from speciale.sandbox import Sandbox
from speciale.synth.gates.bench import open_bench
from speciale.synth.gates.gate import GATES
from speciale.synth.policies import random_calls, single_call
from speciale.synth.pool import LocalPool
from speciale.synth.progress import Show
from speciale.synth.run import run
from speciale.synth.statistics import statistics as figures
from speciale.synth.store import Store
from speciale.synth.work import Item
from speciale.tasks.synthesised.processes import Broke

MOST_ROWS = 40  # patterns of search tasks are as many as walks
ATTEMPTS = 4  # of each policy at each task of the sample
WANTED = {"general": 2000, "search": 300, "code": 100, "mined": 100, "interpreter": 100}


def items(kind: str, seed: int, folder: Path) -> Iterator[Item]:
    """folder: where git histories can be made, of the kind that is mined."""
    if kind == "general":
        from speciale.synth.general import CATEGORIES
        from speciale.synth.general import items as general

        return general(list(CATEGORIES), seed)
    if kind == "search":
        from speciale.synth.search.author import CORPORA
        from speciale.synth.search.author import items as search

        turns = zip_longest(*(search(corpus, seed) for corpus in CORPORA))
        return (each for each in chain.from_iterable(turns) if each is not None)
    if kind == "code":
        from speciale.synth.code.author import items_made

        return items_made(None, seed)
    if kind == "mined":
        from _releases import histories
        from speciale.synth.code.author import items_mined

        return chain.from_iterable(items_mined(path, seed) for path in histories(folder))
    from speciale.synth.interpreter.author import CATEGORIES as KINDS
    from speciale.synth.interpreter.author import items as interpreter

    return interpreter(list(KINDS), seed)


def made(kind: str, folder: Path, tasks: int, seed: int) -> dict[str, list[Row]]:
    """Makes the store; tables by the end of their name."""
    with (
        tempfile.TemporaryDirectory() as histories,
        Store(folder) as store,
        LocalPool() as pool,
        Show() as show,
    ):
        summary = run(items(kind, seed, Path(histories)), tasks, store, pool, show)
        told = figures(store)
    judged = sum(judged for _, judged in told.tasks.values())
    whole: Row = {
        "what": "all",
        "accepted": told.accepted,
        "judged": judged,
        "rate, %": 100 * told.accepted / judged,
        "environments": told.families,
        "minutes": summary.seconds / 60,
        "accepted an hour": round(summary.an_hour),
    }
    counts: list[Row] = [
        {"what": f"{column} {name}", "accepted": count}
        for column in ("category", "pattern")
        for name, count in sorted(told.counts[column].items())
        if len(told.counts[column]) <= MOST_ROWS
    ]
    refused: list[Row] = [
        {"gate": f"{gate} {GATES[gate]}", "refused": count, "reason": reason, "times": times}
        for gate, count in sorted(told.refused.items())
        for reason, times in told.reasons.get(gate, [("", 0)])
    ]
    levels: list[Row] = [
        {
            "level": one.level, "accepted": one.tasks, "calls": one.calls or 0,
            "space, log10": one.space or 0, "pass rate": one.pass_rate or 0,
        }
        for one in told.levels
    ]  # fmt: skip
    return {"": [whole, *counts], "_refused": refused, "_levels": levels}


async def tried(folder: Path, sample: int, seed: int) -> list[Row]:
    """How many attempts of each policy a verifier accepts, by level."""
    rng, solved = Random(seed), defaultdict(list)
    with Store(folder, create=False) as store:
        names = rng.sample(store.ids(), min(sample, len(store.ids())))
        families = [store.family(name) for name in names]
    async with Sandbox() as sandbox:
        for family in families:
            async with open_bench(family, sandbox) as bench:
                for number, task in family.tasks.items():
                    run = await bench.run(number)
                    level, right, calls = task.about.level, run.answer, len(run.calls)
                    for _ in range(ATTEMPTS):
                        try:
                            one = await single_call(bench, number, right, rng)
                            many = await random_calls(bench, number, right, calls, rng)
                        except Broke:
                            one = many = False
                        solved["single call", level].append(one)
                        solved["random calls", level].append(many)
    return [
        {
            "what": f"{policy}, level {level}",
            "attempts": len(results),
            "solved, %": 100 * statistics.fmean(results),
        }
        for (policy, level), results in sorted(solved.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=WANTED, action="append", help="all unless given")
    parser.add_argument("--tasks", type=int, help="accepted ones of each kind")
    parser.add_argument("--families", type=int, default=40, help="of the policies' sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the stores in this folder")
    options = parser.parse_args()
    for kind in options.kind or WANTED:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (options.out or Path(temporary)) / kind
            tables = made(kind, folder, options.tasks or WANTED[kind], options.seed)
            if kind == "general":
                tables["_policies"] = asyncio.run(tried(folder, options.families, options.seed))
        for name, rows in tables.items():
            write(f"synth_{kind}{name}", rows)


if __name__ == "__main__":
    main()
