"""Patterns of chained look-ups: each result is the next call's argument.

V3.2 report, 3.2.3, at its smallest: chain (the town of the boss of Ann), hops (three times north of
field 14), lock (a key for a box, which may hold a box).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from speciale.synth.general.text import fill
from speciale.synth.general.world import Table, World
from speciale.synth.starter import words
from speciale.synth.starter.pattern import (
    Domain,
    Pattern,
    Question,
    check_number,
    check_word,
    look_up,
    tool,
)


def chain(world: World, domain: Domain) -> Iterator[Question]:
    rng, link, attr, find = world.rng, domain["link"], domain["attr"], domain["find"]
    names, places = rng.sample(words.PEOPLE, 20), words.numbers(rng, 20)
    links = {n: rng.choice([other for other in places if other != n]) for n in places}
    values = {n: rng.choice(domain["values"]) for n in places}
    rows = [
        {"n": n, "name": name, "link": links[n], "value": values[n]}
        for n, name in zip(places, names)
    ]
    columns = {
        "n": "INTEGER PRIMARY KEY", "name": "TEXT NOT NULL", "link": "INTEGER NOT NULL",
        "value": "TEXT NOT NULL",
    }  # fmt: skip
    world.tables.append(Table(domain["table"], columns, rows))
    table, noun = domain["table"], domain["noun"]
    look_up(world, find, f"Number of a {noun}.",
            f"SELECT n FROM {table} WHERE name = ?", name="str")  # fmt: skip
    look_up(world, link, f"Number of the {link} of a {noun}.",
            f"SELECT link FROM {table} WHERE n = ?", n="int")  # fmt: skip
    look_up(world, attr, f"{attr.capitalize()} of a {noun}.",
            f"SELECT value FROM {table} WHERE n = ?", "str", n="int")  # fmt: skip
    for level in (1, 2, 3):
        for row in rng.sample(rows, len(rows)):
            name, at, thoughts = row["name"], row["n"], [f"{find} {row['name']}"]
            for _ in range(level - 1):
                thoughts.append(f"{link} of {at}")
                at = links[at]
            thoughts += [f"{attr} of {at}", ""]
            of = f"the {link} of " * (level - 1) + name
            yield Question(
                level,
                rng.choice(("What is the {} of {}?", "Tell me the {} of {}.")).format(attr, of),
                fill(
                    """
                    at = tools.$find(name="$name")
                    $links
                    return tools.$attr(n=at)
                    """,
                    find=find, name=name, attr=attr,
                    links="\n".join([f"at = tools.{link}(n=at)"] * (level - 1)),
                ),
                check_word(_chain_check(table, name, level - 1)),
                thoughts,
                text=True,
            )  # fmt: skip


def _chain_check(table: str, name: str, steps: int) -> str:
    return f"""
at = one(before, "SELECT n FROM {table} WHERE name = ?", "{name}")
for _ in range({steps}):
    at = one(before, "SELECT link FROM {table} WHERE n = ?", at)
right = one(before, "SELECT value FROM {table} WHERE n = ?", at)
"""


def hops(world: World, domain: Domain) -> Iterator[Question]:
    rng, noun, table = world.rng, domain["noun"], domain["table"]
    places = words.numbers(rng, 26)
    ways: dict[str, dict[int, int]] = {}
    for way in (domain["there"], domain["back"]):  # each a ring of all places, in its own order
        ring = rng.sample(places, len(places))
        ways[way] = dict(zip(ring, [*ring[1:], ring[0]]))
    rows = [
        {"n": n, "there": ways[domain["there"]][n], "back": ways[domain["back"]][n]} for n in places
    ]
    columns = dict.fromkeys(("n", "there", "back"), "INTEGER NOT NULL")
    world.tables.append(Table(table, columns, rows))
    for column in ("there", "back"):
        look_up(world, domain[column], f"Which {noun} is {domain[column]} of one.",
                f"SELECT {column} FROM {table} WHERE n = ?", n="int")  # fmt: skip
    for level in (1, 2, 3):
        for start in rng.sample(places, len(places)):
            column = rng.choice(("there", "back"))
            way, at, thoughts = domain[column], start, []
            for step in range(level + 1):
                thoughts.append(f"{way} of {at}, {step + 1} of {level + 1}")
                at = ways[domain[column]][at]
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
                check_number(f"""
right = {start}
for _ in range({level + 1}):
    right = one(before, "SELECT {column} FROM {table} WHERE n = ?", right)
"""),
                [*thoughts, ""],
            )  # fmt: skip


def lock(world: World, domain: Domain) -> Iterator[Question]:
    rng, noun, table = world.rng, domain["noun"], domain["table"]
    key, enter, own = domain["key"], domain["open"], domain["own"]
    places, owners = words.numbers(rng, 32), rng.sample(words.PEOPLE, 16)
    codes = {n: rng.randint(11, 99) for n in places}
    outer, plain = places[:14], places[14:]
    inside: dict[int, Any] = {n: rng.choice(words.TREASURES) for n in plain}
    inside |= {n: rng.choice(plain) for n in outer}
    owned = dict(zip(rng.sample(plain, len(owners)), owners))
    rows = [
        {
            "n": n, "code": codes[n], "owner": owned.get(n, ""),
            "thing": inside[n] if n in plain else "", "inner": inside[n] if n in outer else 0,
        }
        for n in places
    ]  # fmt: skip
    columns = {
        "n": "INTEGER PRIMARY KEY", "code": "INTEGER NOT NULL", "owner": "TEXT NOT NULL",
        "thing": "TEXT NOT NULL", "inner": "INTEGER NOT NULL",
    }  # fmt: skip
    world.tables.append(Table(table, columns, rows))
    look_up(world, own, f"Number of somebody's {noun}.",
            f"SELECT n FROM {table} WHERE owner = ?", name="str")  # fmt: skip
    look_up(world, key, f"The {key} of a {noun}.",
            f"SELECT code FROM {table} WHERE n = ?", n="int")  # fmt: skip
    tool(
        world, enter, f"What is in a {noun}: a thing, or the number of another {noun}.",
        f"""
        if _one(db, "SELECT code FROM {table} WHERE n = ?", n) != {key}:
            raise ValueError("wrong {key}")
        inner = _one(db, "SELECT inner FROM {table} WHERE n = ?", n)
        return inner or _one(db, "SELECT thing FROM {table} WHERE n = ?", n)
        """,
        "str | int", n="int", **{key: "int"},
    )  # fmt: skip
    last = f"code = tools.{key}(n=at)\nreturn tools.{enter}(n=at, {key}=code)"

    def thing(level: int, place: str, start: str, working: str, thoughts: list[str]) -> Question:
        ask = rng.choice(("What is in {}?", "Which thing is in {}?")).format(place)
        right = f'right = one(before, "SELECT thing FROM {table} WHERE n = ?", at)\n'
        return Question(
            level, ask, f"{start}\n{last}", check_word(working + right), thoughts, text=True
        )

    def opening(n: int) -> list[str]:
        return [f"{key} of {n}", f"{enter} {n}"]

    for n in rng.sample(plain, len(plain)):
        yield thing(1, f"{noun} {n}", f"at = {n}", f"at = {n}\n", [*opening(n), ""])
    for n, owner in rng.sample(sorted(owned.items()), len(owned)):
        yield thing(
            2, f"the {noun} of {owner}", f'at = tools.{own}(name="{owner}")',
            f'at = one(before, "SELECT n FROM {table} WHERE owner = ?", "{owner}")\n',
            [f"{noun} of {owner}", *opening(n), ""],
        )  # fmt: skip
    for n in rng.sample(outer, len(outer)):
        yield thing(
            3, f"the {noun} inside {noun} {n}",
            f"code = tools.{key}(n={n})\nat = tools.{enter}(n={n}, {key}=code)",
            f'at = one(before, "SELECT inner FROM {table} WHERE n = ?", {n})\n',
            [*opening(n), *opening(inside[n]), ""],
        )  # fmt: skip


def _chain_domain(noun: str, table: str, find: str, link: str, attr: str, values: tuple) -> Domain:
    return dict(noun=noun, table=table, find=find, link=link, attr=attr, values=values)


def _hops_domain(noun: str, table: str, there: str, back: str) -> Domain:
    return dict(noun=noun, table=table, there=there, back=back)


def _lock_domain(noun: str, table: str, own: str, key: str, enter: str) -> Domain:
    return {"noun": noun, "table": table, "own": own, "key": key, "open": enter}


LOOKUPS = (
    Pattern(
        "chain", "Who is linked to whom, and where or what each is.",
        {
            "staff": _chain_domain("person", "staff", "find", "boss", "town", words.TOWNS),
            "cats": _chain_domain("cat", "cats", "seek", "mother", "colour", words.COLOURS),
            "robots": _chain_domain("robot", "robots", "tag", "maker", "metal", words.METALS),
            "players": _chain_domain("player", "players", "look", "rival", "sport", words.SPORTS),
            "pupils": _chain_domain("pupil", "pupils", "search", "friend", "fruit", words.FRUITS),
            "spies": _chain_domain("spy", "spies", "trace", "contact", "place", words.PLACES),
            "dogs": _chain_domain("dog", "dogs", "chip", "owner", "street", words.TREASURES),
            "actors": _chain_domain("actor", "actors", "cast", "partner", "city", words.TOWNS),
        },
        chain,
    ),
    Pattern(
        "hops", "Places with two ways out of each.",
        {
            "fields": _hops_domain("field", "fields", "north", "south"),
            "rooms": _hops_domain("room", "rooms", "left", "right"),
            "floors": _hops_domain("floor", "floors", "up", "down"),
            "stops": _hops_domain("stop", "stops", "next", "back"),
            "islands": _hops_domain("island", "islands", "east", "west"),
            "caves": _hops_domain("cave", "caves", "inward", "outward"),
        },
        hops,
    ),
    Pattern(
        "lock", "Locked places with somebody's things in them.",
        {
            "boxes": _lock_domain("box", "boxes", "box", "key", "open"),
            "rooms": _lock_domain("room", "rooms", "room", "code", "enter"),
            "safes": _lock_domain("safe", "safes", "safe", "pin", "unlock"),
            "trunks": _lock_domain("trunk", "trunks", "trunk", "seal", "lift"),
            "vaults": _lock_domain("vault", "vaults", "vault", "word", "visit"),
            "cages": _lock_domain("cage", "cages", "cage", "bolt", "look"),
        },
        lock,
    ),
)  # fmt: skip
