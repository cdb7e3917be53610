"""A ladder: the best way over timed legs, there and in the end back again, and its bookings.

V3.2 report, 3.2.3: planning a trip is the report's own example. The author looks at every way; the
solution loads the part of the network that can matter, and searches it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from speciale.synth.general import route_code as templates
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
from speciale.synth.general.network import NetworkFacet
from speciale.synth.general.text import (
    answer_form,
    article,
    fill,
    listing,
    number_word,
    say,
    upper_first,
)
from speciale.synth.general.world import Row, World


@dataclass(frozen=True)
class Trip:
    origin: str
    target: str
    start: str  # not to leave before
    change: int  # minutes at a stop at least
    most: int  # legs of one way
    tests: list[Condition]
    early: bool  # the earliest arrival counts; else the lowest total
    stay: int | None  # minutes at the target at least, before the way back; None: no way back


def route_ladder(facet: NetworkFacet, world: World) -> list[Draft]:
    rng = world.rng
    origin = rng.choice(facet.stops)
    writes_from = rng.choice((1, 2, 3))
    last = 0

    def draw(level: int) -> Draft | None:
        nonlocal last
        draft = _draft(facet, world, level, origin, level >= writes_from, last)
        if draft:
            last = draft.metadata["legs"]
        return draft

    return climb(world, (1, 2, 3, 4), draw, tries=25)


def _minutes(time: str) -> int:
    return 60 * int(time[:2]) + int(time[3:])


def _ways(
    facet: NetworkFacet, trip: Trip, origin: str, target: str, start: int, path: tuple[Row, ...]
) -> Iterator[tuple[Row, ...]]:
    """Every way on from here, with the legs so far."""
    for leg in facet.legs:
        if leg["origin"] != origin or _minutes(leg["departs"]) < start:
            continue
        operator = facet.operators[leg[facet.operator]]
        if not all(test.test(leg, operator) for test in trip.tests):
            continue
        longer = (*path, leg)
        if leg["destination"] == target:
            yield longer
        elif len(longer) < trip.most:
            begin = _minutes(leg["arrives"]) + trip.change
            yield from _ways(facet, trip, leg["destination"], target, begin, longer)


def _all_ways(facet: NetworkFacet, trip: Trip) -> Iterator[tuple[Row, ...]]:
    for way in _ways(facet, trip, trip.origin, trip.target, _minutes(trip.start), ()):
        if trip.stay is None:
            yield way
            continue
        start = _minutes(way[-1]["arrives"]) + trip.stay
        for back in _ways(facet, trip, trip.target, trip.origin, start, ()):
            yield way + back


def _draft(
    facet: NetworkFacet, world: World, level: int, origin: str, writes: bool, last: int
) -> Draft | None:
    rng, spec = world.rng, facet.spec
    tests = []
    if level >= 2:
        tests.append(
            Condition(
                f"that {spec.flag.yes}",
                f'leg["{spec.flag.column}"]',
                lambda leg, _: leg[spec.flag.column],
                spec.flag.column,
            )
        )
    if level >= 3:
        tests.append(
            Condition(
                f"of {article(spec.operator)} that {spec.operator_flag.yes}",
                f'operator["{spec.operator_flag.column}"]',
                lambda _, operator: operator[spec.operator_flag.column],
                spec.operator_flag.column,
            )
        )
        if level == 4 or rng.random() < 0.5:  # both together leave too little of the network
            tests.pop(0)
    direct = {leg["destination"] for leg in facet.legs if leg["origin"] == origin}
    far = [stop for stop in facet.stops if stop != origin and stop not in direct]
    trip = Trip(
        origin,
        rng.choice(far or [stop for stop in facet.stops if stop != origin]),
        rng.choice(("05:00", "06:00", "06:30", "07:00")[: 2 if level == 4 else 4]),
        rng.choice((5, 10, 15, 20, 30)[: 3 if level == 4 else 5]),
        2 if level == 1 else 3,
        tests,
        rng.random() < 0.4,
        rng.choice((30, 60, 90)) if level == 4 else None,
    )
    ranked = sorted(
        (_worth(facet, trip, way), index, way) for index, way in enumerate(_all_ways(facet, trip))
    )
    if len(ranked) < 3 or ranked[0][0] == ranked[1][0]:
        return None
    best = ranked[0][2]
    if len(best) < max(2, last):
        return None
    return _written(facet, world, level, trip, best, writes)


def _worth(facet: NetworkFacet, trip: Trip, way: tuple[Row, ...]) -> tuple:
    total = sum(leg[facet.spec.price.column] for leg in way)
    return (way[-1]["arrives"], total) if trip.early else (total,)


def _written(
    facet: NetworkFacet, world: World, level: int, trip: Trip, best: tuple[Row, ...], writes: bool
) -> Draft:
    spec = facet.spec
    total = sum(leg[spec.price.column] for leg in best)
    thing = world.names.draw(spec.thing)
    example = json.dumps({facet.spec.legs.replace(" ", "_"): ["id", "id"], "total": 0})
    by_operator = any("operator[" in test.code for test in trip.tests)
    worth = _worth(facet, trip, best)
    code = facet.names() | dict(
        tests_lines="\nand ".join(test.code for test in trip.tests) or "True",
        source=json.dumps(trip.origin),
        target=json.dumps(trip.target),
        start=trip.start,
        change=trip.change,
        most=trip.most,
        stay=trip.stay,
        who=json.dumps(thing),
        worth='(way[-1]["arrives"], total)' if trip.early else "(total,)",
        best="(" + "".join(f"{json.dumps(part)}, " for part in worth).rstrip(" ") + ")",
        ids='[leg["$leg_id"] for leg in best]',
    )
    code["operators"] = fill(templates.OPERATORS if by_operator else templates.NO_OPERATORS, **code)
    code["search"] = fill(templates.THERE if trip.stay is None else templates.AND_BACK, **code)
    code["write"] = fill(templates.WRITE, **code) if writes else ""
    code["split"] = fill(templates.ONE_WAY if trip.stay is None else templates.BOTH_WAYS, **code)
    code["check_write"] = fill(templates.CHECK_WRITE, **code) if writes else ""
    shared = fill(templates.SHARED, **code)
    return Draft(
        pattern="route",
        level=level,
        prompt=_prompt(facet, world, trip, thing, writes, example),
        solution=solution(
            f"Finds the best way over the {spec.legs}.",
            facet.loader(),
            facet.operators_loader() if by_operator else "",
            shared,
            fill(templates.WAYS, **code),
            fill(templates.SOLVE, **code),
        ),
        verify=verify(
            f"Checks the {spec.legs} one after the other.",
            fill(templates.VERIFY, **code),
            shared,
            fill(templates.CHECK_WAY, **code),
            writes=[spec.booking_table] if writes else [],
        ),
        schema=object_of(**{spec.legs.replace(" ", "_"): list_of(TEXT, len(best)), "total": WHOLE}),
        writes=writes,
        figures=(total,),
        metadata={"legs": len(best), "rules": len(trip.tests) + 2},
    )


def _prompt(
    facet: NetworkFacet, world: World, trip: Trip, thing: str, writes: bool, example: str
) -> str:
    rng, spec = world.rng, facet.spec
    opening = upper_first(rng.choice(spec.contexts).format(thing=thing))
    ask = say(
        rng,
        "Find the best connection from {a} to {b}",
        "What is the best way from {a} to {b}",
        "Work out how to get from {a} to {b}",
        a=trip.origin,
        b=trip.target,
    )
    ask = ask + ("?" if ask.startswith("What") else ".")
    number = number_word(trip.most)
    parts = [opening, ask]
    one_way = "" if trip.stay is None else " each way"
    parts.append(
        say(
            rng,
            "Not before {start}, with {number} {legs} at most{way}, and at least {change} minutes"
            " between an arrival and the next departure.",
            "Departure is at {start} or later. A change takes {change} minutes or more, and there"
            " may be up to {number} {legs}{way}.",
            start=trip.start,
            number=number,
            legs=spec.legs,
            way=one_way,
            change=trip.change,
        )
    )
    if trip.stay is not None:
        parts.append(
            say(
                rng,
                "Then it goes back to {a} on the same day, after {stay} minutes in {b} at least.",
                "The same day the way leads back to {a}; the time in {b} must be {stay} minutes or"
                " more.",
                a=trip.origin,
                b=trip.target,
                stay=trip.stay,
            )
        )
    if trip.tests:
        clauses = listing([test.clause for test in trip.tests])
        parts.append(
            say(
                rng,
                "Use only {legs} {c}.",
                "Only {legs} {c} come into question.",
                legs=spec.legs,
                c=clauses,
            )
        )
    whole = "the whole way" if trip.stay is None else "both ways together"
    if trip.early:
        parts.append(
            say(
                rng,
                "The best is the one that {arrives} first; of several, the one with the lowest"
                " total {price}.",
                "What counts is the earliest time at which it {arrives}, and after that the lowest"
                " total {price}.",
                arrives="arrives" if trip.stay is None else f"is back in {trip.origin}",
                price=spec.price.label,
            )
        )
    else:
        parts.append(
            say(
                rng,
                "The best is the one with the lowest total {price} over {whole}.",
                "The lower the total {price} over {whole}, the better; nothing else counts.",
                price=spec.price.label,
                whole=whole,
            )
        )
    if writes:
        parts.append(
            say(
                rng,
                "Then {verb} every {leg} of it for {thing}.",
                "Finally, {verb} all these {legs} in the name of {thing}.",
                verb=spec.verb,
                leg=spec.leg,
                legs=spec.legs,
                thing=thing,
            )
        )
    note = (
        f"Give the ids of the {spec.legs} in the order of travel, and the total {spec.price.label}."
    )
    return " ".join(parts) + "\n\n" + answer_form(rng, example, note)
