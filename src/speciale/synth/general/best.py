"""A ladder: the best item of one group, of several, against averages, and the best few in order.

V3.2 report, 3.2.3: the task is made harder step by step; here filters over joined tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from speciale.synth.general.catalogue import CatalogueFacet, ident
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
from speciale.synth.general.text import (
    answer_form,
    fill,
    laid_out,
    listing,
    number_word,
    say,
    text_list,
)
from speciale.synth.general.world import Row, World


def best_ladder(facet: CatalogueFacet, world: World) -> list[Draft]:
    rng = world.rng
    order = list(facet.groups)
    rng.shuffle(order)
    groups = {1: 1, 2: 2, 3: 3, 4: 5}
    return climb(
        world, (1, 2, 3, 4), lambda level: _draft(facet, world, level, order[: groups[level]])
    )


def _draft(facet: CatalogueFacet, world: World, level: int, groups: list[str]) -> Draft | None:
    rng, spec = world.rng, facet.spec
    noun, maker = facet.noun, facet.maker
    count = rng.randint(*spec.count[2:])
    top = (1, 1, 2, 3)[level - 1]
    cheap = rng.random() < 0.5 or top > 1
    rows = facet.of_groups(groups)
    relative = level >= 3
    if relative:
        averages = {group: _average(facet, group) for group in groups}
        rows = [r for r in rows if r[spec.score.column] > averages[r[spec.group.column]]]
    avoid = (spec.cost.column,) if cheap else (spec.score.column,)
    if relative:
        avoid = (spec.cost.column, spec.score.column)
    chosen = facet.conditions(
        rng, (1, 2, 2, 2)[level - 1], lambda left: len(left) >= max(3, top + 1), rows, avoid
    )
    if not chosen:
        return None
    left = [r for r in rows if all(one.test(r, facet.makers[r[maker]]) for one in chosen)]
    worth = _worth(facet, count, cheap)
    ranked = sorted(left, key=worth)
    values = [worth(row) for row in ranked]
    if len(ranked) <= top or any(values[i] == values[i + 1] for i in range(top)):
        return None
    if min(facet.of_groups(groups), key=worth) is ranked[0] and level > 1:
        return None  # the conditions have to matter
    example, schema = _form(facet, top)
    prompt = _prompt(facet, world, groups, chosen, count, cheap, relative, top, example)
    code = dict(
        noun=noun,
        plural=spec.plural,
        key=ident(spec.plural),
        maker=maker,
        makers=ident(spec.maker.plural),
        maker_column=maker,
        group=spec.group.column,
        groups=text_list(groups),
        group_noun=spec.group.noun,
        score=spec.score.column,
        total=facet.total_code(count),
        id=facet.id,
        table=spec.table,
        maker_table=spec.maker.table,
        top=top,
        best=_texts_of(values[:top]),
        score_label=spec.score.label,
        maker_plural=spec.maker.plural,
    )
    code["worth"] = f"total({noun}, {maker})" if cheap else f'-{noun}["{spec.score.column}"]'
    code["tests_lines"] = "\nand ".join(one.code for one in chosen)
    code["fits"] = fill(FITS, **code) + "\n\n" + fill(_TOTAL, **code)
    code["result"] = fill(_ONE if top == 1 else _SEVERAL, **code)
    code["filter"] = fill(_ABOVE if relative else _PLAIN, **code)
    code["check_above"] = fill(_CHECK_ABOVE, **code) if relative else ""
    solve = fill(_SOLVE, **code)
    check = fill(_VERIFY_ONE if top == 1 else _VERIFY_SEVERAL, **code)
    what = (
        f"{'the cheapest' if cheap else 'the best rated'} {spec.noun if top == 1 else spec.plural}"
    )
    return Draft(
        pattern="best",
        level=level,
        prompt=prompt,
        solution=solution(
            f"Finds {what} that the task asks for.", facet.loader(), code["fits"], solve
        ),
        verify=verify(f"Checks {what} against the database.", check, code["fits"]),
        schema=schema,
        writes=False,
        figures=tuple(facet.total(row, count) for row in ranked[:top]),
        metadata={"groups": len(groups), "conditions": len(chosen) + relative},
    )


def _average(facet: CatalogueFacet, group: str) -> float:
    scores = [row[facet.spec.score.column] for row in facet.of_groups([group])]
    return sum(scores) / len(scores)


def _worth(facet: CatalogueFacet, count: int, cheap: bool) -> Callable[[Row], int]:
    if cheap:
        return lambda row: facet.total(row, count)
    return lambda row: -row[facet.spec.score.column]


def _form(facet: CatalogueFacet, top: int) -> tuple[str, dict]:
    one = {facet.noun: "name", "total": 0}
    schema = object_of(**{facet.noun: TEXT, "total": WHOLE})
    if top == 1:
        return json.dumps(one), schema
    return json.dumps([one] * top), list_of(schema, top)


def _prompt(facet, world, groups, chosen, count, cheap, relative, top, example) -> str:
    rng, spec = world.rng, facet.spec
    person = world.names.draw(PERSON)
    where = spec.group.clause.format(listing(groups, "or"))
    if top > 1:
        lead = say(
            rng,
            "Name the {n} {plural} {where} that come to the lowest totals",
            "Find the {n} cheapest {plural} {where}, by their totals",
            "List the {n} {plural} {where} with the lowest totals",
            n=number_word(top),
            plural=spec.plural,
            where=where,
        )
    elif cheap:
        lead = say(
            rng,
            "Find the {noun} {where} with the lowest total",
            "Look up which {noun} {where} comes to the lowest total",
            "Pick the {noun} {where} for which the total is lowest",
            noun=spec.noun,
            where=where,
        )
    else:
        lead = say(
            rng,
            "Find the {noun} {where} with the highest {score}",
            "Pick out the {noun} {where} whose {score} is highest",
            "Among the {plural} {where}, find the one with the best (highest) {score}",
            noun=spec.noun,
            plural=spec.plural,
            where=where,
            score=spec.score.label,
        )
    clauses = [one.clause for one in chosen]
    if relative:
        clauses.append(
            say(
                rng,
                "whose {score} is above the average {score} of all {plural} of its own {group}",
                "with a {score} higher than the mean {score} over all the {plural} of the same"
                " {group}",
                score=spec.score.label,
                plural=spec.plural,
                group=spec.group.noun,
            )
        )
    context = rng.choice(spec.contexts).format(person=person, count=f"{count} {spec.count[1]}")
    parts = [
        context,
        laid_out(rng, lead, spec.noun, clauses, top > 1),
        facet.total_words(rng, count),
    ]
    note = "Give names as the tools spell them."
    if top > 1:
        both = "both" if top == 2 else "all three"
        note = f"List {both}, the lowest total first, with names as the tools spell them."
    return " ".join(parts).replace("\n ", "\n") + "\n\n" + answer_form(rng, example, note)


def _texts_of(values: list[int]) -> str:
    return str(values[0]) if len(values) == 1 else str(values)


FITS = '''
def fits($noun, $maker):
    """Whether it is what the task wants, by itself."""
    return (
        $tests_lines
    )
'''

_TOTAL = """
def total($noun, $maker):
    return $total
"""

_SOLVE = """
def solve(tools):
    rows = []
    for $group in $groups:
        rows += load_$key(tools, $group)
    $makers = load_$makers(tools, rows)
    $filter

    def worth(row):
        $noun, $maker = row, $makers[row["$maker"]]
        return $worth

    found.sort(key=worth)
    $result
"""

_PLAIN = """
found = [row for row in rows if fits(row, $makers[row["$maker"]])]
"""

_ABOVE = """
found = []
for row in rows:
    peers = [other["$score"] for other in rows if other["$group"] == row["$group"]]
    above = row["$score"] * len(peers) > sum(peers)
    if above and fits(row, $makers[row["$maker"]]):
        found.append(row)
"""

_ONE = """
best = found[0]
return {"$noun": best["name"], "total": total(best, $makers[best["$maker"]])}
"""

_SEVERAL = """
return [
    {"$noun": row["name"], "total": total(row, $makers[row["$maker"]])} for row in found[:$top]
]
"""

_VERIFY_ONE = """
if not has_keys(answer, ["$noun", "total"]):
    return "The answer must be an object with $noun and total."
$key = by_key(before, "$table", "name")
$makers = by_key(before, "$maker_table", "name")
if not isinstance(answer["$noun"], str) or answer["$noun"] not in $key:
    return "There is no $noun of that name."
$noun = $key[answer["$noun"]]
$maker = $makers[$noun["$maker"]]
if $noun["$group"] not in $groups:
    return "It belongs to another $group_noun."
$check_above
if not fits($noun, $maker):
    return "It does not meet the conditions."
if not whole_number(answer["total"]) or answer["total"] != total($noun, $maker):
    return "The total is wrong."
# The best there is, as a full search has shown; no other comes to the same.
if $worth != $best:
    return "There is a better one."
"""

_VERIFY_SEVERAL = """
if not isinstance(answer, list) or len(answer) != $top:
    return "The answer must be a list of $top."
$key = by_key(before, "$table", "name")
$makers = by_key(before, "$maker_table", "name")
# The best there are, as a full search has shown; no others come to the same.
for entry, best in zip(answer, $best):
    if not has_keys(entry, ["$noun", "total"]):
        return "Every entry must be an object with $noun and total."
    if not isinstance(entry["$noun"], str) or entry["$noun"] not in $key:
        return "There is no $noun of that name."
    $noun = $key[entry["$noun"]]
    $maker = $makers[$noun["$maker"]]
    if $noun["$group"] not in $groups:
        return "One belongs to another $group_noun."
    $check_above
    if not fits($noun, $maker):
        return "One does not meet the conditions."
    if not whole_number(entry["total"]) or entry["total"] != total($noun, $maker):
        return "A total is wrong."
    if $worth != best:
        return "There is a better one, or the order is wrong."
"""

_CHECK_ABOVE = """
peers = [row["$score"] for row in $key.values() if row["$group"] == $noun["$group"]]
if $noun["$score"] * len(peers) <= sum(peers):
    return "Its $score_label is not above the average of its $group_noun."
"""
