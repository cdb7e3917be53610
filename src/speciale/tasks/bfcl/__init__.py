"""The Berkeley Function Calling Leaderboard (v4) as tasks: real functions, real environments.

An evaluation that nobody here wrote: the questions, the environments and the rules are BFCL's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.tasks.bfcl.categories import CATEGORIES, REFUSED, Category
from speciale.tasks.bfcl.data import cases
from speciale.tasks.bfcl.multi_turn import multi_turn_task
from speciale.tasks.bfcl.servers import SHARED, Servers
from speciale.tasks.bfcl.single_turn import single_turn_task
from speciale.tasks.task import Task

__all__ = ["CATEGORIES", "REFUSED", "Category", "bfcl_tasks"]


def bfcl_tasks(
    category: str, count: int | None = None, seed: int = 0, sandbox: Sandbox | None = None
) -> Iterator[Task]:
    """The tasks of a category, each once, shuffled by `seed`; the first `count` of them.

    Environments and verifiers run in `sandbox`, by default the process's shared one.
    `metadata["gold"]` of a task is its answer: for each turn the calls, each a name and arguments.
    Raises DataError for a category that there is not or that cannot be verified here, and where
    bfcl-eval is missing.
    """
    if category in REFUSED:
        raise DataError(
            f"BFCL's {category} is not to be had: {REFUSED[category]}; choose one of "
            f"{', '.join(CATEGORIES)}."
        )
    if category not in CATEGORIES:
        raise DataError(
            f"BFCL has no category {category!r}: choose one of {', '.join(CATEGORIES)}."
        )
    chosen = CATEGORIES[category]
    make = multi_turn_task if chosen.kind == "worlds" else single_turn_task
    servers = SHARED if sandbox is None else Servers(sandbox)
    order = list(cases(category))
    Random(seed).shuffle(order)
    return (make(case, chosen, servers) for case in islice(order, count))
