"""Patterns that list first, and look at what the list names until the answer is found.

V3.2 report, 3.2.3, at its smallest: hunt (the box of size 3 in room 14), notes (open them until one
tells), tally (all that is there, together), slot (the first hour that nobody has taken).
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
    named,
    numbers,
    tool,
)

_LIST = "SELECT n FROM {} WHERE place = ? ORDER BY rowid".format


def hunt(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun, many = world.rng, domain["table"], domain["noun"], domain["many"]
    attr, look, kind, where = domain["attr"], domain["look"], domain["kind"], domain["where"]
    places, ids = numbers(rng, 16), iter(numbers(rng, 48))
    rows = [
        {"n": next(ids), "place": place, "kind": value, "value": rng.randint(1, 20)}
        for place in places
        for value in rng.sample(range(1, 10), 3)
    ]
    columns = dict.fromkeys(("n", "place", "kind", "value"), "INTEGER NOT NULL")
    world.tables.append(Table(table, columns, rows))
    look_up(world, many, f"Numbers of what is in a {where}.", _LIST(table), "list", n="int")
    tool(
        world, look, f"{kind.capitalize()} and {attr} of a {noun}.",
        f"""
        row = db.execute("SELECT kind, value FROM {table} WHERE n = ?", (n,)).fetchone()
        if row is None:
            raise ValueError(f"there is no {{n}}")
        return list(row)
        """,
        "list", n="int",
    )  # fmt: skip
    for place in rng.sample(places, len(places)):
        there = [row for row in rows if row["place"] == place]
        for level, row in enumerate(there, 1):
            seen = [f"{look} {each['n']}" for each in there[:level]]
            yield Question(
                level,
                rng.choice((
                    "What is the {} of the {} of {} {} in {} {}?",
                    "Find the {} of the {} of {} {} in {} {}.",
                )).format(attr, noun, kind, row["kind"], where, place),
                fill(
                    """
                    for n in tools.$many(n=$place):
                        kind, value = tools.$look(n=n)
                        if kind == $kind:
                            return value
                    """,
                    many=many, look=look, place=place, kind=row["kind"],
                ),
                check(f"""
sql = "SELECT value FROM {table} WHERE place = ? AND kind = ?"
right = one(before, sql, {place}, {row["kind"]})
"""),
                [f"{where} {place}", *seen, f"{row['kind']}: {row['value']}"],
            )  # fmt: skip


def notes(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun = world.rng, domain["table"], domain["noun"]
    find, show = domain["find"], domain["show"]
    names, ids = numbers(rng, 16), iter(numbers(rng, 48))
    rows = [
        {"n": next(ids), "place": name, "topic": topic, "count": rng.randint(11, 40)}
        for name in names
        for topic in rng.sample(range(1, 10), 3)
    ]
    columns = dict.fromkeys(("n", "place", "topic", "count"), "INTEGER NOT NULL")
    world.tables.append(Table(table, columns, rows))
    look_up(world, find, f"Numbers of a person's {noun}s.", _LIST(table), "list", n="int")
    tool(
        world, show, f"The lines of a {noun}.",
        f"""
        row = db.execute("SELECT place, topic, count FROM {table} WHERE n = ?", (n,)).fetchone()
        if row is None:
            raise ValueError(f"there is no {{n}}")
        return [f"By {{row[0]}}.", f"Sort {{row[1]}}: {{row[2]}}"]
        """,
        "list", n="int",
    )  # fmt: skip
    for name in rng.sample(names, len(names)):
        own = [row for row in rows if row["place"] == name]
        for level, row in enumerate(own, 1):
            seen = [f"{show} {each['n']}" for each in own[:level]]
            yield Question(
                level,
                rng.choice((
                    "How many of sort {topic} are in the {noun}s of person {name}?",
                    "Of how many of sort {topic} do the {noun}s of person {name} tell?",
                )).format(topic=row["topic"], noun=noun, name=name),
                fill(
                    """
                    for n in tools.$find(n=$name):
                        sort, count = tools.$show(n=n)[1].split(": ")
                        if sort == "Sort $topic":
                            return int(count)
                    """,
                    find=find, show=show, name=name, topic=row["topic"],
                ),
                check(f"""
sql = "SELECT count FROM {table} WHERE place = ? AND topic = ?"
right = one(before, sql, {name}, {row["topic"]})
"""),
                [f"{noun}s of {name}", *seen, f"{row['topic']}: {row['count']}"],
            )  # fmt: skip


def tally(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, many, attr = world.rng, domain["table"], domain["many"], domain["attr"]
    where = domain["where"]
    places, ids = numbers(rng, 42), iter(numbers(rng, 88))
    rows = [
        {"n": next(ids), "place": place, "value": rng.randint(1, 12)}
        for at, place in enumerate(places)
        for _ in range(at % 3 + 1)
    ]
    columns = dict.fromkeys(("n", "place", "value"), "INTEGER NOT NULL")
    world.tables.append(Table(table, columns, rows))
    look_up(world, many, f"Numbers of the {many} of a {where}.", _LIST(table), "list", n="int")
    look_up(world, attr, f"The {attr} of one.",
            f"SELECT value FROM {table} WHERE n = ?", n="int")  # fmt: skip
    for place in places:
        there = [row for row in rows if row["place"] == place]
        values = [row["value"] for row in there]
        total = " + ".join(map(str, values))
        yield Question(
            len(there),
            rng.choice((
                "What is the {attr} of all {many} of {where} {place}?",
                "Add up the {attr} of the {many} of {where} {place}.",
            )).format(attr=attr, many=many, where=where, place=place),
            f"return sum(tools.{attr}(n=n) for n in tools.{many}(n={place}))",
            check(
                f'right = sum(every(before, "SELECT value FROM {table} WHERE place = ?", {place}))'
            ),
            [f"{many} of {place}", *(f"{attr} of {row['n']}" for row in there),
             f"{total} = {sum(values)}" if len(values) > 1 else ""],
        )  # fmt: skip


def slot(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun, who = world.rng, domain["table"], domain["noun"], domain["who"]
    taken, last = domain["taken"], domain["last"]
    names = numbers(rng, 14)
    busy = {name: sorted(rng.sample(range(1, 13), rng.randint(3, 6))) for name in names}
    rows = [{"place": name, "n": n} for name in names for n in busy[name]]
    columns = dict.fromkeys(("place", "n"), "INTEGER NOT NULL")
    world.tables.append(Table(table, columns, rows))
    look_up(world, taken, f"The {noun}s that a {who} has.", _LIST(table), "list", n="int")
    look_up(world, last, f"The highest {noun} that a {who} has.",
            f"SELECT n FROM {table} WHERE place = ? ORDER BY n DESC", n="int")  # fmt: skip
    for _ in range(600):
        for level in (1, 2, 3):
            asked = rng.sample(names, level + 1)
            had = [n for name in asked for n in busy[name]]
            right = next(n for n in range(1, 14) if n not in had)
            low = range(1, right)
            # Most of the numbers below are in one list only: who misses one goes wrong.
            if right == 1 or sum(had.count(n) == 1 for n in low) < level + 1:
                continue
            working = """
first = 1
while first in {}:
    first += 1
"""
            yield Question(
                level,
                rng.choice((
                    "What is the lowest {} that none of {} has?",
                    "Find the lowest {} that none of {} has.",
                )).format(noun, named(who, asked)),
                f"had = [n for name in {asked} for n in tools.{taken}(n=name)]"
                + working.format("had") + "return first",
                check(
                    f'sql = "SELECT n FROM {table} WHERE place = ?"\n'
                    f"had = [n for name in {asked} for n in every(before, sql, name)]"
                    + working.format("had") + "right = first\n"
                ),
                [*(f"{taken} of {name}" for name in asked),
                 f"{' '.join(map(str, low))}, so {right}"],
            )  # fmt: skip


SEARCHES = (
    Pattern(
        "hunt", "Places with three things in each, which differ in kind.",
        {
            "boxes": dict(noun="box", table="boxes", kind="size", attr="weight", where="room"),
            "trees": dict(noun="tree", table="trees", kind="kind", attr="age", where="park"),
            "cups": dict(noun="cup", table="cups", kind="size", attr="age", where="shelf"),
        },
        (dict(many="items", look="look"), dict(many="inside", look="see")),
        hunt,
    ),
    Pattern(
        "notes", "Short texts by many people, a few by each.",
        {
            "notes": dict(noun="note", table="notes"),
            "letters": dict(noun="letter", table="letters"),
            "pages": dict(noun="page", table="pages"),
        },
        (dict(find="find", show="open"), dict(find="search", show="read")),
        notes,
    ),
    Pattern(
        "tally", "Places with one to three things in each.",
        {
            "people": dict(where="person", table="things"),
            "rooms": dict(where="room", table="things"),
            "guests": dict(where="guest", table="things"),
        },
        (dict(many="bills", attr="amount"), dict(many="trips", attr="hours")),
        tally,
    ),
    Pattern(
        "slot", "Numbers that many have taken, some of them the same.",
        {
            "hours": dict(noun="hour", who="person", table="hours"),
            "seats": dict(noun="seat", who="guest", table="seats"),
            "days": dict(noun="day", who="player", table="days"),
        },
        (dict(taken="busy", last="last"), dict(taken="taken", last="top")),
        slot,
    ),
)  # fmt: skip
