"""Patterns that write: the state that an attempt leaves counts as well as its answer.

V3.2 report, 3.2.3, at its smallest: move (put cup 14 where cup 31 is), refill (order until there is
enough).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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


def move(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun, place = world.rng, domain["table"], domain["noun"], domain["place"]
    where, put = domain["where"], domain["put"]
    names, places = numbers(rng, 16), numbers(rng, 12)
    spread = [*places, *rng.sample(places, 4)]  # none is empty
    at = dict(zip(names, rng.sample(spread, len(spread))))
    rows = [{"n": n, "place": to} for n, to in at.items()]
    columns = {"n": "INTEGER PRIMARY KEY", "place": "INTEGER NOT NULL"}
    world.tables.append(Table(table, columns, rows))
    all_places = Table("numbers", {"n": "INTEGER NOT NULL"}, [{"n": n} for n in places])
    world.tables.append(all_places)
    look_up(world, where, f"Which {place} a {noun} is in.",
            f"SELECT place FROM {table} WHERE n = ?", n="int")  # fmt: skip
    tool(
        world, put, f"Moves a {noun} to a {place}.",
        f"""
        _one(db, "SELECT n FROM numbers WHERE n = ?", to)
        _one(db, "SELECT n FROM {table} WHERE n = ?", n)
        db.execute("UPDATE {table} SET place = ? WHERE n = ?", (to, n))
        return to
        """,
        n="int", to="int",
    )  # fmt: skip

    def question(level: int, ask: str, solve: list[str], to: Mapping[int, int], thoughts: list):
        """`to`: whose place each thing is to have."""
        working = f"""
now = dict(before.execute("SELECT n, place FROM {table}").fetchall())
right = now[{next(iter(to.values()))}]
now |= {{{", ".join(f"{n}: now[{other}]" for n, other in to.items())}}}
if dict(after.execute("SELECT n, place FROM {table}").fetchall()) != now:
    return "Something is not where it should be."
"""
        return Question(level, ask, "\n".join(solve), check(working), thoughts, (table,))

    for _ in range(40):
        for level in (1, 2, 3):
            goal, *moved = rng.sample(names, level + 1)
            to = at[goal]
            if to in [at[n] for n in moved]:
                continue
            same = rng.choice((f"where {noun} {goal} is", f"in the {place} of {noun} {goal}"))
            yield question(
                level, f"Put {named(noun, moved)} {same}. Which {place}?",
                [f"to = tools.{where}(n={goal})",
                 *(f"now = tools.{put}(n={n}, to=to)" for n in moved), "return now"],
                dict.fromkeys(moved, goal),
                [f"{place} of {goal}", *(f"{n} to {to}" for n in moved), ""],
            )  # fmt: skip
        one, other = rng.sample(names, 2)
        if at[one] != at[other]:
            yield question(
                3, f"Let {named(noun, (one, other))} change places. Which {place} has {one} now?",
                [f"x = tools.{where}(n={one})", f"y = tools.{where}(n={other})",
                 f"now = tools.{put}(n={one}, to=y)", f"tools.{put}(n={other}, to=x)",
                 "return now"],
                {one: other, other: one},
                [f"{place} of {one}", f"{place} of {other}", f"{one} to {at[other]}",
                 f"{other} to {at[one]}", ""],
            )  # fmt: skip


def refill(world: World, domain: Domain) -> Iterator[Question]:
    rng, table, noun = world.rng, domain["table"], domain["noun"]
    stock, order = domain["stock"], domain["order"]
    have = {n: rng.randint(1, 9) for n in numbers(rng, 16)}
    rows = [{"n": n, "count": count} for n, count in have.items()]
    columns = {"n": "INTEGER PRIMARY KEY", "count": "INTEGER NOT NULL"}
    world.tables.append(Table(table, columns, rows))
    look_up(world, stock, f"How many there are of a {noun}.",
            f"SELECT count FROM {table} WHERE n = ?", n="int")  # fmt: skip
    tool(
        world, order, "Adds some, and tells how many there are now.",
        f"""
        had = _one(db, "SELECT count FROM {table} WHERE n = ?", n)
        if more < 1:
            raise ValueError("more is at least 1")
        db.execute("UPDATE {table} SET count = ? WHERE n = ?", (had + more, n))
        return had + more
        """,
        n="int", more="int",
    )  # fmt: skip

    def question(level: int, ask: str, solve: list[str], to: Mapping[int, str], thoughts: list):
        """`to`: how many there are to be of each, an expression of what there was."""
        working = f"""
now = dict(before.execute("SELECT n, count FROM {table}").fetchall())
had = sum(now.values())
now |= {{{", ".join(f"{n}: {count}" for n, count in to.items())}}}
right = sum(now.values()) - had
if dict(after.execute("SELECT n, count FROM {table}").fetchall()) != now:
    return "There are not as many as there should be."
"""
        return Question(
            level, f"{ask} How many more?", "\n".join(solve), check(working), thoughts, (table,)
        )  # fmt: skip

    def filling(n: int, goal: int | str) -> list[str]:
        return [f"x = {goal} - tools.{stock}(n={n})", f"tools.{order}(n={n}, more=x)"]

    for _ in range(40):
        one, other = rng.sample(sorted(have), 2)
        x, y, goal = have[one], have[other], rng.randint(5, 15)
        if goal - x > 1 and goal != 2 * x:
            yield question(
                1, f"Fill {noun} {one} up to {goal}.", [*filling(one, goal), "return x"],
                {one: str(goal)},
                [f"{stock} of {one}", f"{goal} - {x} = {goal - x}", ""],
            )  # fmt: skip
        if y > x:
            yield question(
                2, f"Fill {noun} {one} up to as many as {noun} {other}.",
                [f"y = tools.{stock}(n={other})", *filling(one, "y"), "return x"],
                {one: f"now[{other}]"},
                [f"{stock} of {other}", f"{stock} of {one}", f"{y} - {x} = {y - x}", ""],
            )  # fmt: skip
        if goal > x and goal > y:
            more = [goal - x, goal - y]
            yield question(
                3, f"Fill {named(noun, (one, other))} up to {goal} each.",
                [*filling(one, goal), "total = x", *filling(other, goal), "return total + x"],
                {one: str(goal), other: str(goal)},
                [f"{stock} of {one}", f"{goal} - {x} = {more[0]}", f"{stock} of {other}",
                 f"{goal} - {y} = {more[1]}", f"{more[0]} + {more[1]} = {sum(more)}"],
            )  # fmt: skip


CHANGES = (
    Pattern(
        "move", "Things in numbered places.",
        {
            "shelves": dict(noun="cup", table="shelves", place="shelf"),
            "guests": dict(noun="guest", table="guests", place="table"),
            "boxes": dict(noun="pen", table="boxes", place="box"),
        },
        (dict(where="where", put="put"), dict(where="place", put="move")),
        move,
    ),
    Pattern(
        "refill", "How many there are of each, and a way to have more.",
        {
            "goods": dict(noun="pen", table="goods"),
            "farm": dict(noun="goat", table="farm"),
            "store": dict(noun="cup", table="store"),
        },
        (dict(stock="stock", order="order"), dict(stock="count", order="buy")),
        refill,
    ),
)  # fmt: skip
