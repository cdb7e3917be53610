"""Optima and the proof that there is only one, by CP-SAT: single-threaded, seeded, repeatable.

V3.2 report, 3.2.3: hard to solve and easy to verify; here the author knows the answer because a
solver has searched the whole space, not because it made the question around the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from speciale.synth.work import Rejected

SECONDS = 5.0  # of CP-SAT's own deterministic time; models here take a thousandth of it


@dataclass(frozen=True)
class Best:
    """`picks`: for every group, the index of the option taken."""

    picks: tuple[int, ...]
    value: int


def unique_choice(
    sizes: Sequence[int],
    build: Callable[[Any, list[list[Any]]], Any],
    forbidden: Sequence[tuple[int, ...]] = (),
) -> Best | None:
    """The one best way to take one option of each group; None where there is no way, or where
    another is as good.

    `build(model, x)` adds the constraints over `x[group][option]` (booleans) and returns what is to
    be maximised, a linear expression of whole numbers.
    """
    first = _solve(sizes, build, forbidden, None)
    if first is None:
        return None
    other = _solve(sizes, build, [*forbidden, first.picks], first.value)
    return first if other is None else None


def best_choice(sizes: Sequence[int], build: Callable[[Any, list[list[Any]]], Any]) -> Best | None:
    """The best way, or one of them; None where there is none."""
    return _solve(sizes, build, (), None)


def _solve(sizes, build, forbidden, at_least) -> Best | None:
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    x = [
        [model.new_bool_var(f"x{group}_{option}") for option in range(size)]
        for group, size in enumerate(sizes)
    ]
    for row in x:
        model.add_exactly_one(row)
    goal = build(model, x)
    for picks in forbidden:
        model.add(sum(row[pick] for row, pick in zip(x, picks, strict=True)) < len(picks))
    if at_least is None:
        model.maximize(goal)
    else:
        model.add(goal >= at_least)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = SECONDS
    solver.parameters.cp_model_presolve = False  # models are small: presolving costs more
    status = solver.solve(model)
    if status == cp_model.UNKNOWN:
        raise Rejected("the solver did not come to an end")
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    picks = tuple(
        next(option for option, var in enumerate(row) if solver.boolean_value(var)) for row in x
    )
    return Best(picks, round(solver.value(goal)))
