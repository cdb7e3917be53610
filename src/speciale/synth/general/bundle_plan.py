"""What a bundle task asks, as a plan and as a model for the solver; and limits that matter.

V3.2 report, 3.2.3: hard to solve. The limit lies between what is best without one and what the
other objective would give, so that neither greedy choice is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from speciale.synth.general.catalogue import CatalogueFacet
from speciale.synth.general.solver import best_choice
from speciale.synth.general.spec import Flag
from speciale.synth.general.world import Row


@dataclass
class Plan:
    """What a task asks: candidates by group, and rules over the picks together."""

    groups: list[str]
    options: list[list[Row]]
    count: int
    scored: bool  # highest sum of scores within the budget; else lowest total from a least sum
    distinct: bool = False  # no two by one maker
    once: bool = False  # a maker's fee once, however many picks are by it
    flag: Flag | None = None  # at least `flagged` of them have it
    flagged: int = 0
    limit: int = 0  # the budget, or the least sum of scores


def model_of(facet: CatalogueFacet, plan: Plan, free: bool = False) -> Any:
    """The constraints for the solver; `free`: without the limit."""
    spec = facet.spec
    rate, score, fee = spec.cost.column, spec.score.column, spec.maker.fee.column

    def build(model: Any, x: list[list[Any]]) -> Any:
        pairs = [
            (row, var)
            for rows, bools in zip(plan.options, x, strict=True)
            for row, var in zip(rows, bools, strict=True)
        ]
        makers = sorted({row[facet.maker] for row, _ in pairs})
        cost = sum(plan.count * row[rate] * var for row, var in pairs)
        for name in makers:
            mine = [var for row, var in pairs if row[facet.maker] == name]
            if plan.distinct:
                model.add_at_most_one(mine)
            if plan.once:
                paid = model.new_bool_var(f"fee of {name}")
                for var in mine:
                    model.add_implication(var, paid)
                cost += facet.makers[name][fee] * paid
            else:
                cost += sum(facet.makers[name][fee] * var for var in mine)
        if plan.flag:
            model.add(sum(var for row, var in pairs if row[plan.flag.column]) >= plan.flagged)
        scores = sum(row[score] * var for row, var in pairs)
        if not free:
            model.add(cost <= plan.limit if plan.scored else scores >= plan.limit)
        return 100_000 * scores - cost if plan.scored else -cost

    return build


def totals(facet: CatalogueFacet, plan: Plan, picks: list[Row]) -> tuple[int, int]:
    """Total cost, and sum of the scores."""
    spec = facet.spec
    makers = [row[facet.maker] for row in picks]
    paid = sorted(set(makers)) if plan.once else makers
    cost = sum(plan.count * row[spec.cost.column] for row in picks)
    cost += sum(facet.makers[name][spec.maker.fee.column] for name in paid)
    return cost, sum(row[spec.score.column] for row in picks)


def draw_limit(facet: CatalogueFacet, plan: Plan, rng: Random) -> bool:
    """Draws a limit between what is best without it and what the other objective would give."""
    sizes = [len(rows) for rows in plan.options]
    ends = []
    for scored in (True, False):
        plan.scored, kept = scored, plan.scored
        best = best_choice(sizes, model_of(facet, plan, free=True))
        plan.scored = kept
        if best is None:
            return False
        picks = [rows[index] for rows, index in zip(plan.options, best.picks, strict=True)]
        ends.append(totals(facet, plan, picks))
    (dear, high), (cheap, low) = ends
    if dear - cheap < 10 or high - low < 4:
        return False
    share = rng.uniform(0.3, 0.7)
    if plan.scored:
        plan.limit = cheap + round((dear - cheap) * share)
        plan.limit += -plan.limit % 5 if dear - cheap > 30 else 0
        return plan.limit < dear
    plan.limit = low + max(1, round((high - low) * share))
    return plan.limit > low
