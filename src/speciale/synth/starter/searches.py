"""Patterns that list first, and look at what the list names until the answer is found.

V3.2 report, 3.2.3, at its smallest: hunt (the red box in the attic), notes (open them until one
tells), tally (all that is there, together), slot (the first hour that nobody has taken).
"""

from __future__ import annotations

from collections.abc import Iterator

from speciale.synth.general.text import fill
from speciale.synth.general.world import Table, World
from speciale.synth.starter import words
from speciale.synth.starter.pattern import Domain, Pattern, Question, check_number, look_up, tool

_LIST = "SELECT n FROM {} WHERE place = ? ORDER BY rowid".format


def hunt(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun, many = world.rng, domain["table"], domain["noun"], domain["many"]
    attr, look, kind = domain["attr"], domain["look"], domain["kind"]
    places = rng.sample(domain["places"], 16)
    ids = iter(words.numbers(rng, 48))
    rows = []
    for place in places:
        for value in rng.sample(domain["kinds"], 3):
            rows.append({"n": next(ids), "place": place, kind: value, attr: rng.randint(1, 20)})
    columns = {
        "n": "INTEGER NOT NULL", "place": "TEXT NOT NULL", kind: "TEXT NOT NULL",
        attr: "INTEGER NOT NULL",
    }  # fmt: skip
    world.tables.append(Table(table, columns, rows))
    look_up(world, many, f"Numbers of the {many} there.", _LIST(table), "list", place="str")
    tool(
        world, look, f"{kind.capitalize()} and {attr} of a {noun}.",
        f"""
        row = db.execute("SELECT {kind}, {attr} FROM {table} WHERE n = ?", (n,)).fetchone()
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
                    "What is the {} of the {} {} in the {}?", "Find the {} of the {} {} in the {}."
                )).format(attr, row[kind], noun, place),
                fill(
                    """
                    for n in tools.$many(place="$place"):
                        $kind, $attr = tools.$look(n=n)
                        if $kind == "$value":
                            return $attr
                    """,
                    many=many, look=look, place=place, kind=kind, value=row[kind], attr=attr,
                ),
                check_number(f"""
sql = "SELECT {attr} FROM {table} WHERE place = ? AND {kind} = ?"
right = one(before, sql, "{place}", "{row[kind]}")
"""),
                [f"{many} in {place}", *seen, f"{row[kind]}: {row[attr]}"],
            )  # fmt: skip


def notes(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun = world.rng, domain["table"], domain["noun"]
    find, show = domain["find"], domain["show"]
    names, ids = rng.sample(words.PEOPLE, 16), iter(words.numbers(rng, 48))
    rows = [
        {"n": next(ids), "place": name, "topic": topic, "count": rng.randint(2, 40)}
        for name in names
        for topic in rng.sample(domain["topics"], 3)
    ]
    columns = {
        "n": "INTEGER NOT NULL", "place": "TEXT NOT NULL", "topic": "TEXT NOT NULL",
        "count": "INTEGER NOT NULL",
    }  # fmt: skip
    world.tables.append(Table(table, columns, rows))
    look_up(world, find, f"Numbers of somebody's {noun}s.", _LIST(table), "list", name="str")
    tool(
        world, show, f"The lines of a {noun}.",
        f"""
        row = db.execute("SELECT place, topic, count FROM {table} WHERE n = ?", (n,)).fetchone()
        if row is None:
            raise ValueError(f"there is no {{n}}")
        return [f"By {{row[0]}}.", f"{{row[1]}}: {{row[2]}}"]
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
                    "How many {topic} are in the {noun}s of {name}?",
                    "Of how many {topic} do {name}'s {noun}s tell?",
                )).format(topic=row["topic"], noun=noun, name=name),
                fill(
                    """
                    for n in tools.$find(name="$name"):
                        topic, count = tools.$show(n=n)[1].split(": ")
                        if topic == "$topic":
                            return int(count)
                    """,
                    find=find, show=show, name=name, topic=row["topic"],
                ),
                check_number(f"""
sql = "SELECT count FROM {table} WHERE place = ? AND topic = ?"
right = one(before, sql, "{name}", "{row["topic"]}")
"""),
                [f"{noun}s of {name}", *seen, f"{row['topic']}: {row['count']}"],
            )  # fmt: skip


def tally(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, many, attr = world.rng, domain["table"], domain["many"], domain["attr"]
    places = rng.sample(domain["places"], min(42, len(domain["places"])))
    ids, rows = iter(words.numbers(rng, 88)), []
    for at, place in enumerate(places):
        for _ in range(at % 3 + 1):
            rows.append({"n": next(ids), "place": place, attr: rng.randint(1, 12)})
    columns = {"n": "INTEGER NOT NULL", "place": "TEXT NOT NULL", attr: "INTEGER NOT NULL"}
    world.tables.append(Table(table, columns, rows))
    look_up(world, many, f"Numbers of the {many} there.", _LIST(table), "list", place="str")
    look_up(world, attr, f"The {attr} of one.",
            f"SELECT {attr} FROM {table} WHERE n = ?", n="int")  # fmt: skip
    for place in places:
        there = [row for row in rows if row["place"] == place]
        values = [row[attr] for row in there]
        total = " + ".join(map(str, values))
        yield Question(
            len(there),
            rng.choice((
                "What is the {attr} of all {many} {at} {place}?",
                "Add up the {attr} of the {many} {at} {place}.",
            )).format(attr=attr, many=many, at=domain["at"], place=place),
            f'return sum(tools.{attr}(n=n) for n in tools.{many}(place="{place}"))',
            check_number(
                f'right = sum(every(before, "SELECT {attr} FROM {table} WHERE place = ?", '
                f'"{place}"))'
            ),
            [f"{many} {domain['at']} {place}", *(f"{attr} of {row['n']}" for row in there),
             f"{total} = {sum(values)}" if len(values) > 1 else ""],
        )  # fmt: skip


def slot(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun = world.rng, domain["table"], domain["noun"]
    taken, last = domain["taken"], domain["last"]
    names = rng.sample(domain["names"], 14)
    busy = {name: sorted(rng.sample(range(1, 13), rng.randint(3, 6))) for name in names}
    rows = [{"place": name, "n": n} for name in names for n in busy[name]]
    world.tables.append(Table(table, {"place": "TEXT NOT NULL", "n": "INTEGER NOT NULL"}, rows))
    look_up(world, taken, f"The {noun}s that one has.", _LIST(table), "list", name="str")
    look_up(world, last, f"The highest {noun} that one has.",
            f"SELECT n FROM {table} WHERE place = ? ORDER BY n DESC", name="str")  # fmt: skip
    for _ in range(200):
        for level in (1, 2, 3):
            asked = rng.sample(names, level + 1)
            had = [n for name in asked for n in busy[name]]
            right = next(n for n in range(1, 14) if n not in had)
            low = range(1, right)
            # Most of the numbers below are in one list only: who misses one goes wrong.
            if right == 1 or sum(had.count(n) == 1 for n in low) < level + 1:
                continue
            listed = ", ".join(f'"{name}"' for name in asked)
            working = """
first = 1
while first in {}:
    first += 1
"""
            yield Question(
                level,
                rng.choice((
                    "What is the lowest {} that {} has?", "Find the lowest {} that {} has."
                )).format(noun, _none_of(asked)),
                f"had = [n for name in [{listed}] for n in tools.{taken}(name=name)]"
                + working.format("had") + "return first",
                check_number(
                    f'sql = "SELECT n FROM {table} WHERE place = ?"\n'
                    f"had = [n for name in [{listed}] for n in every(before, sql, name)]"
                    + working.format("had") + "right = first\n"
                ),
                [*(f"{taken} of {name}" for name in asked),
                 f"{' '.join(map(str, low))}, so {right}"],
            )  # fmt: skip


def _none_of(names: list[str]) -> str:
    if len(names) == 2:
        return f"neither {names[0]} nor {names[1]}"
    return f"none of {words.together(names)}"


def _hunt_domain(table, noun, many, look, kind, kinds, attr, places) -> Domain:
    return dict(table=table, noun=noun, many=many, look=look, kind=kind, kinds=kinds, attr=attr,
                places=places)  # fmt: skip


def _notes_domain(table: str, noun: str, find: str, show: str, topics: tuple) -> Domain:
    return dict(table=table, noun=noun, find=find, show=show, topics=topics)


def _tally_domain(table: str, many: str, attr: str, at: str, places: tuple) -> Domain:
    return dict(table=table, many=many, attr=attr, at=at, places=places)


def _slot_domain(table: str, noun: str, taken: str, last: str, names: tuple) -> Domain:
    return dict(table=table, noun=noun, taken=taken, last=last, names=names)


_COLOURS, _PLACES = words.COLOURS, words.PLACES
SEARCHES = (
    Pattern(
        "hunt", "Places with three things in each, which differ in kind.",
        {
            "boxes": _hunt_domain(
                "things", "box", "boxes", "look", "colour", _COLOURS, "weight", _PLACES),
            "trees": _hunt_domain(
                "plants", "tree", "trees", "tree", "fruit", words.FRUITS, "age", _PLACES),
            "doors": _hunt_domain(
                "doors", "door", "doors", "see", "metal", words.METALS, "width", _PLACES),
            "teams": _hunt_domain(
                "teams", "team", "teams", "team", "sport", words.SPORTS, "size", _PLACES),
            "boats": _hunt_domain(
                "boats", "boat", "fleet", "check", "flag", _COLOURS, "crew", _PLACES),
            "jars": _hunt_domain(
                "jars", "jar", "jars", "open", "content", words.TREASURES, "price", _PLACES),
            "herds": _hunt_domain(
                "herds", "herd", "herds", "herd", "kind", words.ANIMALS, "count", _PLACES),
            "beds": _hunt_domain(
                "beds", "bed", "beds", "bed", "plant", words.PLANTS, "rows", _PLACES),
        },
        hunt,
    ),
    Pattern(
        "notes", "Short texts by many people, a few by each.",
        {
            "notes": _notes_domain("notes", "note", "find", "open", words.ANIMALS),
            "letters": _notes_domain("letters", "letter", "search", "read", words.PLANTS),
            "pages": _notes_domain("pages", "page", "pages", "page", words.UNITS),
            "cards": _notes_domain("cards", "card", "seek", "show", words.ANIMALS),
            "files": _notes_domain("files", "file", "files", "view", words.UNITS),
            "mails": _notes_domain("mails", "mail", "inbox", "mail", words.PLANTS),
        },
        notes,
    ),
    Pattern(
        "tally", "Places with one to three things in each.",
        {
            "boxes": _tally_domain("boxes", "boxes", "weight", "in the", _PLACES),
            "parcels": _tally_domain("parcels", "parcels", "price", "of", words.PEOPLE),
            "herds": _tally_domain("herds", "herds", "size", "near the", _PLACES),
            "bills": _tally_domain("bills", "bills", "sum", "of", words.PEOPLE),
            "trips": _tally_domain("trips", "trips", "hours", "of", words.PEOPLE),
            "walls": _tally_domain("walls", "walls", "height", "in the", _PLACES),
        },
        tally,
    ),
    Pattern(
        "slot", "Numbers that many have taken, some of them the same.",
        {
            "hours": _slot_domain("hours", "hour", "busy", "last", words.PEOPLE),
            "seats": _slot_domain("seats", "seat", "seats", "top", words.PEOPLE),
            "days": _slot_domain("days", "day", "days", "latest", words.PEOPLE),
            "lanes": _slot_domain("lanes", "lane", "lanes", "end", words.ANIMALS),
            "lockers": _slot_domain("lockers", "locker", "lockers", "high", words.PEOPLE),
            "rooms": _slot_domain("rooms", "room", "rooms", "final", words.TOWNS),
        },
        slot,
    ),
)  # fmt: skip
