"""Patterns of chained look-ups: each result is the next call's argument.

V3.2 report, 3.2.3, at its smallest: chain (the age of the boss of person 14), hops (three times
north of field 14), lock (a key for a box, which may hold a box).
"""

from __future__ import annotations

from collections.abc import Iterator

from speciale.synth.general.text import fill
from speciale.synth.general.world import Table, World
from speciale.synth.starter.pattern import (
    Domain,
    Pattern,
    Question,
    check,
    look_up,
    numbers,
    tool,
)


def chain(world: World, domain: Domain) -> Iterator[Question]:
    rng, noun, table = world.rng, domain["noun"], domain["table"]
    link, attr = domain["link"], domain["attr"]
    names = numbers(rng, 24)
    links = {n: rng.choice([other for other in names if other != n]) for n in names}
    rows = [{"n": n, "link": links[n], "value": rng.randint(11, 99)} for n in names]
    columns = {
        "n": "INTEGER PRIMARY KEY", "link": "INTEGER NOT NULL", "value": "INTEGER NOT NULL",
    }  # fmt: skip
    world.tables.append(Table(table, columns, rows))
    look_up(world, link, f"The {link} of a {noun}.",
            f"SELECT link FROM {table} WHERE n = ?", n="int")  # fmt: skip
    look_up(world, attr, f"The {attr} of a {noun}.",
            f"SELECT value FROM {table} WHERE n = ?", n="int")  # fmt: skip
    for level in (1, 2, 3):
        for start in rng.sample(names, len(names)):
            at, thoughts = start, []
            for _ in range(level):
                thoughts.append(f"{link} of {at}")
                at = links[at]
            yield Question(
                level,
                rng.choice(("What is the {} of {}{} {}?", "Tell me the {} of {}{} {}.")).format(
                    attr, f"the {link} of " * level, noun, start
                ),
                fill(
                    """
                    at = $start
                    for _ in range($level):
                        at = tools.$link(n=at)
                    return tools.$attr(n=at)
                    """,
                    start=start, level=level, link=link, attr=attr,
                ),
                check(f"""
at = {start}
for _ in range({level}):
    at = one(before, "SELECT link FROM {table} WHERE n = ?", at)
right = one(before, "SELECT value FROM {table} WHERE n = ?", at)
"""),
                [*thoughts, f"{attr} of {at}", ""],
            )  # fmt: skip


def hops(world: World, domain: Domain) -> Iterator[Question]:
    rng, noun, table = world.rng, domain["noun"], domain["table"]
    names = numbers(rng, 26)
    ways: dict[str, dict[int, int]] = {}
    for way in (domain["there"], domain["back"]):  # each a ring of all places, in its own order
        ring = rng.sample(names, len(names))
        ways[way] = dict(zip(ring, [*ring[1:], ring[0]]))
    rows = [
        {"n": n, "there": ways[domain["there"]][n], "back": ways[domain["back"]][n]} for n in names
    ]
    columns = dict.fromkeys(("n", "there", "back"), "INTEGER NOT NULL")
    world.tables.append(Table(table, columns, rows))
    for column in ("there", "back"):
        look_up(world, domain[column], f"Which {noun} is {domain[column]} of one.",
                f"SELECT {column} FROM {table} WHERE n = ?", n="int")  # fmt: skip
    for level in (1, 2, 3):
        for start in rng.sample(names, len(names)):
            column = rng.choice(("there", "back"))
            way, at, thoughts = domain[column], start, []
            for step in range(level + 1):
                thoughts.append(f"{way} of {at}, {step + 1} of {level + 1}")
                at = ways[way][at]
            yield Question(
                level,
                rng.choice((
                    "Go {way} {n} times from {noun} {start}. Where are you?",
                    "Which {noun} is {n} times {way} of {noun} {start}?",
                )).format(way=way, n=level + 1, noun=noun, start=start),
                fill(
                    """
                    at = $start
                    for _ in range($n):
                        at = tools.$way(n=at)
                    return at
                    """,
                    start=start, n=level + 1, way=way,
                ),
                check(f"""
right = {start}
for _ in range({level + 1}):
    right = one(before, "SELECT {column} FROM {table} WHERE n = ?", right)
"""),
                [*thoughts, ""],
            )  # fmt: skip


def lock(world: World, domain: Domain) -> Iterator[Question]:
    rng, noun, table = world.rng, domain["noun"], domain["table"]
    key, enter, own = domain["key"], domain["open"], domain["own"]
    names = numbers(rng, 32)
    owners = dict(zip(names, numbers(rng, 32)))
    outer, plain = names[:14], names[14:]
    inner = {n: rng.choice(plain) for n in outer}
    rows = [
        {
            "n": n, "code": rng.randint(11, 99), "owner": owners[n],
            "content": inner.get(n) or rng.randint(11, 99),
        }
        for n in names
    ]  # fmt: skip
    columns = dict.fromkeys(("n", "code", "owner", "content"), "INTEGER NOT NULL")
    world.tables.append(Table(table, columns, rows))
    look_up(world, own, f"Number of a person's {noun}.",
            f"SELECT n FROM {table} WHERE owner = ?", person="int")  # fmt: skip
    look_up(world, key, f"The {key} of a {noun}.",
            f"SELECT code FROM {table} WHERE n = ?", n="int")  # fmt: skip
    tool(
        world, enter, f"The number in a {noun}, which may be another {noun}'s.",
        f"""
        if _one(db, "SELECT code FROM {table} WHERE n = ?", n) != {key}:
            raise ValueError("wrong {key}")
        return _one(db, "SELECT content FROM {table} WHERE n = ?", n)
        """,
        n="int", **{key: "int"},
    )  # fmt: skip
    last = f"code = tools.{key}(n=at)\nreturn tools.{enter}(n=at, {key}=code)"

    def content(level: int, place: str, start: str, working: str, thoughts: list) -> Question:
        ask = rng.choice(("What number is in {}?", "Which number is in {}?")).format(place)
        right = f'right = one(before, "SELECT content FROM {table} WHERE n = ?", at)\n'
        return Question(level, ask, f"{start}\n{last}", check(working + right), [*thoughts, ""])

    def opening(n: int) -> list[str]:
        return [f"{key} of {n}", f"{enter} {n}"]

    for n in rng.sample(plain, len(plain)):
        yield content(1, f"{noun} {n}", f"at = {n}", f"at = {n}\n", opening(n))
    for n in rng.sample(plain, len(plain)):
        yield content(
            2, f"the {noun} of person {owners[n]}", f"at = tools.{own}(person={owners[n]})",
            f'at = one(before, "SELECT n FROM {table} WHERE owner = ?", {owners[n]})\n',
            [f"{noun} of {owners[n]}", *opening(n)],
        )  # fmt: skip
    for n in rng.sample(outer, len(outer)):
        yield content(
            3, f"the {noun} inside {noun} {n}",
            f"code = tools.{key}(n={n})\nat = tools.{enter}(n={n}, {key}=code)",
            f'at = one(before, "SELECT content FROM {table} WHERE n = ?", {n})\n',
            [*opening(n), *opening(inner[n])],
        )  # fmt: skip


LOOKUPS = (
    Pattern(
        "chain", "Who is linked to whom, and a figure about each.",
        {
            "staff": dict(noun="person", table="staff"),
            "cats": dict(noun="cat", table="cats"),
            "guests": dict(noun="guest", table="guests"),
        },
        (dict(link="boss", attr="age"), dict(link="mother", attr="weight")),
        chain,
    ),
    Pattern(
        "hops", "Places with two ways out of each.",
        {
            "fields": dict(noun="field", table="fields"),
            "rooms": dict(noun="room", table="rooms"),
            "stops": dict(noun="stop", table="stops"),
        },
        (dict(there="north", back="south"), dict(there="left", back="right")),
        hops,
    ),
    Pattern(
        "lock", "Locked places with a number in each.",
        {
            "boxes": dict(noun="box", table="boxes"),
            "rooms": dict(noun="room", table="rooms"),
            "parcels": dict(noun="parcel", table="parcels"),
        },
        (dict(own="find", key="key", open="open"), dict(own="search", key="code", open="enter")),
        lock,
    ),
)  # fmt: skip
