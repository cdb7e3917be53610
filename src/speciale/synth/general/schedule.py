"""A ladder: a time at which several people and a fitting room are free, found and booked.

V3.2 report, 3.2.3: planning over several calendars, and the plan is written down.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from speciale.synth.general import schedule_code as templates
from speciale.synth.general.calendars import CLOSES, OPENS, STEP, CalendarsFacet, clock
from speciale.synth.general.catalogue import Condition
from speciale.synth.general.draft import (
    TEXT,
    Draft,
    climb,
    list_of,
    object_of,
    solution,
    verify,
)
from speciale.synth.general.text import answer_form, article, fill, listing, say, text_list
from speciale.synth.general.world import Row, World


@dataclass(frozen=True)
class Event:
    title: str
    people: list[Row]
    minutes: int


@dataclass(frozen=True)
class Pick:
    day: str
    start: str
    end: str
    room: Row


def schedule_ladder(facet: CalendarsFacet, world: World) -> list[Draft]:
    rng = world.rng
    people = list(facet.people)
    rng.shuffle(people)
    titles = rng.sample(facet.spec.titles, len(facet.spec.titles))

    fixed = 0  # people who are in the easier task, and stay in this one

    def draw(level: int) -> Draft | None:
        nonlocal fixed
        counts = {1: (2,), 2: (3,), 3: (4,), 4: (4, 3)}[level]
        minutes = rng.choice((60, 90, 120))
        events = [Event(titles[level % len(titles)], people[: counts[0]], minutes)]
        if level == 4:  # the second has somebody of the first, and two who are new
            guests = [people[rng.randrange(4)], *people[4:6]]
            events.append(Event(titles[0], guests, rng.choice((60, 90))))
        draft = _draft(facet, world, level, events, facet.days[: 2 if level < 3 else 3])
        if draft:
            fixed = counts[0]
        else:
            people[fixed:] = rng.sample(people[fixed:], len(people) - fixed)
        return draft

    return climb(world, (1, 2, 3, 4), draw, tries=30)


def _draft(
    facet: CalendarsFacet, world: World, level: int, events: list[Event], days: list[str]
) -> Draft | None:
    rng = world.rng
    cheapest = level == 3 or (level == 2 and rng.random() < 0.4)
    lunch = rng.random() < 0.4
    tests = _room_tests(facet, world, level)
    rooms = [room for room in facet.rooms if all(one.test(room, room) for one in tests)]
    if level > 1 and not 2 <= len(rooms) < len(facet.rooms):
        return None
    picks: list[Pick] = []
    for event in events:
        after = (picks[-1].day, picks[-1].end) if picks else ("", "")
        options = _options(facet, event, days, rooms, lunch, after)
        if len(options) < 2:
            return None
        options.sort(key=lambda one: _rank(facet, one, cheapest))
        picks.append(options[0])
        if _rank(facet, options[0], cheapest) == _rank(facet, options[1], cheapest):
            return None
    if picks[0].start == clock(OPENS) and picks[0].day == days[0]:
        return None  # found by chance too easily
    return _written(facet, world, level, events, days, tests, picks, cheapest, lunch)


def _rank(facet: CalendarsFacet, pick: Pick, cheapest: bool) -> tuple:
    fee = pick.room[facet.spec.fee.column]
    return (fee, pick.day, pick.start) if cheapest else (pick.day, pick.start, fee)


def _room_tests(facet: CalendarsFacet, world: World, level: int) -> list[Condition]:
    rng, spec = world.rng, facet.spec
    if level == 1:
        name = rng.choice(facet.rooms)["name"]
        return [
            Condition(name, f"room[\"name\"] == {json.dumps(name)}",
                      lambda room, _: room["name"] == name, "name")
        ]  # fmt: skip
    seats = sorted(room[spec.capacity.column] for room in facet.rooms)[rng.randint(1, 2)]
    tests = [
        Condition(
            f"whose {spec.capacity.label} is at least {seats}",
            f'room["{spec.capacity.column}"] >= {seats}',
            lambda room, _: room[spec.capacity.column] >= seats,
            spec.capacity.column,
        )
    ]
    flag = rng.choice(facet.flags)
    tests.append(
        Condition(
            f"that {flag.yes}",
            f'room["{flag.column}"]',
            lambda room, _: room[flag.column],
            flag.column,
        )
    )
    return tests[: rng.randint(1, 2)] if level < 4 else tests


def _options(facet, event, days, rooms, lunch, after) -> list[Pick]:
    found = []
    busy = [facet.busy(person) for person in event.people]
    for day in days:
        for begin in range(OPENS, CLOSES - event.minutes + 1, STEP):
            start, end = clock(begin), clock(begin + event.minutes)
            if (day, start) < after or (lunch and start < "13:00" and end > "12:00"):
                continue
            if all(facet.free(rows, day, start, end) for rows in busy):
                found += [
                    Pick(day, start, end, room)
                    for room in rooms
                    if facet.free(facet.booked(room), day, start, end)
                ]
    return found


def _written(
    facet: CalendarsFacet,
    world: World,
    level: int,
    events: list[Event],
    days: list[str],
    tests: list[Condition],
    picks: list[Pick],
    cheapest: bool,
    lunch: bool,
) -> Draft:
    spec = facet.spec
    one = {"day": "2020-01-31", "start": "00:00"} | ({spec.room: "name"} if level > 1 else {})
    one = {key.replace(" ", "_"): value for key, value in one.items()}
    schema = object_of(**dict.fromkeys(one, TEXT))
    example = json.dumps(one if len(events) == 1 else [one, one])
    entries = [
        f"    ({json.dumps(event.title)}, {text_list([p['name'] for p in event.people])},"
        f" {event.minutes}),"
        for event in events
    ]
    names = facet.names()
    code = names | dict(
        event_list="[\n" + "\n".join(entries) + "\n]", days=text_list(days),
        tests_lines="\nand ".join(test.code for test in tests), best=_best(facet, picks),
        rank="(fee, day, start)" if cheapest else "(day, start, fee)",
        lunch_test=' and not (start < "13:00" and "12:00" < end)' if lunch else "",
        opens_at=OPENS, closes_at=CLOSES, step=STEP, keys=text_list(list(one)), count=len(events),
        result="plan[0]" if len(events) == 1 else "plan",
        as_list="[answer]" if len(events) == 1 else "answer",
        room_given="" if level == 1 else fill(templates.ROOM_GIVEN, **names),
        lunch_check=fill(templates.LUNCH_CHECK) if lunch else "",
    )  # fmt: skip
    code["entry"] = (
        '{"day": day, "start": start}'
        if level == 1
        else fill('{"day": day, "start": start, "$room_ident": room["name"]}', **names).strip()
    )
    shared = fill(templates.SHARED, **code)
    return Draft(
        pattern="schedule",
        level=level,
        prompt=_prompt(facet, world, level, events, days, tests, cheapest, lunch, example),
        solution=solution(
            f"Finds when everybody and a {spec.room} are free, and books it.",
            facet.loader(),
            shared,
            fill(templates.SOLVE, **code),
        ),
        verify=verify(
            f"Checks the time and the {spec.room}, and what was written.",
            fill(templates.VERIFY, **code),
            shared,
            writes=[spec.event_table, facet.guests],
        ),
        schema=schema if len(events) == 1 else list_of(schema, len(events)),
        writes=True,
        metadata={"people": len({p["name"] for e in events for p in e.people}), "days": len(days)},
    )


def _best(facet: CalendarsFacet, picks: list[Pick]) -> str:
    fee = facet.spec.fee.column
    return str([(pick.day, pick.start, pick.room[fee]) for pick in picks]).replace("'", '"')


def _prompt(facet, world, level, events, days, tests, cheapest, lunch, example) -> str:
    rng, spec = world.rng, facet.spec
    opening = rng.choice(spec.contexts)
    first = events[0]
    who = listing([person["name"] for person in first.people])
    ask = say(
        rng,
        "{Verb} {a} called \"{title}\" of {n} minutes for {who}.",
        "{who} need {a} of {n} minutes, to be called \"{title}\": please {verb} it.",
        Verb=spec.verb.capitalize(), verb=spec.verb, a=article(spec.event), title=first.title,
        n=first.minutes, who=who,
    )  # fmt: skip
    when = say(
        rng,
        "It may be on {days}, between {opens} and {closes}, and starts on the hour or at half"
        " past.",
        "Possible days are {days}; it must lie between {opens} and {closes} and start at a full or"
        " half hour.",
        days=listing(days, "or"), opens=clock(OPENS), closes=clock(CLOSES),
    )  # fmt: skip
    parts = [opening, ask, when]
    if lunch:
        parts.append(
            say(
                rng,
                "Keep the lunch break from 12:00 to 13:00 free.",
                "Nothing may overlap with lunch, 12:00 to 13:00.",
            )
        )
    if level == 1:
        parts.append(
            say(
                rng,
                "It takes place in the {room} {name}. Everybody must be free, and so must the"
                " {room}: take the earliest time.",
                "Use the {room} {name} and take the earliest time at which the {room} and all of"
                " them are free.",
                room=spec.room,
                name=tests[0].clause,
            )
        )
    else:
        clauses = listing([test.clause for test in tests])
        parts.append(f"It needs {article(spec.room)} {clauses}.")
        if cheapest:
            parts.append(
                say(
                    rng,
                    "Among all times at which everybody and such a {room} are free, take the one"
                    " with the lowest {fee}, and then the earliest.",
                    "The {fee} counts first: as low as possible. With that {room}, take the"
                    " earliest time at which all are free.",
                    room=spec.room,
                    fee=spec.fee.label,
                )
            )
        else:
            parts.append(
                say(
                    rng,
                    "Take the earliest time at which everybody and such a {room} are free; if"
                    " several {rooms} are, the one with the lowest {fee}.",
                    "As early as possible, please, and in the {room} with the lowest {fee} of"
                    " those that are free then.",
                    room=spec.room,
                    rooms=spec.rooms,
                    fee=spec.fee.label,
                )
            )
    if len(events) > 1:
        second = events[1]
        parts.append(
            say(
                rng,
                'After that, {verb} "{title}" ({n} minutes) for {who} by the same rules; it must'
                " not start before the first one has ended.",
                'Then comes a second one, "{title}", of {n} minutes for {who}: the same rules'
                " hold, and it starts when the first has ended or later.",
                verb=spec.verb,
                title=second.title,
                n=second.minutes,
                who=listing([person["name"] for person in second.people]),
            )
        )
    note = "" if len(events) == 1 else "List the two in that order."
    return " ".join(parts) + "\n\n" + answer_form(rng, example, note)
