"""A ladder: rules by which open records are closed one way or the other, and accounts charged.

V3.2 report, 3.2.3: tasks that act on the environment. Every write follows from several rows of
several tables; what is not named must stay as it was.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass

from speciale.synth.general.catalogue import Condition, ident
from speciale.synth.general.draft import WHOLE, Draft, climb, object_of, solution, verify
from speciale.synth.general.records import Found, RecordsFacet
from speciale.synth.general.text import answer_form, fill, listing, plural, say, text_list
from speciale.synth.general.world import World

MOST_WRITES = 24


@dataclass(frozen=True)
class Rules:
    """Of the open records in question, those that meet `first` get the first action, and the
    others the second where `second` holds."""

    places: list[str]
    name: str | None  # of the only party in question
    first: list[Condition]
    second: bool
    tier: Condition | None  # parties that are left out
    charges: bool


def reconcile_ladder(facet: RecordsFacet, world: World) -> list[Draft]:
    order = list(facet.places)
    world.rng.shuffle(order)
    last = 0

    def draw(level: int) -> Draft | None:
        nonlocal last
        draft = _draft(facet, world, level, order, last)
        if draft:
            last = draft.metadata["writes"]
        return draft

    return climb(world, (1, 2, 3, 4), draw)


def _draft(
    facet: RecordsFacet, world: World, level: int, order: list[str], last: int
) -> Draft | None:
    rng = world.rng
    places = order[: max(1, level - 1)]
    name = None
    if level == 1:
        open_of: dict[str, int] = defaultdict(int)
        for one in facet.found:
            if one.record["status"] == facet.spec.open_status:
                open_of[one.party["name"]] += one.party[facet.spec.place.column] in places
        several = sorted(each for each, count in open_of.items() if count >= 2)
        if not several:
            return None
        name = rng.choice(several)
    rules = Rules(
        places,
        name,
        facet.record_conditions(rng)[: 2 if level == 4 else 1],
        level >= 2,
        facet.tier_condition(rng) if level >= 3 else None,
        level >= 3,
    )
    firsts, seconds = _sorted_out(facet, rules)
    charged: dict[int, int] = defaultdict(int)
    for one in firsts:
        charged[one.party[facet.party_id]] += facet.due(one)
    charged = {key: amount for key, amount in charged.items() if amount > 0}
    writes = len(firsts) + len(seconds) + (len(charged) if rules.charges else 0)
    total = sum(facet.due(one) for one in firsts)
    if not firsts or (rules.second and not seconds) or (rules.charges and not charged):
        return None
    if not last < writes <= MOST_WRITES or total == 0:
        return None
    return _written(facet, world, rules, level, total, writes, len(firsts))


def _sorted_out(facet: RecordsFacet, rules: Rules) -> tuple[list[Found], list[Found]]:
    firsts, seconds = [], []
    for one in facet.found:
        if one.record["status"] != facet.spec.open_status:
            continue
        if one.party[facet.spec.place.column] not in rules.places:
            continue
        if rules.name and one.party["name"] != rules.name:
            continue
        if rules.tier and rules.tier.test(one.record, one.party):
            continue
        if all(test.test(one.record, one.party) for test in rules.first):
            firsts.append(one)
        elif rules.second:
            seconds.append(one)
    return firsts, seconds


def _written(
    facet: RecordsFacet,
    world: World,
    rules: Rules,
    level: int,
    total: int,
    writes: int,
    count: int,
) -> Draft:
    rng, spec = world.rng, facet.spec
    one, two = spec.actions
    total_key = f"total_{ident(spec.due.split()[-1])}"
    counted = rng.random() < 0.5
    bare = not counted and rng.random() < 0.5  # the total alone is asked for, as a number
    example = {total_key: 0} | ({"count": 0} if counted else {})
    skipped = rules.tier.code if rules.tier else "False"
    if rules.name:
        skipped = f'party["name"] != {json.dumps(rules.name)}'
    code = facet.names() | dict(
        places=text_list(rules.places), skipped=skipped,
        tests_lines="\nand ".join(each.code for each in rules.first), one=one.verb, two=two.verb,
        one_status=one.status, two_status=two.status, total_key=total_key,
        keys=text_list(list(example)), total="answer" if bare else f'answer["{total_key}"]',
        count_entry=', "count": len(firsts)' if counted else "",
    )  # fmt: skip
    code["form"] = fill(_FORM_BARE if bare else _FORM, **code)
    code["result"] = "total" if bare else fill(_RESULT, **code).strip()
    code["second"] = fill(_SECOND, **code) if rules.second else ""
    code["second_status"] = fill(_SECOND_STATUS, **code) if rules.second else ""
    code["charge_writes"] = fill(_CHARGES, **code) if rules.charges else ""
    code["check_count"] = fill(_CHECK_COUNT, **code) if counted else ""
    code["check_charges"] = fill(_CHECK_CHARGES, **code) if rules.charges else ""
    shared = facet.due_code() + "\n\n" + fill(_RULES, **code)
    tables = [spec.record_table] + ([spec.charge_table] if rules.charges else [])
    return Draft(
        pattern="reconcile",
        level=level,
        prompt=_prompt(facet, world, rules, json.dumps(0 if bare else example), total_key, counted),
        solution=solution(
            f"Goes through the open {spec.records} and acts on each by the rules.",
            facet.loader(),
            shared,
            fill(_SOLVE, **code),
        ),
        verify=verify(
            f"Works out what had to become of the {spec.records}, and compares.",
            fill(_VERIFY, **code),
            shared,
            writes=tables,
        ),
        schema=WHOLE if bare else object_of(**dict.fromkeys(example, WHOLE)),
        writes=True,
        figures=(total,),
        metadata={"places": len(rules.places), "writes": writes, "records": count},
    )


def _prompt(facet, world, rules, example, total_key, counted) -> str:
    rng, spec = world.rng, facet.spec
    one, two = spec.actions
    where = spec.place.clause.format(listing(rules.places, "and"))
    opening = rng.choice(spec.contexts).format(today=facet.today.isoformat())
    if rules.name:
        scope = say(
            rng,
            "{name} is one of the {parties} {where}. Go through the {records} of {name} with the"
            ' status "{open}".',
            "This is about the {records} of {name}, one of the {parties} {where}: all those with"
            ' the status "{open}".',
            name=rules.name,
            parties=spec.parties,
            where=where,
            records=spec.records,
            open=spec.open_status,
        )
    else:
        scope = say(
            rng,
            'Go through all {records} with the status "{open}" of the {parties} {where}.',
            'Please clear up the {records} of the {parties} {where}: all those whose status is'
            ' "{open}".',
            records=spec.records, parties=spec.parties, where=where, open=spec.open_status,
        )  # fmt: skip
    clauses = [each.clause for each in rules.first]
    rng.shuffle(clauses)
    verb, other = one.verb.replace("_", " "), two.verb.replace("_", " ")
    acts = say(
        rng,
        "{verb} every one {clauses}",
        "If it is one {clauses}, {low} it",
        verb=verb.capitalize(), low=verb, clauses=listing(clauses),
    )  # fmt: skip
    if rules.second:
        acts += say(rng, ", and {other} each of the others", "; {other} all the rest", other=other)
    else:
        acts += say(rng, ", and leave the others alone", "; do nothing to the others")
    parts = [opening, scope, acts + "."]
    if rules.tier:
        parts.append(
            say(
                rng,
                "Do not touch anything of {parties} {tier}.",
                "{Parties} {tier} are left out of all this.",
                parties=spec.parties,
                Parties=spec.parties.capitalize(),
                tier=rules.tier.clause,
            )
        )
    parts.append(facet.due_words(rng))
    if rules.charges:
        parts.append(
            say(
                rng,
                "For every {party} with {records} you {verb}, add one {charge} over the sum of"
                " their {dues}, unless that sum is 0.",
                "Then add a single {charge} for each {party} concerned: the {dues} of the"
                " {records} that you {verb} for that {party}, added up; none where this is 0.",
                party=spec.party,
                records=spec.records,
                verb=verb,
                charge=spec.charge,
                due=spec.due,
                dues=plural(spec.due),
            )
        )
    report = say(
        rng,
        "Report{key} the sum of the {dues} of all {records} that you had to {verb}",
        "In the end, say{key} what the {dues} of the {records} that you had to {verb} come to",
        key="" if example == "0" else f" as {total_key}",
        due=spec.due,
        dues=plural(spec.due),
        records=spec.records,
        verb=verb,
    )
    if counted:
        report += ", and as count how many of them there were"
    return " ".join([*parts, report + "."]) + "\n\n" + answer_form(rng, example)


_RULES = '''
def meant(record, party):
    """Whether the task is about this $record at all."""
    return (
        record["status"] == "$open"
        and party["$place"] in $places
        and not ($skipped)
    )


def is_first(record, party):
    """Whether to $one it."""
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
    found = [pair for pair in found if meant(*pair)]
    firsts = [pair for pair in found if is_first(*pair)]
    total, sums = 0, {}
    for record, party in firsts:
        tools.${one}_$record_ident($record_id=record["$record_id"])
        amount = due(record, kinds[record["$kind"]])
        total += amount
        sums[party["$party_id"]] = sums.get(party["$party_id"], 0) + amount
    $second
    $charge_writes
    return $result
"""

_SECOND = """
for record, party in found:
    if not is_first(record, party):
        tools.${two}_$record_ident($record_id=record["$record_id"])
"""

_CHARGES = """
for key, amount in sums.items():
    if amount > 0:
        tools.add_$charge_ident($party_id=key, amount=amount)
"""

_RESULT = '{"$total_key": total$count_entry}'

_FORM = """
if not has_keys(answer, $keys) or not all(map(whole_number, answer.values())):
    return "The answer must be an object of whole numbers with the keys of the task."
"""

_FORM_BARE = """
if not whole_number(answer):
    return "The answer must be a whole number."
"""

_VERIFY = """
$form
parties = by_key(before, "$party_table", "$party_id")
kinds = by_key(before, "$kind_table", "name")
records = by_key(before, "$record_table", "$record_id")
wanted, firsts, sums = {}, [], {}
for key, record in records.items():
    party = parties[record["$party_id"]]
    wanted[key] = dict(record)
    if meant(record, party):
        if is_first(record, party):
            firsts.append(record)
            wanted[key]["status"] = "$one_status"
            amount = due(record, kinds[record["$kind"]])
            sums[record["$party_id"]] = sums.get(record["$party_id"], 0) + amount
        $second_status
now = by_key(after, "$record_table", "$record_id")
if {key: dict(row) for key, row in now.items()} != wanted:
    return "The $records are not what they had to become."
$check_charges
if $total != sum(sums.values()):
    return "The total is wrong."
$check_count
"""

_SECOND_STATUS = """
else:
    wanted[key]["status"] = "$two_status"
"""

_CHECK_COUNT = """
if answer["count"] != len(firsts):
    return "The count is wrong."
"""

_CHECK_CHARGES = """
rows = new_rows(before, after, "$charge_table", "${charge_ident}_id")
if rows is None:
    return "An old $charge was changed."
charged = sorted((row["$party_id"], row["amount"]) for row in rows)
if charged != sorted((key, amount) for key, amount in sums.items() if amount > 0):
    return "What was charged is not what the rules say."
"""
