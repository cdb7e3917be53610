"""Code of the facet network: its tools, and how a solution calls them, as templates.

V3.2 report, 3.2.3: tools as functions over the database. See network.py, which fills them in.
"""

from __future__ import annotations

SHAPE = '''
def _$leg_ident(row: sqlite3.Row) -> dict:
    """A row as JSON: flags as true or false."""
    flags = {$flags}
    return {key: bool(row[key]) if key in flags else row[key] for key in row.keys()}
'''

STOPS = '''
def list_$stop_key(db: sqlite3.Connection) -> dict:
    """List the $stops from which there are $legs."""
    rows = db.execute("SELECT DISTINCT origin FROM $leg_table ORDER BY origin")
    return {"$stop_key": [row[0] for row in rows]}
'''

FROM = '''
def $departures(db: sqlite3.Connection, origin: str) -> dict:
    """List the $legs that leave a $stop, by time.

    Args:
        origin: Name of the $stop.
    """
    rows = db.execute(
        "SELECT $columns"
        " FROM $leg_table WHERE origin = ? ORDER BY departs, $leg_id",
        (origin,),
    ).fetchall()
    if not rows:
        raise ValueError(f"No $leg leaves from {origin!r}.")
    return {"$leg_key": [_$leg_ident(row) for row in rows]}
'''

FROM_PAGED = '''
def $departures(db: sqlite3.Connection, origin: str, page: int = 1) -> dict:
    """List the $legs that leave a $stop, by time, six a page.

    Args:
        origin: Name of the $stop.
        page: Page number, from 1.
    """
    rows = db.execute(
        "SELECT $columns"
        " FROM $leg_table WHERE origin = ? ORDER BY departs, $leg_id",
        (origin,),
    ).fetchall()
    if not rows:
        raise ValueError(f"No $leg leaves from {origin!r}.")
    return _page([_$leg_ident(row) for row in rows], page, 6, "$leg_key")
'''

GET = '''
def $get(db: sqlite3.Connection, $leg_id: str) -> dict:
    """Show one $leg with its $price_label.

    Args:
        $leg_id: Id of the $leg.
    """
    row = db.execute("SELECT * FROM $leg_table WHERE $leg_id = ?", ($leg_id,)).fetchone()
    if row is None:
        raise ValueError(f"There is no $leg {$leg_id!r}.")
    return _$leg_ident(row)
'''

FARES = '''
def $fares(db: sqlite3.Connection, ids: list[str]) -> dict:
    """Give $price_label and features of up to eight $legs.

    Args:
        ids: At most eight ids, as $departures gives them.
    """
    if not 1 <= len(ids) <= 8:
        raise ValueError(f"Give one to eight ids, not {len(ids)}.")
    found = []
    for one in ids:
        row = db.execute(
            "SELECT $leg_id, $price, $flag FROM $leg_table WHERE $leg_id = ?", (one,)
        ).fetchone()
        if row is None:
            raise ValueError(f"There is no $leg {one!r}.")
        found.append(_$leg_ident(row))
    return {"fares": found}
'''

OPERATOR = '''
def $operator_tool(db: sqlite3.Connection, name: str) -> dict:
    """Show what is known about one of the $operators.

    Args:
        name: Name of the $operator_noun.
    """
    row = db.execute("SELECT * FROM $operator_table WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ValueError(f"There is no $operator_noun {name!r}.")
    return _$leg_ident(row)
'''

OPERATORS = '''
def $operator_tool(db: sqlite3.Connection) -> dict:
    """List the $operators with what is known about them."""
    rows = db.execute("SELECT * FROM $operator_table ORDER BY name")
    return {"$operator_key": [_$leg_ident(row) for row in rows]}
'''

BOOK = '''
def $book(db: sqlite3.Connection, $leg_id: str, $traveller: str) -> dict:
    """$title a $leg; this makes $a_booking.

    Args:
        $leg_id: Id of the $leg.
        $traveller: Name of the $traveller.
    """
    if not db.execute("SELECT 1 FROM $leg_table WHERE $leg_id = ?", ($leg_id,)).fetchone():
        raise ValueError(f"There is no $leg {$leg_id!r}.")
    if db.execute(
        "SELECT 1 FROM $booking_table WHERE $leg_id = ? AND $traveller = ?", ($leg_id, $traveller)
    ).fetchone():
        raise ValueError(f"{$leg_id} is $past for {$traveller} already.")
    cursor = db.execute(
        "INSERT INTO $booking_table ($leg_id, $traveller) VALUES (?, ?)", ($leg_id, $traveller)
    )
    return {"$booking_id": cursor.lastrowid, "status": "$past"}
'''

BOOKED = '''
def $bookings(db: sqlite3.Connection, $traveller: str) -> dict:
    """List what is $past for a $traveller.

    Args:
        $traveller: Name of the $traveller.
    """
    rows = db.execute("SELECT * FROM $booking_table WHERE $traveller = ?", ($traveller,))
    return {"$booking_table": [dict(row) for row in rows]}
'''

LOAD = '''
def load_from(tools, origin):
    """All $legs that leave a $stop."""
    legs = tools.$departures(origin=origin)["$leg_key"]
    $details
    return legs
'''

LOAD_PAGED = '''
def load_from(tools, origin):
    """All $legs that leave a $stop."""
    legs, page, pages = [], 1, 1
    while page <= pages:
        result = tools.$departures(origin=origin, page=page)
        legs += result["$leg_key"]
        page, pages = page + 1, result["pages"]
    $details
    return legs
'''

LOAD_DETAILS = """
for start in range(0, len(legs), 8):
    ids = [leg["$leg_id"] for leg in legs[start : start + 8]]
    offers = {each["$leg_id"]: each for each in tools.$fares(ids=ids)["fares"]}
    for leg in legs[start : start + 8]:
        leg.update(offers[leg["$leg_id"]])
"""

LOAD_OPERATOR = '''
def load_operators(tools, legs):
    """The $operators of the $legs, by name."""
    names = sorted({leg["$operator"] for leg in legs})
    return {name: tools.$operator_tool(name=name) for name in names}
'''

LOAD_OPERATORS = '''
def load_operators(tools, legs):
    """The $operators, by name."""
    return {entry["name"]: entry for entry in tools.$operator_tool()["$operator_key"]}
'''
