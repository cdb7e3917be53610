"""A ladder: one item of each of several groups, together under a budget or at least cost.

V3.2 report, 3.2.3: a large space to search and an answer that is easy to check. CP-SAT finds the
optimum and shows that it is the only one; the solution searches by itself, through the tools.
"""

from __future__ import annotations

import json
import math
from random import Random

from speciale.synth.general import bundle_code as templates
from speciale.synth.general.best import FITS
from speciale.synth.general.bundle_plan import Plan, draw_limit, model_of, totals
from speciale.synth.general.catalogue import CatalogueFacet, Condition, ident
from speciale.synth.general.draft import (
    TEXT,
    WHOLE,
    Draft,
    climb,
    list_of,
    object_of,
    solution,
    verify,
)
from speciale.synth.general.names import PERSON
from speciale.synth.general.solver import unique_choice
from speciale.synth.general.text import (
    answer_form,
    article,
    fill,
    laid_out,
    listing,
    number_word,
    say,
    text_list,
)
from speciale.synth.general.world import Row, World

MOST_COMBINATIONS = 20_000  # the solution looks at each


def bundle_ladder(facet: CatalogueFacet, world: World) -> list[Draft]:
    rng = world.rng
    order = list(facet.groups)
    rng.shuffle(order)
    writes_from = rng.choice((1, 2, 3))
    scored = rng.random() < 0.6
    shown = rng.random() < 0.5  # the sum of scores is asked for as well
    return climb(
        world,
        (1, 2, 3, 4),
        lambda level: _draft(
            facet, world, level, order[: level + 1], level >= writes_from, scored, shown
        ),
    )


def _draft(
    facet: CatalogueFacet,
    world: World,
    level: int,
    groups: list[str],
    writes: bool,
    scored: bool,
    shown: bool,
) -> Draft | None:
    rng, spec = world.rng, facet.spec
    avoid = (spec.cost.column, spec.score.column)
    least = 4 if level < 4 else 3

    def enough(left: list[Row]) -> bool:
        return all(sum(r[spec.group.column] == g for r in left) >= least for g in groups)

    chosen = facet.conditions(rng, (1, 1, 1, 2)[level - 1], enough, facet.of_groups(groups), avoid)
    options = [
        [
            row
            for row in facet.of_groups([group])
            if all(one.test(row, facet.makers[row[facet.maker]]) for one in chosen)
        ]
        for group in groups
    ]
    if math.prod(len(rows) for rows in options) > MOST_COMBINATIONS:
        return None
    plan = Plan(groups, options, rng.randint(*spec.count[2:]), scored)
    rule = rng.choice(("distinct", "once"))
    plan.distinct = level >= 2 and rule == "distinct"
    plan.once = level >= 2 and rule == "once"
    if level >= 3 and facet.flags:
        used = {one.about for one in chosen}
        free = [flag for flag in facet.flags if flag.column not in used]
        if free:
            plan.flag, plan.flagged = rng.choice(free), rng.randint(1, len(groups) - 2)
    if not draw_limit(facet, plan, rng):
        return None
    best = unique_choice([len(rows) for rows in options], model_of(facet, plan))
    if best is None:
        return None
    picks = [rows[index] for rows, index in zip(options, best.picks, strict=True)]
    return _written(facet, world, plan, level, chosen, picks, writes, shown)


def _written(
    facet: CatalogueFacet,
    world: World,
    plan: Plan,
    level: int,
    chosen: list[Condition],
    picks: list[Row],
    writes: bool,
    shown: bool,
) -> Draft:
    spec = facet.spec
    total, scores = totals(facet, plan, picks)
    person = world.names.draw(PERSON)
    example = {ident(spec.plural): ["name"] * len(plan.groups), "total": 0}
    schema = {ident(spec.plural): list_of(TEXT, len(plan.groups)), "total": WHOLE}
    if shown:
        example["sum"] = 0
        schema["sum"] = WHOLE
    rules = []
    if plan.distinct:
        rules.append(f'len({{row["{facet.maker}"] for row in picks}}) == len(picks)')
    if plan.flag:
        rules.append(f'sum(bool(row["{plan.flag.column}"]) for row in picks) >= {plan.flagged}')
    rules.append(
        f"cost(picks, makers) <= {plan.limit}" if plan.scored else f"score(picks) >= {plan.limit}"
    )
    code = dict(
        noun=facet.noun,
        key=ident(spec.plural),
        maker=facet.maker,
        makers=ident(spec.maker.plural),
        group=spec.group.column,
        groups=text_list(plan.groups),
        group_noun=spec.group.noun,
        table=spec.table,
        maker_table=spec.maker.table,
        score=spec.score.column,
        rate=spec.cost.column,
        fee=spec.maker.fee.column,
        count=plan.count,
        id=facet.id,
        take=facet.take_tool,
        person=spec.basket.person,
        who=json.dumps(person),
        quantity=facet.quantity,
        basket=spec.basket.table,
        basket_id=f"{facet.entry}_id",
        rules="\nand ".join(rules),
        past=spec.basket.past,
        tests_lines="\nand ".join(one.code for one in chosen) or "True",
        worth="(-score(picks), cost(picks, makers))" if plan.scored else "cost(picks, makers)",
        best=f"({-scores}, {total})" if plan.scored else total,
        size=len(plan.groups),
        paid=fill(templates.ONCE if plan.once else templates.EACH, maker=facet.maker).strip(),
        keys=text_list(list(example)),
        sum_entry='"sum": score(best),' if shown else "",
    )
    code["write"] = fill(templates.WRITE, **code) if writes else ""
    code["check_write"] = fill(templates.CHECK_WRITE, **code) if writes else ""
    code["check_sum"] = fill(templates.CHECK_SUM, **code) if shown else ""
    rules_code = fill(FITS, **code) + "\n\n" + fill(templates.RULES, **code)
    return Draft(
        pattern="bundle",
        level=level,
        prompt=_prompt(facet, world, plan, chosen, person, writes, json.dumps(example)),
        solution=solution(
            f"Chooses {spec.plural} of several {spec.group.plural} together.",
            facet.loader(),
            rules_code,
            fill(templates.SOLVE, **code),
        ),
        verify=verify(
            f"Checks the chosen {spec.plural} against the database.",
            fill(templates.VERIFY, **code),
            rules_code,
            writes=[spec.basket.table] if writes else [],
        ),
        schema=object_of(**schema),
        writes=writes,
        figures=(total, scores) if shown else (total,),
        metadata={"groups": len(plan.groups), "rules": len(rules) + len(chosen)},
    )


def _prompt(
    facet: CatalogueFacet,
    world: World,
    plan: Plan,
    chosen: list[Condition],
    person: str,
    writes: bool,
    example: str,
) -> str:
    rng, spec = world.rng, facet.spec
    n = len(plan.groups)
    score, noun = spec.score.label, spec.noun
    lead = say(
        rng,
        "Choose one {noun} for each of these {groups}: {names}",
        "For each of the {groups} {names}, choose exactly one {noun}",
        "Pick {n} {plural}, one for each of the following {groups}: {names}",
        noun=noun,
        plural=spec.plural,
        groups=spec.group.plural,
        n=number_word(n),
        names=listing(plan.groups),
    )
    text = laid_out(rng, lead, noun, [one.clause for one in chosen], many=True)
    rules = [_fees(facet, plan, rng)]
    if plan.distinct:
        rules.append(
            say(
                rng,
                "No two of them may be {by} the same {maker}.",
                "All of them must be {by} different {makers}.",
                by=spec.maker.by,
                maker=spec.maker.noun,
                makers=spec.maker.plural,
                n=number_word(n),
            )
        )
    if plan.flag:
        rules.append(
            say(
                rng,
                "At least {k} of the {n} must meet this: the {noun} {yes}.",
                "Of the {n}, {k} or more must meet one more condition: the {noun} {yes}.",
                k=number_word(plan.flagged),
                n=number_word(n),
                yes=plan.flag.yes,
                noun=noun,
            )
        )
    unit = spec.cost.unit
    money = f"{plan.limit} {unit}".strip()
    if plan.scored:
        goal = say(
            rng,
            "The grand total must not exceed {m}. Within that, make the sum of the {n} values of"
            " {score} as high as possible; if several choices reach the same sum, take the one"
            " with the lowest grand total.",
            "There are {m} to spend in all, and no more. Get the highest possible sum of {score}"
            " over the {n} {plural} for it, and among equal sums the lowest grand total.",
            m=money,
            n=number_word(n),
            score=score,
            plural=spec.plural,
        )
    else:
        goal = say(
            rng,
            "Their values of {score} must add up to {m} or more. Among all such choices, take the"
            " one with the lowest grand total.",
            "Make the grand total as low as possible, but the sum of {score} over the {n}"
            " {plural} has to be at least {m}.",
            m=plan.limit,
            n=number_word(n),
            score=score,
            plural=spec.plural,
        )
    context = rng.choice(spec.contexts).format(person=person, count=f"{plan.count} {spec.count[1]}")
    parts = [context, text, *rules, goal]
    if writes:
        parts.append(
            say(
                rng,
                "Then {verb} each of the {n} for {person}, {count} each.",
                "Once you know them, {verb} all these {plural} in the name of {person} ({count}"
                " each), and nothing else.",
                verb=spec.basket.verb.replace("_", " "),
                n=number_word(n),
                person=person,
                plural=spec.plural,
                count=f"{plan.count} {spec.count[1]}",
            )
        )
    note = (
        f"List the names in the order of the {spec.group.plural} above, spelt as the tools have"
        " them; total is the grand total"
    )
    note += f", sum the sum of {score}." if '"sum"' in example else "."
    return " ".join(parts).replace("\n ", "\n") + "\n\n" + answer_form(rng, example, note)


def _fees(facet: CatalogueFacet, plan: Plan, rng: Random) -> str:
    spec = facet.spec
    counted = f"{plan.count} {spec.count[1]}"
    start = say(
        rng,
        "Every {noun} costs {counted} at its {cost}",
        "What {a} costs is {counted} at its {cost}",
        "Reckon {counted} at the {cost} of each {noun}",
        a=article(spec.noun),
        noun=spec.noun,
        counted=counted,
        cost=spec.cost.label,
    )
    if plan.once:
        return start + say(
            rng,
            "; to this comes the {fee} of every {maker} involved, only once per {maker} even if"
            " it has several of the {plural}.",
            "; add the {fee} of each {maker} that occurs, but never twice for the same {maker}.",
            fee=spec.maker.fee.label,
            maker=spec.maker.noun,
            plural=spec.plural,
        )
    return start + say(
        rng,
        ", plus the {fee} of its {maker}, for each {noun} anew.",
        "; add the {fee} of its {maker} for every one of them.",
        fee=spec.maker.fee.label,
        maker=spec.maker.noun,
        noun=spec.noun,
    )
