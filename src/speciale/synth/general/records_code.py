"""Code of the facet records: its tools, and how a solution calls them, as templates.

V3.2 report, 3.2.3: tools as functions over the database. See records.py, which fills them in.
"""

from __future__ import annotations

PLACES = '''
def list_$place_key(db: sqlite3.Connection) -> dict:
    """List the $place_plural of all $parties."""
    rows = db.execute("SELECT DISTINCT $place FROM $party_table ORDER BY $place")
    return {"$place_key": [row[0] for row in rows]}
'''

PARTIES = '''
def $party_tool(db: sqlite3.Connection, $place: str, page: int = 1) -> dict:
    """List the $parties of one $place_noun, $size a page.

    Args:
        $place: The $place_noun, spelt as list_$place_key gives it.
        page: Page number, from 1.
    """
    rows = db.execute(
        "SELECT * FROM $party_table WHERE $place = ? ORDER BY name", ($place,)
    ).fetchall()
    if not rows:
        raise ValueError(f"There are no $parties for the $place_noun {$place!r}.")
    return _page([dict(row) for row in rows], page, $size, "$party_key")
'''

OF_PARTY = '''
def $record_tool(db: sqlite3.Connection, $party_id: int, status: str | None = None) -> dict:
    """List the $records of one $party.

    Args:
        $party_id: Id of the $party.
        status: Only those of this status, such as "$open".
    """
    if not db.execute("SELECT 1 FROM $party_table WHERE $party_id = ?", ($party_id,)).fetchone():
        raise ValueError(f"There is no $party with the id {$party_id}.")
    rows = db.execute(
        "SELECT * FROM $record_table WHERE $party_id = ? AND (? IS NULL OR status = ?)"
        " ORDER BY $record_id",
        ($party_id, status, status),
    )
    return {"$record_key": [dict(row) for row in rows]}
'''

OF_PLACE = '''
def $record_tool(db: sqlite3.Connection, $place: str, page: int = 1) -> dict:
    """List the $records of all $parties of one $place_noun, $size a page.

    Args:
        $place: The $place_noun, spelt as list_$place_key gives it.
        page: Page number, from 1.
    """
    rows = db.execute(
        "SELECT $record_table.* FROM $record_table JOIN $party_table USING ($party_id)"
        " WHERE $place = ? ORDER BY $record_id",
        ($place,),
    ).fetchall()
    return _page([dict(row) for row in rows], page, $size, "$record_key")
'''

GET = '''
def $get_tool(db: sqlite3.Connection, $record_id: str) -> dict:
    """Show one $record.

    Args:
        $record_id: Id of the $record.
    """
    row = db.execute(
        "SELECT * FROM $record_table WHERE $record_id = ?", ($record_id,)
    ).fetchone()
    if row is None:
        raise ValueError(f"There is no $record {$record_id!r}.")
    return dict(row)
'''

KIND_GET = '''
def $kind_tool(db: sqlite3.Connection, name: str) -> dict:
    """Show what holds for one of the $kinds.

    Args:
        name: Name of the $kind_noun, as the $records give it.
    """
    row = db.execute("SELECT * FROM $kind_table WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ValueError(f"There is no $kind_noun {name!r}.")
    return dict(row)
'''

KIND_LIST = '''
def $kind_tool(db: sqlite3.Connection) -> dict:
    """List the $kinds with what holds for them."""
    rows = db.execute("SELECT * FROM $kind_table ORDER BY name")
    return {"$kind_key": [dict(row) for row in rows]}
'''

ACT = '''
def ${verb}_$record_ident(db: sqlite3.Connection, $record_id: str) -> dict:
    """$title a $record. Only one whose status is "$open" can be taken; it becomes "$new".

    Args:
        $record_id: Id of the $record.
    """
    row = db.execute(
        "SELECT status FROM $record_table WHERE $record_id = ?", ($record_id,)
    ).fetchone()
    if row is None:
        raise ValueError(f"There is no $record {$record_id!r}.")
    if row["status"] != "$open":
        raise ValueError(f"The status of {$record_id} is {row['status']!r}, not '$open'.")
    db.execute(
        "UPDATE $record_table SET status = '$new' WHERE $record_id = ?", ($record_id,)
    )
    return {"$record_id": $record_id, "status": "$new"}
'''

CHARGE = '''
def add_$charge_ident(db: sqlite3.Connection, $party_id: int, amount: int) -> dict:
    """Enter a $charge for a $party.

    Args:
        $party_id: Id of the $party.
        amount: How much, above 0.
    """
    if amount <= 0:
        raise ValueError(f"The amount must be above 0, not {amount}.")
    if not db.execute("SELECT 1 FROM $party_table WHERE $party_id = ?", ($party_id,)).fetchone():
        raise ValueError(f"There is no $party with the id {$party_id}.")
    cursor = db.execute(
        "INSERT INTO $charge_table ($party_id, amount) VALUES (?, ?)", ($party_id, amount)
    )
    return {"${charge_ident}_id": cursor.lastrowid}
'''

LOAD_PARTIES = '''
def load_$party_key(tools, $place):
    """All $parties of one $place_noun, by id."""
    found, page, pages = {}, 1, 1
    while page <= pages:
        result = tools.$party_tool($place=$place, page=page)
        for entry in result["$party_key"]:
            found[entry["$party_id"]] = entry
        page, pages = page + 1, result["pages"]
    return found
'''

LOAD_BY_PARTY = '''
def load_$record_key(tools, $place):
    """All $records of a $place_noun, each with its $party."""
    found = []
    for key, party in load_$party_key(tools, $place).items():
        result = tools.$record_tool($party_id=key)
        found += [(record, party) for record in result["$record_key"]]
    return found
'''

LOAD_BY_PLACE = '''
def load_$record_key(tools, $place):
    """All $records of a $place_noun, each with its $party."""
    parties = load_$party_key(tools, $place)
    found, page, pages = [], 1, 1
    while page <= pages:
        result = tools.$record_tool($place=$place, page=page)
        found += [(record, parties[record["$party_id"]]) for record in result["$record_key"]]
        page, pages = page + 1, result["pages"]
    return found
'''

LOAD_KIND_GET = '''
def load_$kind_key(tools, found):
    """The $kinds of the $records, by name."""
    names = sorted({record["$kind"] for record, _ in found})
    return {name: tools.$kind_tool(name=name) for name in names}
'''

LOAD_KIND_LIST = '''
def load_$kind_key(tools, found):
    """The $kinds, by name."""
    return {entry["name"]: entry for entry in tools.$kind_tool()["$kind_key"]}
'''

LATE = '''
TODAY = datetime.date.fromisoformat("$today")


def due(record, kind):
    """The $due: for days beyond what is allowed."""
    days = (TODAY - datetime.date.fromisoformat(record["$date"])).days
    return max(0, days - kind["$days"]) * kind["$rate"]
'''

SHARE = '''
def due(record, kind):
    """The $due: a share of the amount, without remainder."""
    return record["$amount"] * kind["$rate"] // 100
'''

TIMES = '''
def due(record, kind):
    """The $due of a $record."""
    return record["$amount"] * kind["$rate"]
'''
