"""Patterns of small sums over what tools show, by a tool or in the head.

V3.2 report, 3.2.3, at its smallest: price (4 pens and a cup), convert (sips in a jug of cups),
compare (the gap between the oldest and the youngest).
"""

from __future__ import annotations

from collections.abc import Iterator

from speciale.synth.general.text import fill
from speciale.synth.general.world import Table, World
from speciale.synth.starter import words
from speciale.synth.starter.pattern import Domain, Pattern, Question, check_number, look_up, tool


def price(world: World, domain: Domain) -> Iterator[Question]:
    rng, attr, table = world.rng, domain["attr"], domain["table"]
    times, add = domain["times"], domain["add"]
    worth = {name: rng.randint(2, 12) for name in rng.sample(domain["items"], 16)}
    rows = [{"name": name, "value": value} for name, value in worth.items()]
    columns = {"name": "TEXT PRIMARY KEY", "value": "INTEGER NOT NULL"}
    world.tables.append(Table(table, columns, rows))
    look_up(world, attr, f"The {attr} of one thing.",
            f"SELECT value FROM {table} WHERE name = ?", name="str")  # fmt: skip
    _calculator(world, times, add)
    ask = "What is the {attr} of {what}?", "Find the {attr} of {what}."

    def question(level: int, what: str, lines: list[str], right: str, thoughts: list) -> Question:
        working = "".join(
            f'{letter} = one(before, "SELECT value FROM {table} WHERE name = ?", "{name}")\n'
            for letter, name in zip("xy", bought)
        )
        return Question(
            level, rng.choice(ask).format(attr=attr, what=what), "\n".join(lines),
            check_number(f"{working}right = {right}"), [*thoughts, ""],
        )  # fmt: skip

    for _ in range(40):
        one, other = rng.sample(sorted(worth), 2)
        count, x, y = rng.randint(2, 9), worth[one], worth[other]
        first, second = (f'tools.{attr}(name="{name}")' for name in (one, other))
        if count != x:
            bought = [one]
            yield question(
                1, f"{count} x {one}",
                [f"x = {first}", f"return tools.{times}(x={count}, y=x)"], f"{count} * x",
                [f"{attr} of {one}", f"{count} * {x}"],
            )  # fmt: skip
        bought = [one, other]
        yield question(
            2, f"{one} and {other} together",
            [f"x = {first}", f"y = {second}", f"return tools.{add}(x=x, y=y)"], "x + y",
            [f"{attr} of {one}", f"{attr} of {other}", f"{x} + {y}"],
        )  # fmt: skip
        yield question(
            3, f"{count} x {one} and 1 x {other}",
            [f"x = {first}", f"x = tools.{times}(x={count}, y=x)", f"y = {second}",
             f"return tools.{add}(x=x, y=y)"], f"{count} * x + y",
            [f"{attr} of {one}", f"{count} * {x}", f"{attr} of {other}", f"{count * x} + {y}"],
        )  # fmt: skip


def _calculator(world: World, times: str, add: str | None = None) -> None:
    tool(world, times, "x times y.", "return x * y", x="int", y="int")
    if add is not None:
        tool(world, add, "x plus y.", "return x + y", x="int", y="int")


def convert(world: World, domain: Domain) -> Iterator[Question]:
    rng, holds, times = world.rng, domain["holds"], domain["times"]
    units = rng.sample(words.UNITS, 24)
    chains = [tuple(units[at : at + 3]) for at in range(0, len(units), 3)]
    rows, size = [], {}
    for big, middle, small in chains:
        size[big], size[middle] = rng.randint(2, 9), rng.randint(2, 9)
        rows += [
            {"unit": big, "n": size[big], "of": middle},
            {"unit": middle, "n": size[middle], "of": small},
        ]
    columns = {"unit": "TEXT PRIMARY KEY", "n": "INTEGER NOT NULL", "of": "TEXT NOT NULL"}
    world.tables.append(Table("sizes", columns, rows))
    tool(
        world, holds, "How many of what one of these has.",
        """
        row = db.execute("SELECT n, of FROM sizes WHERE unit = ?", (unit,)).fetchone()
        if row is None:
            raise ValueError(f"there is no {unit}")
        return list(row)
        """,
        "list", unit="str",
    )  # fmt: skip
    _calculator(world, times)
    look = 'one(before, "SELECT n FROM sizes WHERE unit = ?", "{}")'.format
    ask = "How many {} are in {} {}?", "Tell me how many {} there are in {} {}."
    for _ in range(40):
        big, middle, small = rng.choice(chains)
        count, x, y = rng.randint(2, 9), size[big], size[middle]
        above, below, n = rng.choice(((big, middle, x), (middle, small, y)))
        if count != n:
            yield Question(
                1, rng.choice(ask).format(below, count, above),
                f'x, of = tools.{holds}(unit="{above}")\nreturn tools.{times}(x={count}, y=x)',
                check_number(f"right = {count} * {look(above)}"),
                [f"{below} in {above}", f"{count} * {n}", ""],
            )  # fmt: skip
        yield Question(
            2, rng.choice(ask).format(small, "each of the", big),
            fill(_CONVERT, holds=holds, times=times, big=big, more=""),
            check_number(f"right = {look(big)} * {look(middle)}"),
            [f"{middle} in {big}", f"{small} in {middle}", f"{x} * {y}", ""],
        )  # fmt: skip
        yield Question(
            3, rng.choice(ask).format(small, count, big),
            fill(_CONVERT, holds=holds, times=times, big=big,
                 more=f"x = tools.{times}(x={count}, y=x)"),
            check_number(f"right = {count} * {look(big)} * {look(middle)}"),
            [f"{middle} in {big}", f"{count} * {x}", f"{small} in {middle}", f"{count * x} * {y}",
             ""],
        )  # fmt: skip


_CONVERT = """
x, of = tools.$holds(unit="$big")
$more
y, of = tools.$holds(unit=of)
return tools.$times(x=x, y=y)
"""


def compare(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, sides = world.rng, domain["table"], domain["sides"]
    names = rng.sample(domain["names"], 16)
    worth = {attr: {name: rng.randint(1, 20) for name in names} for attr in sides}
    rows = [{"name": name, **{attr: worth[attr][name] for attr in sides}} for name in names]
    columns = {"name": "TEXT PRIMARY KEY", **dict.fromkeys(sides, "INTEGER NOT NULL")}
    world.tables.append(Table(table, columns, rows))
    for attr in sides:
        look_up(world, attr, f"The {attr} of one.",
                f"SELECT {attr} FROM {table} WHERE name = ?", name="str")  # fmt: skip
    for _ in range(60):
        attr = rng.choice(sorted(sides))
        for level in (1, 2, 3):
            asked = rng.sample(names, level + 1)
            seen = [worth[attr][name] for name in asked]
            gap = max(seen) - min(seen)
            shown = [worth[side][name] for side in sides for name in asked]
            if gap in shown or gap == 0:  # one call would show the answer
                continue
            asks = "What is the gap in {} between {}?", "How far apart in {} are {}?"
            if level > 1:
                asks = "What is the widest gap in {} among {}?", "Find the widest gap in {} of {}."
            yield Question(
                level,
                rng.choice(asks).format(attr, words.together(asked)),
                fill(
                    """
                    seen = [tools.$attr(name=name) for name in $asked]
                    return max(seen) - min(seen)
                    """,
                    attr=attr, asked=_listed(asked),
                ),
                check_number(f"""
seen = [one(before, "SELECT {attr} FROM {table} WHERE name = ?", name) for name in {_listed(asked)}]
right = max(seen) - min(seen)
"""),
                [*(f"{attr} of {name}" for name in asked), f"{max(seen)} - {min(seen)} = {gap}"],
            )  # fmt: skip


def _listed(names: list[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _price_domain(attr: str, table: str, times: str, add: str, items: tuple) -> Domain:
    return dict(attr=attr, table=table, times=times, add=add, items=items)


def _compare_domain(table: str, one: str, other: str, names: tuple) -> Domain:
    return dict(table=table, sides=(one, other), names=names)


SUMS = (
    Pattern(
        "price", "Things with a value, and a calculator.",
        {
            "shop": _price_domain("price", "shop", "times", "add", words.THINGS),
            "post": _price_domain("weight", "parcels", "multiply", "plus", words.THINGS),
            "kitchen": _price_domain("sugar", "food", "mul", "sum", words.FRUITS + words.TREASURES),
            "farm": _price_domain("food", "feed", "times", "plus", words.ANIMALS),
            "tour": _price_domain("fee", "sights", "product", "total", words.PLACES),
            "garden": _price_domain("space", "beds", "multiply", "join", words.PLANTS),
            "prizes": _price_domain("points", "prizes", "scale", "add", words.TREASURES),
            "hire": _price_domain("rate", "hire", "mul", "both", words.THINGS),
        },
        price,
    ),
    Pattern(
        "convert", "Units that are made of others, and a calculator.",
        {
            "holds": dict(holds="holds", times="times"),
            "has": dict(holds="has", times="multiply"),
            "split": dict(holds="split", times="mul"),
            "size": dict(holds="size", times="product"),
            "unit": dict(holds="unit", times="scale"),
            "inside": dict(holds="inside", times="many"),
        },
        convert,
    ),
    Pattern(
        "compare", "Two figures about each of many.",
        {
            "people": _compare_domain("people", "age", "height", words.PEOPLE),
            "players": _compare_domain("players", "score", "rank", words.PEOPLE),
            "bank": _compare_domain("accounts", "money", "debt", words.PEOPLE),
            "things": _compare_domain("things", "price", "weight", words.THINGS),
            "towns": _compare_domain("towns", "schools", "parks", words.TOWNS),
            "beasts": _compare_domain("beasts", "speed", "size", words.ANIMALS),
            "fruits": _compare_domain("goods", "stock", "sales", words.TREASURES),
            "places": _compare_domain("sites", "doors", "lamps", words.PLACES),
        },
        compare,
    ),
)  # fmt: skip
