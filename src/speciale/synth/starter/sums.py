"""Patterns of small sums over what tools show, by a tool or in the head.

V3.2 report, 3.2.3, at its smallest: price (4 times pen 12 and pen 31), convert (how many of size 12
in one of size 40), compare (the gap between the oldest and the youngest).
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


def price(world: World, domain: Domain) -> Iterator[Question]:
    rng, attr, table, noun = world.rng, domain["attr"], domain["table"], domain["noun"]
    times, add = domain["times"], domain["add"]
    worth = {n: rng.randint(2, 12) for n in numbers(rng, 24)}
    rows = [{"n": n, "value": value} for n, value in worth.items()]
    columns = {"n": "INTEGER PRIMARY KEY", "value": "INTEGER NOT NULL"}
    world.tables.append(Table(table, columns, rows))
    look_up(world, attr, f"The {attr} of a {noun}.",
            f"SELECT value FROM {table} WHERE n = ?", n="int")  # fmt: skip
    _calculator(world, times, add)
    ask = "What is the {attr} of {what}?", "Find the {attr} of {what}."

    def question(level: int, what: str, lines: list[str], right: str, thoughts: list) -> Question:
        working = "".join(
            f'{letter} = one(before, "SELECT value FROM {table} WHERE n = ?", {n})\n'
            for letter, n in zip("xy", bought)
        )
        return Question(
            level, rng.choice(ask).format(attr=attr, what=what), "\n".join(lines),
            check(f"{working}right = {right}"), [*thoughts, ""],
        )  # fmt: skip

    for _ in range(40):
        one, other = rng.sample(sorted(worth), 2)
        count, x, y = rng.randint(2, 9), worth[one], worth[other]
        first, second = (f"tools.{attr}(n={n})" for n in (one, other))
        if count != x:
            bought = [one]
            yield question(
                1, f"{count} x {noun} {one}",
                [f"x = {first}", f"return tools.{times}(x={count}, y=x)"], f"{count} * x",
                [f"{attr} of {one}", f"{count} * {x}"],
            )  # fmt: skip
        bought = [one, other]
        yield question(
            2, f"{named(noun, bought)} together",
            [f"x = {first}", f"y = {second}", f"return tools.{add}(x=x, y=y)"], "x + y",
            [f"{attr} of {one}", f"{attr} of {other}", f"{x} + {y}"],
        )  # fmt: skip
        yield question(
            3, f"{count} x {noun} {one} and 1 x {noun} {other}",
            [f"x = {first}", f"x = tools.{times}(x={count}, y=x)", f"y = {second}",
             f"return tools.{add}(x=x, y=y)"], f"{count} * x + y",
            [f"{attr} of {one}", f"{count} * {x}", f"{attr} of {other}", f"{count * x} + {y}"],
        )  # fmt: skip


def _calculator(world: World, times: str, add: str | None = None) -> None:
    tool(world, times, "x times y.", "return x * y", x="int", y="int")
    if add is not None:
        tool(world, add, "x plus y.", "return x + y", x="int", y="int")


def convert(world: World, domain: Domain) -> Iterator[Question]:
    rng, holds, times, noun = world.rng, domain["holds"], domain["times"], domain["noun"]
    names = numbers(rng, 36)
    chains = [tuple(names[at : at + 3]) for at in range(0, len(names), 3)]
    rows, size = [], {}
    for big, middle, small in chains:
        size[big], size[middle] = rng.randint(2, 9), rng.randint(2, 9)
        rows += [
            {"n": big, "many": size[big], "of": middle},
            {"n": middle, "many": size[middle], "of": small},
        ]
    columns = dict.fromkeys(("n", "many", "of"), "INTEGER NOT NULL")
    world.tables.append(Table("sizes", columns, rows))
    tool(
        world, holds, f"How many of which {noun} one of these has.",
        """
        row = db.execute("SELECT many, of FROM sizes WHERE n = ?", (n,)).fetchone()
        if row is None:
            raise ValueError(f"there is no {n}")
        return list(row)
        """,
        "list", n="int",
    )  # fmt: skip
    _calculator(world, times)
    look = 'one(before, "SELECT many FROM sizes WHERE n = ?", {})'.format
    ask = f"How many of {noun} {{}} are in {{}} of {noun} {{}}?"
    for _ in range(40):
        big, middle, small = rng.choice(chains)
        count, x, y = rng.randint(2, 9), size[big], size[middle]
        above, below, many = rng.choice(((big, middle, x), (middle, small, y)))
        if count != many:
            yield Question(
                1, ask.format(below, count, above),
                f"x, of = tools.{holds}(n={above})\nreturn tools.{times}(x={count}, y=x)",
                check(f"right = {count} * {look(above)}"),
                [f"{holds} of {above}", f"{count} * {many}", ""],
            )  # fmt: skip
        yield Question(
            2, ask.format(small, "each", big),
            fill(_CONVERT, holds=holds, times=times, big=big, more=""),
            check(f"right = {look(big)} * {look(middle)}"),
            [f"{holds} of {big}", f"{holds} of {middle}", f"{x} * {y}", ""],
        )  # fmt: skip
        yield Question(
            3, ask.format(small, count, big),
            fill(_CONVERT, holds=holds, times=times, big=big,
                 more=f"x = tools.{times}(x={count}, y=x)"),
            check(f"right = {count} * {look(big)} * {look(middle)}"),
            [f"{holds} of {big}", f"{count} * {x}", f"{holds} of {middle}", f"{count * x} * {y}",
             ""],
        )  # fmt: skip


_CONVERT = """
x, of = tools.$holds(n=$big)
$more
y, of = tools.$holds(n=of)
return tools.$times(x=x, y=y)
"""


def compare(world: World, domain: Domain) -> Iterator[Question]:
    rng, noun, table, sides = world.rng, domain["noun"], domain["table"], domain["sides"]
    names = numbers(rng, 16)
    worth = {attr: {n: rng.randint(1, 20) for n in names} for attr in sides}
    rows = [{"n": n, **{attr: worth[attr][n] for attr in sides}} for n in names]
    columns = {"n": "INTEGER PRIMARY KEY", **dict.fromkeys(sides, "INTEGER NOT NULL")}
    world.tables.append(Table(table, columns, rows))
    for attr in sides:
        look_up(world, attr, f"The {attr} of a {noun}.",
                f"SELECT {attr} FROM {table} WHERE n = ?", n="int")  # fmt: skip
    for _ in range(60):
        attr = rng.choice(sorted(sides))
        for level in (1, 2, 3):
            asked = rng.sample(names, level + 1)
            seen = [worth[attr][n] for n in asked]
            gap = max(seen) - min(seen)
            shown = [worth[side][n] for side in sides for n in asked]
            if gap in shown or gap == 0:  # one call would show the answer
                continue
            asks = "What is the gap in {} between {}?", "How far apart in {} are {}?"
            if level > 1:
                asks = "What is the widest gap in {} among {}?", "Find the widest gap in {} of {}."
            yield Question(
                level,
                rng.choice(asks).format(attr, named(noun, asked)),
                f"seen = [tools.{attr}(n=n) for n in {asked}]\nreturn max(seen) - min(seen)",
                check(f"""
seen = [one(before, "SELECT {attr} FROM {table} WHERE n = ?", n) for n in {asked}]
right = max(seen) - min(seen)
"""),
                [*(f"{attr} of {n}" for n in asked), f"{max(seen)} - {min(seen)} = {gap}"],
            )  # fmt: skip


SUMS = (
    Pattern(
        "price", "Things with a value, and a calculator.",
        {
            "shop": dict(noun="pen", table="shop", attr="price"),
            "post": dict(noun="parcel", table="parcels", attr="weight"),
            "hire": dict(noun="cup", table="hire", attr="price"),
        },
        (dict(times="times", add="add"), dict(times="multiply", add="plus")),
        price,
    ),
    Pattern(
        "convert", "Sizes that are made of others, and a calculator.",
        {"sizes": dict(noun="size"), "kinds": dict(noun="kind"), "units": dict(noun="unit")},
        (dict(holds="holds", times="times"), dict(holds="has", times="multiply")),
        convert,
    ),
    Pattern(
        "compare", "Two figures about each of many.",
        {
            "people": dict(noun="person", table="people"),
            "things": dict(noun="thing", table="things"),
            "goats": dict(noun="goat", table="goats"),
        },
        (dict(sides=("age", "height")), dict(sides=("price", "weight"))),
        compare,
    ),
)  # fmt: skip
