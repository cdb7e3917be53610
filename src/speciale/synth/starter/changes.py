"""Patterns that write: the state that an attempt leaves counts as well as its answer.

V3.2 report, 3.2.3, at its smallest: move (put a cup where a pen is), refill (order until there is
enough).
"""

from __future__ import annotations

from collections.abc import Iterator

from speciale.synth.general.world import Table, World
from speciale.synth.starter import words
from speciale.synth.starter.pattern import Domain, Pattern, Question, check_number, look_up, tool


def move(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun = world.rng, domain["table"], domain["noun"]
    where, put = domain["where"], domain["put"]
    names, places = rng.sample(domain["items"], 16), words.numbers(rng, 12)
    spread = [*places, *rng.sample(places, 4)]  # none is empty
    at = dict(zip(names, rng.sample(spread, len(spread))))
    rows = [{"name": name, "n": n} for name, n in at.items()]
    columns = {"name": "TEXT PRIMARY KEY", "n": "INTEGER NOT NULL"}
    world.tables.append(Table(table, columns, rows))
    numbers = Table("numbers", {"n": "INTEGER NOT NULL"}, [{"n": n} for n in places])
    world.tables.append(numbers)
    look_up(world, where, f"Which {noun} it is in.",
            f"SELECT n FROM {table} WHERE name = ?", name="str")  # fmt: skip
    tool(
        world, put, f"Moves it to a {noun}.",
        f"""
        _one(db, "SELECT n FROM numbers WHERE n = ?", n)
        _one(db, "SELECT name FROM {table} WHERE name = ?", name)
        db.execute("UPDATE {table} SET n = ? WHERE name = ?", (n, name))
        return n
        """,
        name="str", n="int",
    )  # fmt: skip

    def question(level: int, ask: str, solve: list[str], to: dict[str, str], thoughts: list[str]):
        """`to`: whose place each thing is to have."""
        target = next(iter(to.values()))
        check = f"""
now = dict(before.execute("SELECT name, n FROM {table}").fetchall())
right = now["{target}"]
now |= {{{", ".join(f'"{name}": now["{other}"]' for name, other in to.items())}}}
if dict(after.execute("SELECT name, n FROM {table}").fetchall()) != now:
    return "Something is not where it should be."
"""
        return Question(
            level, ask, "\n".join(solve), check_number(check), thoughts, writes=(table,)
        )

    for _ in range(40):
        for level in (1, 2, 3):
            goal, *moved = rng.sample(names, level + 1)
            n = at[goal]
            if n in [at[name] for name in moved]:
                continue
            same = rng.choice((f"where {goal} is", f"in the {noun} of {goal}"))
            yield question(
                level, f"Put {words.together(moved)} {same}. Which {noun}?",
                [f'n = tools.{where}(name="{goal}")',
                 *(f'now = tools.{put}(name="{name}", n=n)' for name in moved), "return now"],
                dict.fromkeys(moved, goal),
                [f"{noun} of {goal}", *(f"{name} to {n}" for name in moved), ""],
            )  # fmt: skip
        one, other = rng.sample(names, 2)
        if at[one] != at[other]:
            yield question(
                3, f"Let {one} and {other} change places. Which {noun} has {one} now?",
                [f'x = tools.{where}(name="{one}")', f'y = tools.{where}(name="{other}")',
                 f'now = tools.{put}(name="{one}", n=y)', f'tools.{put}(name="{other}", n=x)',
                 "return now"],
                {one: other, other: one},
                [f"{noun} of {one}", f"{noun} of {other}", f"{one} to {at[other]}",
                 f"{other} to {at[one]}", ""],
            )  # fmt: skip


def refill(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, stock, order = world.rng, domain["table"], domain["stock"], domain["order"]
    have = {name: rng.randint(1, 9) for name in rng.sample(domain["items"], 12)}
    rows = [{"name": name, "n": n} for name, n in have.items()]
    columns = {"name": "TEXT PRIMARY KEY", "n": "INTEGER NOT NULL"}
    world.tables.append(Table(table, columns, rows))
    look_up(world, stock, "How many there are.",
            f"SELECT n FROM {table} WHERE name = ?", name="str")  # fmt: skip
    tool(
        world, order, "Adds n, and tells how many there are now.",
        f"""
        had = _one(db, "SELECT n FROM {table} WHERE name = ?", name)
        if n < 1:
            raise ValueError("n is at least 1")
        db.execute("UPDATE {table} SET n = ? WHERE name = ?", (had + n, name))
        return had + n
        """,
        name="str", n="int",
    )  # fmt: skip

    def question(level: int, ask: str, solve: list[str], to: dict[str, str], thoughts: list[str]):
        """`to`: how many there are to be of each, an expression of what there was."""
        check = f"""
now = dict(before.execute("SELECT name, n FROM {table}").fetchall())
had = sum(now.values())
now |= {{{", ".join(f'"{name}": {count}' for name, count in to.items())}}}
right = sum(now.values()) - had
if dict(after.execute("SELECT name, n FROM {table}").fetchall()) != now:
    return "There are not as many as there should be."
"""
        return Question(
            level, f"{ask} How many {domain['done']}?", "\n".join(solve), check_number(check),
            thoughts, writes=(table,),
        )  # fmt: skip

    def filling(name: str, goal: int | str) -> list[str]:
        return [
            f'x = {goal} - tools.{stock}(name="{name}")', f'tools.{order}(name="{name}", n=x)'
        ]  # fmt: skip

    verb = domain["verb"]
    for _ in range(40):
        one, other = rng.sample(sorted(have), 2)
        x, y, goal = have[one], have[other], rng.randint(5, 15)
        if goal - x > 1 and goal != 2 * x:
            yield question(
                1, f"{verb} {one} up to {goal}.", [*filling(one, goal), "return x"],
                {one: str(goal)}, [f"{stock} of {one}", f"{goal} - {x} = {goal - x}", ""],
            )  # fmt: skip
        if y > x:
            yield question(
                2, f"{verb} {one} up to as many as {other}.",
                [f'y = tools.{stock}(name="{other}")', *filling(one, "y"), "return x"],
                {one: f'now["{other}"]'},
                [f"{stock} of {other}", f"{stock} of {one}", f"{y} - {x} = {y - x}", ""],
            )  # fmt: skip
        if goal > x and goal > y:
            more = [goal - x, goal - y]
            yield question(
                3, f"{verb} {one} and {other} up to {goal} each.",
                [*filling(one, goal), "total = x", *filling(other, goal), "return total + x"],
                {one: str(goal), other: str(goal)},
                [f"{stock} of {one}", f"{goal} - {x} = {more[0]}", f"{stock} of {other}",
                 f"{goal} - {y} = {more[1]}", f"{more[0]} + {more[1]} = {sum(more)}"],
            )  # fmt: skip


def _move_domain(table: str, noun: str, where: str, put: str, items: tuple) -> Domain:
    return dict(table=table, noun=noun, where=where, put=put, items=items)


def _refill_domain(table: str, stock: str, order: str, verb: str, done: str, items: tuple):
    return dict(table=table, stock=stock, order=order, verb=verb, done=done, items=items)


CHANGES = (
    Pattern(
        "move", "Things in numbered places.",
        {
            "shelves": _move_domain("shelves", "shelf", "where", "put", words.THINGS),
            "rooms": _move_domain("guests", "room", "room", "move", words.PEOPLE),
            "stalls": _move_domain("animals", "stall", "stall", "lead", words.ANIMALS),
            "bins": _move_domain("stock", "bin", "bin", "shift", words.TREASURES),
            "teams": _move_domain("members", "team", "team", "join", words.PEOPLE),
            "beds": _move_domain("garden", "bed", "spot", "plant", words.PLANTS),
            "tables": _move_domain("diners", "table", "table", "seat", words.PEOPLE),
            "drawers": _move_domain("drawers", "drawer", "drawer", "send", words.THINGS),
        },
        move,
    ),
    Pattern(
        "refill", "How many there are of each, and a way to have more.",
        {
            "shop": _refill_domain(
                "goods", "stock", "order", "Order", "were ordered", words.THINGS),
            "farm": _refill_domain("farm", "herd", "buy", "Buy", "were bought", words.ANIMALS),
            "garden": _refill_domain("garden", "grown", "plant", "Plant", "were planted",
                                     words.PLANTS),
            "store": _refill_domain("store", "left", "load", "Load", "were loaded",
                                    words.TREASURES),
            "fruit": _refill_domain("fruit", "count", "pick", "Pick", "were picked", words.FRUITS),
            "parts": _refill_domain("parts", "have", "make", "Make", "were made", words.UNITS),
        },
        refill,
    ),
)  # fmt: skip
