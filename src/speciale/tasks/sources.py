"""Where tasks come from, by name: the one table of sources, and `load_tasks` over it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from speciale.errors import DataError
from speciale.tasks.problem import check_split
from speciale.tasks.task import Task

if TYPE_CHECKING:
    from speciale.sandbox import Sandbox
    from speciale.tasks.synthesised.pool import WorldPool

Load = Callable[[str, int, int | None, str | None, "Sandbox | None"], Iterator[Task]]


class Source(NamedTuple):
    form: str  # of its name
    about: str
    mark: str  # after which its name goes on; "" for files
    load: Load  # what follows the mark, seed, level, split, sandbox
    alone: bool = False  # its name may end there


def _gym(
    rest: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    from speciale.tasks.gym.source import gym_tasks

    return gym_tasks(rest, seed, level, split, sandbox)


def _posed(
    rest: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    from speciale.tasks.posed import posed_tasks

    return posed_tasks(rest, seed, level, split)


def _bfcl(
    rest: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    from speciale.tasks.bfcl import bfcl_tasks

    _whole(f"bfcl/{rest}", level, split)
    return bfcl_tasks(rest, None, seed, sandbox)


def _jsonl(
    rest: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    from speciale.tasks.jsonl import jsonl_tasks

    return jsonl_tasks(rest, seed, level, split, sandbox)


def _verifiers(
    rest: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    from speciale.tasks.verifiers.imported import verifiers_tasks

    _whole(f"verifiers:{rest}", level, None)
    return verifiers_tasks(rest, seed, split)


def _synthesised(
    rest: str,
    seed: int,
    level: int | None,
    split: str | None,
    sandbox: Sandbox | None,
    pool: WorldPool | None = None,
) -> Iterator[Task]:
    from speciale.tasks.synthesised.source import synthesised_tasks

    return synthesised_tasks(rest, seed, level, split, sandbox, pool)


SOURCES: dict[str, Source] = {
    "reasoning-gym": Source(
        "reasoning-gym or reasoning-gym/FAMILY", "105 families of puzzles", "/", _gym, alone=True
    ),
    "problems": Source("problems/FAMILY", "15 of them in short words, quickly scored", "/", _posed),
    "bfcl": Source("bfcl/CATEGORY", "function calls of the Berkeley leaderboard", "/", _bfcl),
    "jsonl": Source("FILE.jsonl", "tasks of your own, one a line", "", _jsonl),
    "synth": Source(
        "synth:DIR or synth:DIR#CATEGORY", "a store of `speciale synth`", ":", _synthesised
    ),
    "verifiers": Source(
        "verifiers:ENVIRONMENT", "an environment of Prime Intellect's verifiers", ":", _verifiers
    ),
}


def load_tasks(
    source: str,
    *,
    count: int | None = None,
    seed: int = 0,
    level: int | None = None,
    split: str | None = None,
    sandbox: Sandbox | None = None,
    pool: WorldPool | None = None,
) -> Iterator[Task]:
    """Tasks out of a source, in an order by `seed`; the same arguments give the same tasks.

    `source`: "reasoning-gym", "reasoning-gym/FAMILY", "problems/FAMILY", "bfcl/CATEGORY", a path
    that ends in ".jsonl", "synth:DIR", "synth:DIR#CATEGORY" or
    "verifiers:ENVIRONMENT". `count`: at most so many; else
    all, which for most families never ends. `level`: only tasks of this difficulty, 1 is the
    easiest. `split`: only tasks in "train" or "heldout"; a question is in one of them for good.
    `sandbox`: where answers are scored, else the process's own. `pool`: for many attempts at
    synthesised tasks, warm worlds (tasks/synthesised/pool.py).

    Raises DataError at once for an unknown source, split or level, SandboxError while drawing where
    there is no sandbox.
    """
    if split is not None:
        check_split(split)
    if count is not None and count < 0:
        raise DataError(f"the count is {count}: give 0 or more.")
    name, rest = _named(source)
    if name == "synth":
        return islice(_synthesised(rest, seed, level, split, sandbox, pool), count)
    return islice(SOURCES[name].load(rest, seed, level, split, sandbox), count)


def _named(source: str) -> tuple[str, str]:
    """The key in SOURCES and what is left of the name."""
    if source.endswith(".jsonl"):
        return "jsonl", source
    for name, each in SOURCES.items():
        if each.alone and source == name:
            return name, ""
        start = name + each.mark
        if each.mark and source.startswith(start) and source != start:
            return name, source.removeprefix(start)
    if source.endswith((".json", ".csv", ".txt", ".parquet")):
        raise DataError(f"{source!r} is no source of tasks: a file of tasks ends in .jsonl.")
    near = difflib.get_close_matches(source.split("/")[0].split(":")[0], SOURCES, 1)
    hint = f"did you mean {SOURCES[near[0]].form}?" if near else "`speciale tasks list` names all."
    raise DataError(f"there is no source of tasks {source!r}: {hint}")


def _whole(source: str, level: int | None, split: str | None) -> None:
    if level is not None:
        raise DataError(f"{source} has no levels: leave --level out.")
    if split is not None:
        raise DataError(f"{source} has no splits: leave --split out.")
