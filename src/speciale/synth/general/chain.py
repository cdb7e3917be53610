"""A ladder: who has the highest total over records that meet conditions, through three tables.

V3.2 report, 3.2.3: the task is made harder step by step; here multi-hop joins and sums.
"""

from __future__ import annotations

import json
from collections import defaultdict

from speciale.synth.general.catalogue import Condition
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
from speciale.synth.general.records import Found, RecordsFacet
from speciale.synth.general.spec import Records
from speciale.synth.general.text import (
    answer_form,
    fill,
    listing,
    number_word,
    plural,
    say,
    text_list,
)
from speciale.synth.general.world import World


def chain_ladder(facet: RecordsFacet, world: World) -> list[Draft]:
    order = list(facet.places)
    world.rng.shuffle(order)
    bare = world.rng.random() < 0.4  # names alone are asked for, without their totals
    return climb(
        world, (1, 2, 3, 4), lambda level: _draft(facet, world, level, order[:level], bare)
    )


def _draft(
    facet: RecordsFacet, world: World, level: int, places: list[str], bare: bool
) -> Draft | None:
    rng, spec = world.rng, facet.spec
    top = (1, 1, 2, 3)[level - 1]
    tests = [_is_open(spec)] if rng.random() < 0.6 else []
    tests += facet.record_conditions(rng)[: (1, 1, 2, 2)[level - 1]]
    tier = facet.tier_condition(rng) if level >= 2 else None
    least = rng.choice((2, 3)) if level == 4 else 1
    totals, numbers = _totals(facet, places, tests, tier)
    totals = {name: total for name, total in totals.items() if numbers[name] >= least}
    ranked = sorted(totals, key=lambda name: -totals[name])
    values = [totals[name] for name in ranked] + [0]
    if len(ranked) <= top or any(values[i] <= values[i + 1] for i in range(top)):
        return None
    plain, _ = _totals(facet, places, [], None)
    if max(plain, key=plain.__getitem__) == ranked[0] and rng.random() < 0.7:
        return None  # mostly the conditions have to matter
    if bare and top == 1 and ranked[0] in _at_the_ends(facet, places):
        return None  # the first or the last name of a list would be right
    one = "name" if bare else {facet.party: "name", "total": 0}
    schema = TEXT if bare else object_of(**{facet.party: TEXT, "total": WHOLE})
    example = json.dumps(one if top == 1 else [one] * top)
    code = facet.names() | dict(
        places=text_list(places), tests_lines="\nand ".join(one.code for one in tests) or "True",
        party_test=tier.code if tier else "True", least=least, top=top,
        best=values[0] if top == 1 else values[:top], due_code=facet.due_code(),
    )  # fmt: skip
    code["form"] = fill(_FORM_BARE if bare else _FORM_WHOLE, **code)
    results = (_NAME, _NAMES) if bare else (_ONE, _SEVERAL)
    code["result"] = fill(results[top > 1], **code)
    shared = facet.due_code() + "\n\n" + fill(_WANTED, **code)
    check = fill(_VERIFY_ONE if top == 1 else _VERIFY_SEVERAL, **code)
    return Draft(
        pattern="chain",
        level=level,
        prompt=_prompt(facet, world, places, tests, tier, least, top, example),
        solution=solution(
            f"Adds up each {spec.party}'s {plural(spec.due)}.",
            facet.loader(),
            shared,
            fill(_SOLVE, **code),
        ),
        verify=verify(
            f"Adds up the {plural(spec.due)} of the named.", check, shared, fill(_SUM, **code)
        ),
        schema=schema if top == 1 else list_of(schema, top),
        writes=False,
        figures=() if bare else tuple(values[:top]),
        metadata={"places": len(places), "conditions": len(tests) + (tier is not None)},
    )


def _at_the_ends(facet: RecordsFacet, places: list[str]) -> set[str]:
    """Who stands first or last on a page of a place's parties."""
    found = set()
    for place in places:
        rows = [row for row in facet.parties if row[facet.spec.place.column] == place]
        names = sorted(row["name"] for row in rows)
        for start in range(0, len(names), facet.size):
            page = names[start : start + facet.size]
            found |= {page[0], page[-1]}
    return found


def _is_open(spec: Records) -> Condition:
    return Condition(
        f'whose status is "{spec.open_status}"',
        f'record["status"] == "{spec.open_status}"',
        lambda r, _: r["status"] == spec.open_status,
        "status",
    )


def _totals(
    facet: RecordsFacet, places: list[str], tests: list[Condition], tier: Condition | None
) -> tuple[dict[str, int], dict[str, int]]:
    """What is due of each party in the places, and how many records it is for."""
    totals: dict[str, int] = defaultdict(int)
    numbers: dict[str, int] = defaultdict(int)
    for one in facet.found:
        if one.party[facet.spec.place.column] in places and _fits(one, tests, tier):
            totals[one.party["name"]] += facet.due(one)
            numbers[one.party["name"]] += 1
    return totals, numbers


def _fits(one: Found, tests: list[Condition], tier: Condition | None) -> bool:
    party = tier is None or tier.test(one.record, one.party)
    return party and all(test.test(one.record, one.party) for test in tests)


def _prompt(facet, world, places, tests, tier, least, top, example) -> str:
    rng, spec = world.rng, facet.spec
    where = spec.place.clause.format(listing(places, "or"))
    who = f"{spec.parties} {where}" if tier is None else f"{spec.parties} {where} {tier.clause}"
    clauses = [one.clause.replace("that was ", "that were ") for one in tests]
    rng.shuffle(clauses)
    records = f"{spec.records} {listing(clauses)}" if clauses else f"all their {spec.records}"
    opening = rng.choice(spec.contexts).format(today=facet.today.isoformat())
    if top == 1:
        ask = say(
            rng,
            "Which of the {who} has the highest total {due}?",
            "Look at the {who} and find the one with the highest total {due}.",
            "Find out who among the {who} comes to the highest {due} in all.",
            who=who, due=spec.due,
        )  # fmt: skip
    else:
        ask = say(
            rng,
            "Which {top} of the {who} have the highest total {due}?",
            "Look at the {who} and name the {top} with the highest totals of {due}.",
            who=who, due=spec.due, top=number_word(top),
        )  # fmt: skip
    count = say(rng, "Count only {records}.", "Only {records} count for this.", records=records)
    parts = [opening, ask, count]
    if least > 1:
        parts.append(
            say(
                rng,
                "Leave out every {party} with fewer than {n} such {records}.",
                "A {party} must have at least {n} such {records} to be considered.",
                party=spec.party,
                n=number_word(least),
                records=spec.records,
            )
        )
    parts.append(facet.due_words(rng))
    note = "" if top == 1 else " List the highest total first."
    return " ".join(parts) + "\n\n" + answer_form(
        rng, example, f"Give the name as the tools spell it.{note}"
    )  # fmt: skip


_WANTED = '''
def wanted(record):
    """Whether $a_record counts."""
    return (
        $tests_lines
    )
'''

_SOLVE = """
def solve(tools):
    found = []
    for $place in $places:
        found += load_$record_key(tools, $place)
    kinds = load_$kind_key(tools, found)
    totals, numbers = {}, {}
    for record, party in found:
        if wanted(record) and $party_test:
            name = party["name"]
            totals[name] = totals.get(name, 0) + due(record, kinds[record["$kind"]])
            numbers[name] = numbers.get(name, 0) + 1
    names = [name for name in totals if numbers[name] >= $least]
    names.sort(key=lambda name: -totals[name])
    $result
"""

_ONE = """
return {"$party_ident": names[0], "total": totals[names[0]]}
"""

_SEVERAL = """
return [{"$party_ident": name, "total": totals[name]} for name in names[:$top]]
"""

_SUM = '''
def total_of(db, name):
    """What is due of a $party by name; None for one that does not come into question."""
    party = db.execute("SELECT * FROM $party_table WHERE name = ?", (name,)).fetchone()
    if party is None or party["$place"] not in $places:
        return None
    if not ($party_test):
        return None
    kinds = by_key(db, "$kind_table", "name")
    records = db.execute(
        "SELECT * FROM $record_table WHERE $party_id = ?", (party["$party_id"],)
    )
    counted = [record for record in records if wanted(record)]
    if len(counted) < $least:
        return None
    return sum(due(record, kinds[record["$kind"]]) for record in counted)
'''

_NAME = "return names[0]"
_NAMES = "return names[:$top]"

_FORM_BARE = """
total = total_of(before, entry) if isinstance(entry, str) else None
if total is None:
    return "It is not the name of a $party that comes into question."
"""

_FORM_WHOLE = """
if not has_keys(entry, ["$party_ident", "total"]):
    return "There must be an object with $party_ident and total."
if not isinstance(entry["$party_ident"], str) or not whole_number(entry["total"]):
    return "The $party must be a text and the total a whole number."
total = total_of(before, entry["$party_ident"])
if total is None or total != entry["total"]:
    return "The total is not that of a $party that comes into question."
"""

_VERIFY_ONE = """
entry = answer
$form
# The highest there is, and nobody else's.
if total != $best:
    return "Another $party has more."
"""

_VERIFY_SEVERAL = """
if not isinstance(answer, list) or len(answer) != $top:
    return "The answer must be a list of $top."
# The highest there are, each of them one $party's alone.
for entry, best in zip(answer, $best):
    $form
    if total != best:
        return "Another $party has more, or the order is wrong."
"""
