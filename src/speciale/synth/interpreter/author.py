"""The author of problems for a Jupyter kernel: an item of work becomes a family, without a model.

V3.2 report, 3.2.3, code interpreter: mathematics, logic and data science. A family of data has
files about one theme; the others have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import speciale
from speciale.synth.interpreter import algebra, counting, logic, numbers, pell, totals, windows
from speciale.synth.interpreter.asking import chain
from speciale.synth.interpreter.kernels import FILES
from speciale.synth.interpreter.problem import Problem, ladders
from speciale.synth.interpreter.records import make_records
from speciale.synth.work import Rejected, in_turn
from speciale.tasks.synthesised.family import About, Family

Item = dict[str, Any]
MATHEMATICS = (*numbers.MAKERS, *counting.MAKERS, *algebra.MAKERS, pell.pell)
# Chains of a family, each of two to four tasks.
CHAINS = {"data": 3, "mathematics": 4, "logic": 4}
LEAST_TASKS = 3


def items(categories: Sequence[str], seed: int) -> Iterator[Item]:
    """Work without end, one family of each category in turn."""
    return in_turn("interpreter", categories, seed, "interpreter-")


def make(item: Item) -> Family:
    """The family of an item. Rejected where no three questions were clear."""
    category = item["category"]
    rng = Random(f"interpreter {category} {item['seed']} {item['index']}")
    groups, files, about, source = CATEGORIES[category](rng)
    tasks = ladders(groups, files)
    if len(tasks) < LEAST_TASKS:
        raise Rejected(f"only {len(tasks)} questions of {category} were clear")
    return Family(
        About(
            id=item["key"],
            kind="interpreter",
            category=category,
            seed=item["seed"],
            generator="procedural",
            speciale=speciale.__version__,
            about=about,
            source=source,
        ),
        {f"{FILES}{path}": text.encode() for path, text in files.items()},
        tasks,
    )


# Groups of problems from easy to hard, files by path, what it is about, and what it was made from.
Made = tuple[list[list[Problem]], dict[str, str], str, str]


def _data(rng: Random) -> Made:
    records = make_records(rng)
    chains = (*totals.CHAINS, *windows.CHAINS)
    picked = [chains[at] for at in sorted(rng.sample(range(len(chains)), CHAINS["data"]))]
    groups = [chain(makers, records, rng) for makers in picked]
    theme = records.theme
    about = f"{len(records.rows)} {theme.many} at {len(records.sites)} {theme.sites}, untidy."
    return groups, records.files, about, f"made by chance, theme {theme.name}"


def _mathematics(rng: Random) -> Made:
    picked = [
        MATHEMATICS[at] for at in sorted(rng.sample(range(len(MATHEMATICS)), CHAINS["mathematics"]))
    ]
    groups = [list(maker(rng)) for maker in picked]
    kinds = ", ".join(dict.fromkeys(group[0].pattern for group in groups if group))
    return groups, {}, f"Problems of mathematics: {kinds}.", "made by chance"


def _logic(rng: Random) -> Made:
    names = sorted(rng.sample(sorted(logic.FAMILIES), CHAINS["logic"]))
    groups = [logic.chain(name, rng) for name in names]
    return groups, {}, f"Puzzles: {', '.join(names)}.", logic.SOURCE


CATEGORIES = {"data": _data, "mathematics": _mathematics, "logic": _logic}
