"""reasoning-gym itself: a family's levels, an item of one, and the score of an answer to it.

Runs in the sandbox only (worker_server): code of the data set codeio is executed to draw its items.
Level n sets every attribute of the library's curriculum to its n-th value.
"""

from __future__ import annotations

import copy
import json
import math
import random
import time
from decimal import localcontext
from functools import cache, lru_cache
from typing import Any

import numpy as np
from reasoning_gym.coaching.base_curriculum import BaseCurriculum
from reasoning_gym.factory import CURRICULA, DATASETS

from speciale.tasks.families import FAMILIES
from speciale.tasks.gym import mends, scorers
from speciale.tasks.gym.references import reference
from speciale.tasks.problem import split_of

Entry = dict[str, Any]

mends.disarm()


@cache
def levels(family: str) -> tuple[Any, ...]:
    """The configuration of each level, from the easiest; what a level shares with the one before
    it is one level."""
    size = mends.SIZES.get(family, mends.ITEMS)
    if family not in CURRICULA:
        return (DATASETS[family][1](seed=0, size=size),)
    curriculum: BaseCurriculum = CURRICULA[family]()
    found: list[Any] = []
    most = max(len(each.levels) for each in curriculum.attributes.values())
    for level in range(1, most + 1):
        if level in mends.LEFT_OUT.get(family, ()):
            continue
        curriculum.set_global_level(level - 1)
        made = curriculum.generate_configuration({"seed": 0, "size": size})
        for name, (low, high) in mends.BOUNDS.get(family, {}).items():
            setattr(made, name, min(max(getattr(made, name), low), high))
        if made not in found:
            found.append(made)
    return tuple(found)


@lru_cache(maxsize=64)
def dataset(family: str, level: int) -> Any:
    return DATASETS[family][0](config=copy.deepcopy(levels(family)[level - 1]))


def prepare(family: str, level: int, **_: Any) -> None:
    dataset(family, level)
    if family in mends.ALGEBRA:
        _warm()


@cache
def _warm() -> None:
    """Has sympy load its parts, which takes longer than most scores."""
    item = {"metadata": {"integrand": "2*x*exp(x**2) + sin(x)", "variable": "x"}}
    scorers.antiderivative(None, "exp(x**2) - cos(x) + C", item)


def draw(
    family: str, level: int, items: list[int], split: str | None, budget_s: float
) -> list[dict[str, str | Entry]]:
    """The first of `items`, as many as `budget_s` is enough for and at least one."""
    until = time.monotonic() + budget_s
    drawn: list[dict[str, str | Entry]] = []
    for item in items:
        drawn.append(draw_one(family, level, item, split))
        if time.monotonic() > until or family in mends.ALONE:
            break
    return drawn


def draw_one(
    family: str, level: int, item: int, split: str | None = None
) -> dict[str, str | Entry]:
    """Item number `item`: its entry as JSON and an answer that scores 1.0; or why it is no task.

    The library leaves some items without a right answer, or with one that is nothing at all.
    """
    random.seed(item)  # some families draw from the global generators
    np.random.seed(item)
    source = copy.copy(dataset(family, level))  # word_ladder grows shorter where it fails
    try:
        with localcontext():  # decimal_arithmetic sets the precision of all decimals
            drawn = source[item % mends.SIZES.get(family, mends.ITEMS)]
    except (RuntimeError, ValueError, IndexError) as error:  # it gave up after many attempts
        return {"skip": str(error)}
    entry: Entry = json.loads(json.dumps(drawn))  # as the scorer will see it
    if split is not None and split_of(family, _asked(family, entry)) != split:
        return {"skip": "it is in another split"}
    answer = reference(family, entry)
    if not answer.strip():
        return {"skip": "the right answer is nothing at all"}
    if score(family, level, entry, answer) != 1.0:
        return {"skip": f"the library's own answer {answer!r} is not right"}
    return {"entry": entry, "answer": answer}


def _asked(family: str, entry: Entry) -> str:
    """The question as `problems` would put it, so that both put it in the same split."""
    return FAMILIES[family].restate(entry)[0] if family in FAMILIES else entry["question"]


def score(family: str, level: int, entry: Entry, answer: str) -> float:
    """0.0 to 1.0; any exception is the answer's fault."""
    scorer = scorers.SCORERS.get(family, scorers.by_library)
    try:
        value = float(scorer(dataset(family, level), answer, entry))
    except MemoryError:
        raise
    except Exception:  # scorers parse the answer, and few expect all that a model may write
        return 0.0
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
