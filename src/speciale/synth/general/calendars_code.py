"""Code of the facet calendars: its tools, and how a solution calls them, as templates.

V3.2 report, 3.2.3: tools as functions over the database. See calendars.py, which fills them in.
"""

from __future__ import annotations

ROLES = '''
def list_$role_key(db: sqlite3.Connection) -> dict:
    """List the $role_plural and how many $people each has."""
    rows = db.execute("SELECT $role, COUNT(*) AS count FROM $people_table GROUP BY $role")
    return {"$role_key": [dict(row) for row in rows]}
'''

FIND = '''
def $find_tool(db: sqlite3.Connection, name: str) -> dict:
    """Find a $person by the full name.

    Args:
        name: First and last name.
    """
    row = db.execute("SELECT * FROM $people_table WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ValueError(f"There is no $person called {name!r}.")
    return dict(row)
'''

LIST = '''
def $list_tool(db: sqlite3.Connection, page: int = 1) -> dict:
    """List all $people with id and $role_noun, four a page.

    Args:
        page: Page number, from 1.
    """
    rows = db.execute("SELECT * FROM $people_table ORDER BY name").fetchall()
    return _page([dict(row) for row in rows], page, 4, "$people_key")
'''

BUSY = '''
def $busy_tool(db: sqlite3.Connection, $person_id: int) -> dict:
    """List when a $person is busy, on all days; the $person is free at all other times.

    Args:
        $person_id: Id of the $person.
    """
    if not db.execute(
        "SELECT 1 FROM $people_table WHERE $person_id = ?", ($person_id,)
    ).fetchone():
        raise ValueError(f"There is no $person with the id {$person_id}.")
    rows = db.execute(
        "SELECT title, day, start, end FROM $entry_table WHERE $person_id = ?"
        " ORDER BY day, start",
        ($person_id,),
    )
    return {"busy": [dict(row) for row in rows]}
'''

BUSY_DAILY = '''
def $busy_tool(db: sqlite3.Connection, $person_id: int, day: str) -> dict:
    """List when a $person is busy on one day; the $person is free at all other times.

    Args:
        $person_id: Id of the $person.
        day: The day, such as 2024-05-31.
    """
    if not db.execute(
        "SELECT 1 FROM $people_table WHERE $person_id = ?", ($person_id,)
    ).fetchone():
        raise ValueError(f"There is no $person with the id {$person_id}.")
    rows = db.execute(
        "SELECT title, day, start, end FROM $entry_table WHERE $person_id = ? AND day = ?"
        " ORDER BY start",
        ($person_id, day),
    )
    return {"busy": [dict(row) for row in rows]}
'''

ROOMS = '''
def $rooms_tool(db: sqlite3.Connection) -> dict:
    """List the $rooms with what they offer and cost."""
    flags = {$flags}
    rows = db.execute("SELECT * FROM $room_table ORDER BY name")
    return {
        "$room_key": [
            {key: bool(row[key]) if key in flags else row[key] for key in row.keys()}
            for row in rows
        ]
    }
'''

ROOM = '''
def $room_tool(db: sqlite3.Connection, $room_ident: str) -> dict:
    """List the $events that a $room is booked for, on all days.

    Args:
        $room_ident: Name of the $room.
    """
    if not db.execute(
        "SELECT 1 FROM $room_table WHERE name = ?", ($room_ident,)
    ).fetchone():
        raise ValueError(f"There is no $room {$room_ident!r}.")
    rows = db.execute(
        "SELECT title, day, start, end FROM $event_table WHERE $room_ident = ?"
        " ORDER BY day, start",
        ($room_ident,),
    )
    return {"booked": [dict(row) for row in rows]}
'''

ROOM_DAILY = '''
def $room_tool(db: sqlite3.Connection, $room_ident: str, day: str) -> dict:
    """List the $events that a $room is booked for on one day.

    Args:
        $room_ident: Name of the $room.
        day: The day, such as 2024-05-31.
    """
    if not db.execute(
        "SELECT 1 FROM $room_table WHERE name = ?", ($room_ident,)
    ).fetchone():
        raise ValueError(f"There is no $room {$room_ident!r}.")
    rows = db.execute(
        "SELECT title, day, start, end FROM $event_table WHERE $room_ident = ? AND day = ?"
        " ORDER BY start",
        ($room_ident, day),
    )
    return {"booked": [dict(row) for row in rows]}
'''

CLASH = '''
def _clash(rows: list, day: str, start: str, end: str) -> bool:
    """Whether one of the rows overlaps with a time."""
    return any(row["day"] == day and row["start"] < end and start < row["end"] for row in rows)
'''

SCHEDULE = '''
def $schedule(
    db: sqlite3.Connection,
    title: str,
    day: str,
    start: str,
    end: str,
    $room_ident: str,
    $people_key: list[int],
) -> dict:
    """$title $a_event in a $room for some $people, all of whom must be free.

    Args:
        title: What the $event is called.
        day: The day, such as 2024-05-31.
        start: When it starts, such as 09:30; from $opens.
        end: When it ends, such as 10:30; $closes at the latest.
        $room_ident: Name of the $room.
        $people_key: Ids of the $people.
    """
    if not (re.fullmatch(r"\\d\\d:[03]0", start) and re.fullmatch(r"\\d\\d:[03]0", end)):
        raise ValueError("Start and end must be at full or half hours, such as 09:30.")
    if not "$opens" <= start < end <= "$closes":
        raise ValueError("It must lie between $opens and $closes.")
    if not db.execute(
        "SELECT 1 FROM $room_table WHERE name = ?", ($room_ident,)
    ).fetchone():
        raise ValueError(f"There is no $room {$room_ident!r}.")
    booked = db.execute("SELECT * FROM $event_table WHERE $room_ident = ?", ($room_ident,))
    if _clash(booked.fetchall(), day, start, end):
        raise ValueError(f"{$room_ident} is booked at that time.")
    cursor = db.execute(
        "INSERT INTO $event_table (title, day, start, end, $room_ident) VALUES (?, ?, ?, ?, ?)",
        (title, day, start, end, $room_ident),
    )
    for key in $people_key:
        if not db.execute(
        "SELECT 1 FROM $people_table WHERE $person_id = ?", (key,)
    ).fetchone():
            raise ValueError(f"There is no $person with the id {key}.")
        busy = db.execute("SELECT * FROM $entry_table WHERE $person_id = ?", (key,))
        if _clash(busy.fetchall(), day, start, end):
            raise ValueError(f"The $person {key} is busy at that time.")
        db.execute("INSERT INTO $guests VALUES (?, ?)", (cursor.lastrowid, key))
    return {"$event_id": cursor.lastrowid}
'''

LOAD_BY_NAME = '''
def load_people(tools, names):
    """The ids of $people by name."""
    return {name: tools.$find_tool(name=name)["$person_id"] for name in names}
'''

LOAD_BY_ROLE = '''
def load_people(tools, names):
    """The ids of $people by name."""
    found, page, pages = {}, 1, 1
    while page <= pages:
        result = tools.$list_tool(page=page)
        for entry in result["$people_key"]:
            found[entry["name"]] = entry["$person_id"]
        page, pages = page + 1, result["pages"]
    return {name: found[name] for name in names}
'''

LOAD_BUSY = '''
def load_busy(tools, key, days):
    """When a $person is busy."""
    return [row for row in tools.$busy_tool($person_id=key)["busy"] if row["day"] in days]
'''

LOAD_BUSY_DAILY = '''
def load_busy(tools, key, days):
    """When a $person is busy."""
    found = []
    for day in days:
        found += tools.$busy_tool($person_id=key, day=day)["busy"]
    return found
'''

LOAD_ROOMS = '''
def load_rooms(tools, days):
    """The $rooms, each with what it is booked for."""
    return [
        (room, tools.$room_tool($room_ident=room["name"])["booked"])
        for room in tools.$rooms_tool()["$room_key"]
    ]
'''

LOAD_ROOMS_DAILY = '''
def load_rooms(tools, days):
    """The $rooms, each with what it is booked for."""
    found = []
    for room in tools.$rooms_tool()["$room_key"]:
        booked = []
        for day in days:
            booked += tools.$room_tool($room_ident=room["name"], day=day)["booked"]
        found.append((room, booked))
    return found
'''
