"""A small family made by hand that passes every gate: rooms of inns, and bookings."""

import sqlite3

from speciale.tasks.synthesised.family import About, Family, TaskAbout, TaskFiles

SCHEMA = """\
CREATE TABLE inns (id INTEGER PRIMARY KEY, name TEXT NOT NULL, town TEXT NOT NULL);
CREATE TABLE rooms (id INTEGER PRIMARY KEY, inn_id INTEGER NOT NULL, beds INTEGER NOT NULL,
    price INTEGER NOT NULL);
CREATE TABLE bookings (room_id INTEGER NOT NULL, guest TEXT NOT NULL);
"""

TOOLS = '''\
import sqlite3


def list_inns(db: sqlite3.Connection, town: str) -> list:
    """List the inns of a town.

    Args:
        town: Name of the town.
    """
    rows = db.execute("SELECT id, name FROM inns WHERE town = ? ORDER BY id", (town,))
    return [dict(row) for row in rows]


def list_rooms(db: sqlite3.Connection, inn_id: int) -> list:
    """List the rooms of an inn with beds and price a night.

    Args:
        inn_id: Number of the inn.
    """
    rows = db.execute("SELECT id, beds, price FROM rooms WHERE inn_id = ? ORDER BY id", (inn_id,))
    return [dict(row) for row in rows]


def book(db: sqlite3.Connection, room_id: int, guest: str) -> dict:
    """Book a room.

    Args:
        room_id: Number of the room.
        guest: Name of the guest.
    """
    if not db.execute("SELECT 1 FROM rooms WHERE id = ?", (room_id,)).fetchone():
        raise ValueError(f"There is no room {room_id}.")
    db.execute("INSERT INTO bookings VALUES (?, ?)", (room_id, guest))
    return {"booked": room_id}
'''

READ = """\
def solve(tools):
    best = None
    for inn in tools.list_inns(town="{town}"):
        for room in tools.list_rooms(inn_id=inn["id"]):
            if room["beds"] >= {beds} and (best is None or room["price"] < best[1]):
                best = (inn["name"], room["price"])
    return {{"inn": best[0], "price": best[1]}}
"""

VERIFY_READ = """\
def verify(answer, before, after):
    if not isinstance(answer, dict) or set(answer) != {{"inn", "price"}}:
        return "The answer has other keys."
    if isinstance(answer["price"], bool) or not isinstance(answer["price"], int):
        return "The price is no number."
    if list(after.execute("SELECT COUNT(*) FROM bookings"))[0][0]:
        return "Nothing was to be booked."
    row = before.execute(
        "SELECT name, price FROM rooms JOIN inns ON inns.id = inn_id "
        "WHERE town = '{town}' AND beds >= {beds} ORDER BY price LIMIT 1"
    ).fetchone()
    return True if (answer["inn"], answer["price"]) == tuple(row) else "It is another one."
"""

WRITE = """\
def solve(tools):
    rooms = [
        (room["price"], room["id"])
        for inn in tools.list_inns(town="{town}")
        for room in tools.list_rooms(inn_id=inn["id"])
    ]
    chosen = sorted(rooms)[:2]
    for price, room in chosen:
        tools.book(room_id=room, guest="Ada")
    return sum(price for price, room in chosen)
"""

VERIFY_WRITE = """\
def verify(answer, before, after):
    if isinstance(answer, bool) or not isinstance(answer, int):
        return "The answer is no number."
    rows = before.execute(
        "SELECT rooms.id, price FROM rooms JOIN inns ON inns.id = inn_id "
        "WHERE town = '{town}' ORDER BY price LIMIT 2"
    ).fetchall()
    if answer != sum(row[1] for row in rows):
        return "It is another sum."
    booked = sorted(tuple(row) for row in after.execute("SELECT room_id, guest FROM bookings"))
    return True if booked == sorted((row[0], "Ada") for row in rows) else "Other rooms are booked."
"""


def database():
    link = sqlite3.connect(":memory:")
    link.executescript(SCHEMA)
    for inn, (name, town) in enumerate(
        [("The Bell", "Ely"), ("Red Lion", "Ely"), ("Crown", "Ely"), ("Star", "York"),
         ("Mitre", "York")], 1,
    ):  # fmt: skip
        link.execute("INSERT INTO inns VALUES (?, ?, ?)", (inn, name, town))
        for at in range(4):
            price = 40 + (inn * 37 + at * 23) % 61
            link.execute(
                "INSERT INTO rooms VALUES (?, ?, ?, ?)", (inn * 10 + at, inn, 1 + at % 3, price)
            )
    link.commit()
    return link.serialize()


def task(prompt, solution, verify, level=1, harder_than=None, schema=None):
    about = TaskAbout(
        prompt=prompt, level=level, harder_than=harder_than, answer_schema=schema or {},
        pattern="inn",
    )  # fmt: skip
    return TaskFiles(about, {"solution.py": solution.encode(), "verify.py": verify.encode()})


def reading(town="Ely", beds=2, **more):
    prompt = (
        f'I look for the cheapest room with at least {beds} beds in "{town}". Answer with JSON '
        'alone: {"inn": its name, "price": the price of a night}.'
    )
    fill = {"town": town, "beds": beds}
    return task(prompt, READ.format(**fill), VERIFY_READ.format(**fill), **more)


def writing(town="Ely", **more):
    prompt = (
        f'Book the two cheapest rooms of all inns in "{town}" for the guest Ada. Answer with the '
        "sum of the two prices, a number alone."
    )
    fill = {"town": town}
    return task(prompt, WRITE.format(**fill), VERIFY_WRITE.format(**fill), **more)


def family(tasks=None, tools=TOOLS, data=None, name="inn-1", schema=SCHEMA, kind="general"):
    """Two good tasks, or those that are given."""
    if tasks is None:
        tasks = [reading(), writing(level=2, harder_than="000")]
    about = About(
        id=name, kind=kind, category="travel", seed=1, generator="by hand", speciale="0",
    )  # fmt: skip
    files = {
        "schema.sql": schema.encode(),
        "data.sqlite": database() if data is None else data,
        "tools.py": tools.encode(),
    }
    return Family(about, files, {f"{number:03}": each for number, each in enumerate(tasks)})
