"""A ladder: several requests, each to a slot of a fitting resource, together at least cost.

V3.2 report, 3.2.3: hard to solve, easy to verify, and it writes. The same resources suit several
requests, so that taking the cheapest for each by itself breaks a rule.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

from speciale.synth.general.draft import (
    WHOLE,
    Draft,
    climb,
    list_of,
    object_of,
    solution,
    verify,
)
from speciale.synth.general.roster import RosterFacet
from speciale.synth.general.solver import unique_choice
from speciale.synth.general.text import answer_form, fill, listing, say, text_list
from speciale.synth.general.world import Row, World

MOST_COMBINATIONS = 3_000_000  # of which a bound leaves a small part


@dataclass(frozen=True)
class Plan:
    requests: list[Row]
    offers: list[list[tuple[Row, Row]]]  # of each request: slot and resource
    most: int  # bookings of one resource
    spread: bool  # no two at the same day and time


def assign_ladder(facet: RosterFacet, world: World) -> list[Draft]:
    """The requests of a level are those of the level below and one more."""
    rng = world.rng
    by_skill = [
        [row for row in facet.requests if row[facet.spec.skill.column] == skill]
        for skill in rng.sample(facet.skills, len(facet.skills))
    ]
    for rows in by_skill:
        rng.shuffle(rows)
    spread = rng.random() < 0.5
    last: list[Row] = []

    def draw(level: int) -> Draft | None:
        # Two or three of a skill, so that they compete, before the next skill begins.
        nonlocal last
        order = by_skill[0][:3] + by_skill[1][:2] + by_skill[2][:2]
        requests = last + [row for row in order if row not in last][: level + 1 - len(last)]
        draft = _draft(facet, world, level, requests, spread)
        if draft:
            last = requests
        else:
            for rows in by_skill:
                rng.shuffle(rows)
        return draft

    return climb(world, (1, 2, 3, 4), draw)


def _draft(
    facet: RosterFacet, world: World, level: int, requests: list[Row], spread: bool
) -> Draft | None:
    offers = [facet.offers(request) for request in requests]
    if not all(offers):
        return None
    product = 1
    for each in offers:
        product *= len(each)
    if product > MOST_COMBINATIONS:
        return None
    plan = Plan(requests, offers, 1 if world.rng.random() < 0.6 else 2, spread and level >= 3)
    best = unique_choice([len(each) for each in offers], _model(facet, plan))
    if best is None:
        return None
    picks = [each[index] for each, index in zip(offers, best.picks, strict=True)]
    alone = [
        min(_cost(facet, request, pair) for pair in each)
        for request, each in zip(requests, offers, strict=True)
    ]
    if level >= 2 and sum(alone) == -best.value:
        return None  # no request stands in another's way: too easy
    return _written(facet, world, plan, level, picks)


def _cost(facet: RosterFacet, request: Row, pair: tuple[Row, Row]) -> int:
    slot, resource = pair
    hourly = slot[facet.spec.surcharge.column] + resource[facet.spec.rate.column]
    return request["hours"] * hourly


def _model(facet: RosterFacet, plan: Plan) -> Any:
    def build(model: Any, x: list[list[Any]]) -> Any:
        flat = [
            (slot, _cost(facet, request, (slot, resource)), var)
            for request, pairs, bools in zip(plan.requests, plan.offers, x, strict=True)
            for (slot, resource), var in zip(pairs, bools, strict=True)
        ]
        keys = [
            (1, lambda slot: slot["slot_id"]),
            (plan.most, lambda slot: slot[facet.resource_id]),
        ]
        if plan.spread:
            keys.append((1, lambda slot: (slot["day"], slot["part"])))
        for most, key in keys:
            entries = sorted(flat, key=lambda entry: (str(key(entry[0])), entry[2].index))
            for _, same in itertools.groupby(entries, key=lambda entry: str(key(entry[0]))):
                model.add(sum(entry[2] for entry in same) <= most)
        return -sum(cost * var for _, cost, var in flat)

    return build


def _written(
    facet: RosterFacet, world: World, plan: Plan, level: int, picks: list[tuple[Row, Row]]
) -> Draft:
    spec = facet.spec
    total = sum(
        _cost(facet, request, pair) for request, pair in zip(plan.requests, picks, strict=True)
    )
    n = len(plan.requests)
    names = [row["name"] for row in plan.requests]
    example = json.dumps({"slots": [0] * n, "total": 0})
    code = facet.names() | dict(
        wanted=text_list(names), most=plan.most, best=total, count=n,
        rules=fill(_SPREAD if plan.spread else _PLAIN, most=plan.most, **facet.names()),
    )  # fmt: skip
    shared = fill(_SHARED, **code)
    return Draft(
        pattern="assign",
        level=level,
        prompt=_prompt(facet, world, plan, names, example),
        solution=solution(
            f"Finds slots for the {spec.requests} at the lowest total, and books them.",
            facet.loader(),
            shared,
            fill(_SEARCH, **code),
            fill(_SOLVE, **code),
        ),
        verify=verify(
            f"Checks the slots of the {spec.requests}, and what was booked.",
            fill(_VERIFY, **code),
            shared,
            writes=[spec.booking_table, f"{facet.resource}_slots"],
        ),
        schema=object_of(slots=list_of(WHOLE, n), total=WHOLE),
        writes=True,
        figures=(total,),
        metadata={"requests": n, "rules": 2 + plan.spread},
    )


def _prompt(facet: RosterFacet, world: World, plan: Plan, names: list[str], example: str) -> str:
    rng, spec = world.rng, facet.spec
    opening = rng.choice(spec.contexts)
    ask = say(
        rng,
        "Find a slot for each of these {requests}: {names}.",
        "The {requests} {names} each need a slot.",
        "Give each of the following {n} {requests} one slot: {names}.",
        requests=spec.requests, names=listing(names), n=len(names),
    )  # fmt: skip
    fit = say(
        rng,
        "A slot fits if it is free, lies on a day from the {request}'s earliest to its latest day"
        " (both included), and belongs to a {resource} for the {request}'s {skill} whose"
        " {capacity} is not below the {request}'s {need}.",
        "What fits a {request} is a free slot between its earliest and its latest day, those days"
        " included, with a {resource} listed for its {skill} and whose {capacity}"
        " is its {need} or more.",
        "The {resource} must cover the {skill} of the {request}, with a {capacity} of at least its"
        " {need}; the slot must be free and its day within the {request}'s earliest and latest day"
        " (inclusive).",
        request=spec.request, resource=spec.resource, skill=spec.skill.noun,
        capacity=spec.capacity.label, need=spec.need_label,
    )  # fmt: skip
    most = {
        1: say(rng, "No {r} may get more than one of them.", "Each {r} takes one of them at most.",
               r=spec.resource),
        2: say(rng, "No {r} may get more than two of them.", "Each {r} takes two of them at most.",
               r=spec.resource),
    }[plan.most]  # fmt: skip
    parts = [opening, ask, fit, most]
    if plan.spread:
        parts.append(
            say(
                rng,
                "No two of them may be on the same day in the same part of it.",
                "They must all be at different times: never two in the same part of one day.",
            )
        )
    parts.append(
        say(
            rng,
            "Each costs, for every hour it takes, the {rate} of the {resource} plus the {extra} of"
            " the slot; choose so that all of them together cost as little as possible, and"
            " {verb} every {request} to its slot.",
            "Keep the sum of all costs as low as it can be, where one costs its hours times the"
            " sum of the {resource}'s {rate} and the slot's {extra}. Then {verb} each {request}"
            " to the slot you found.",
            "What one costs is {rate} plus {extra}, times its hours, where the {rate} is that of"
            " the {resource} and the {extra} that of the slot. Make the sum over all of them as"
            " small as possible; {verb} each {request} accordingly.",
            rate=spec.rate.label,
            resource=spec.resource,
            extra=spec.surcharge.label,
            verb=spec.verb,
            request=spec.request,
        )
    )
    note = (
        f"Give the slot ids in the order in which the {spec.requests} are named above, and as"
        " total the sum of all costs."
    )
    return " ".join(parts) + "\n\n" + answer_form(rng, example, note)


_SHARED = '''
def fits(request, slot, resource):
    """Whether the slot of this $resource could take the $request."""
    return (
        resource["$skill"] == request["$skill"]
        and resource["$capacity"] >= request["$need"]
        and request["earliest_day"] <= slot["day"] <= request["latest_day"]
    )


def cost(request, slot, resource):
    return request["hours"] * (resource["$rate"] + slot["$surcharge"])


def together(picks):
    """Whether slots with their $resources can be had together."""
    $rules
'''

_PLAIN = """
slots = [slot["slot_id"] for slot, _ in picks]
owners = [resource["$resource_id"] for _, resource in picks]
return len(set(slots)) == len(slots) and all(owners.count(one) <= $most for one in owners)
"""

_SPREAD = """
times = [(slot["day"], slot["part"]) for slot, _ in picks]
owners = [resource["$resource_id"] for _, resource in picks]
return len(set(times)) == len(times) and all(owners.count(one) <= $most for one in owners)
"""

_SEARCH = '''
def search(requests, choices):
    """One (slot, $resource) for each $request, at the lowest sum: depth first, with a bound."""
    # What the requests from here on cost at least, each with its cheapest slot.
    rest = [0]
    for request, options in reversed(list(zip(requests, choices))):
        rest.insert(0, rest[0] + min(cost(request, *pair) for pair in options))
    best, lowest = None, None

    def go(picks, spent):
        nonlocal best, lowest
        at = len(picks)
        if lowest is not None and spent + rest[at] >= lowest:
            return
        if at == len(choices):
            best, lowest = list(picks), spent
            return
        for pair in choices[at]:
            if together([*picks, pair]):
                go([*picks, pair], spent + cost(requests[at], *pair))

    go([], 0)
    return best, lowest
'''

_SOLVE = """
def solve(tools):
    requests = load_requests(tools, $wanted)
    offers = load_offers(tools, sorted({request["$skill"] for request in requests}))
    choices = []
    for request in requests:
        options = [pair for pair in offers if fits(request, *pair)]
        options.sort(key=lambda pair: cost(request, *pair))
        choices.append(options)
    best, total = search(requests, choices)
    for request, (slot, _) in zip(requests, best):
        tools.$book($request_id=request["$request_id"], slot_id=slot["slot_id"])
    return {"slots": [slot["slot_id"] for slot, _ in best], "total": total}
"""

_VERIFY = """
if not has_keys(answer, ["slots", "total"]) or not isinstance(answer["slots"], list):
    return "The answer must be an object with a list of slots and a total."
if len(answer["slots"]) != $count or not all(map(whole_number, answer["slots"])):
    return "There must be $count slot ids."
slots = by_key(before, "$slot_table", "slot_id")
resources = by_key(before, "$resource_table", "$resource_id")
requests = by_key(before, "$request_table", "name")
picks, booked, total = [], [], 0
for name, key in zip($wanted, answer["slots"]):
    if key not in slots or slots[key]["taken"]:
        return "A slot does not exist or is not free."
    slot, resource = slots[key], resources[slots[key]["$resource_id"]]
    if not fits(requests[name], slot, resource):
        return "A slot does not fit its $request."
    picks.append((slot, resource))
    total += cost(requests[name], slot, resource)
    booked.append((key, requests[name]["$request_id"]))
if not together(picks):
    return "The slots break a rule together."
if not whole_number(answer["total"]) or answer["total"] != total:
    return "The total is wrong."
# The lowest there is, as a full search has shown; no other choice comes to it.
if total != $best:
    return "There is a cheaper choice."
rows = new_rows(before, after, "$booking_table", "$booking_id")
if rows is None:
    return "An old $booking was changed."
if sorted((row["slot_id"], row["$request_id"]) for row in rows) != sorted(booked):
    return "What was $past is not what the answer says."
taken = set(answer["slots"])
for key, row in by_key(after, "$slot_table", "slot_id").items():
    wanted = dict(slots[key]) if key in slots else None
    if key in taken:
        wanted["taken"] = 1
    if dict(row) != wanted:
        return "The slots are not as they should be."
if len(by_key(after, "$slot_table", "slot_id")) != len(slots):
    return "A slot is gone."
"""
