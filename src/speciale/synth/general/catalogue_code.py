"""Code of the facet catalogue: its tools, and how a solution calls them, as templates.

V3.2 report, 3.2.3: tools as functions over the database. See catalogue.py, which fills them in.
"""

from __future__ import annotations

SHAPE = '''
def $shape(row: sqlite3.Row) -> dict:
    """A row as JSON: flags as true or false."""
    flags = {$flags}
    return {key: bool(row[key]) if key in flags else row[key] for key in row.keys()}
'''

GROUPS = '''
def list_$groups_key(db: sqlite3.Connection) -> dict:
    """List the $group_plural for which there are $plural."""
    rows = db.execute("SELECT DISTINCT $group FROM $table ORDER BY $group")
    return {"$groups_key": [row[0] for row in rows]}
'''

LIST = '''
def $list_tool(db: sqlite3.Connection, $group: str, page: int = 1) -> dict:
    """List the $plural of one $group_noun, $size a page.

    Args:
        $group: The $group_noun, spelt as list_$groups_key gives it.
        page: Page number, from 1.
    """
    rows = db.execute(
        "SELECT $columns"
        " FROM $table WHERE $group = ? ORDER BY $order",
        ($group,),
    ).fetchall()
    if not rows:
        raise ValueError(f"There is no $group_noun {$group!r} with $plural.")
    return _page([$shape(row) for row in rows], page, $size, "$key")
'''

GET = '''
def $get_tool(db: sqlite3.Connection, $id: str) -> dict:
    """Show everything about one of the $plural.

    Args:
        $id: Id of the $noun, as $list_tool gives it.
    """
    row = db.execute("SELECT * FROM $table WHERE $id = ?", ($id,)).fetchone()
    if row is None:
        raise ValueError(f"There is no $noun with the id {$id!r}.")
    return $shape(row)
'''

BATCH = '''
def $batch_tool(db: sqlite3.Connection, ids: list[str]) -> dict:
    """Give $cost_label and $score_label of up to five $plural.

    Args:
        ids: At most five ids, as $list_tool gives them.
    """
    if not 1 <= len(ids) <= 5:
        raise ValueError(f"Give one to five ids, not {len(ids)}.")
    found = []
    for one in ids:
        row = db.execute(
            "SELECT $id, $cost, $score FROM $table WHERE $id = ?", (one,)
        ).fetchone()
        if row is None:
            raise ValueError(f"There is no $noun with the id {one!r}.")
        found.append(dict(row))
    return {"$batch_key": found}
'''

MAKER_GET = '''
def $maker_get(db: sqlite3.Connection, name: str) -> dict:
    """Show what is known about one of the $maker_plural.

    Args:
        name: Name of the $maker_noun, as the $plural give it.
    """
    row = db.execute("SELECT * FROM $maker_table WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ValueError(f"There is no $maker_noun {name!r}.")
    return $shape(row)
'''

MAKER_LIST = '''
def $maker_list(db: sqlite3.Connection, page: int = 1) -> dict:
    """List the $maker_plural with all that is known about them, $size a page.

    Args:
        page: Page number, from 1.
    """
    rows = db.execute("SELECT * FROM $maker_table ORDER BY name").fetchall()
    return _page([$shape(row) for row in rows], page, $size, "$maker_key")
'''

TAKE = '''
def $take_tool(
    db: sqlite3.Connection, $person: str, $id: str, $quantity: int
) -> dict:
    """$verb $a_noun for somebody; this makes one $entry_noun.

    Args:
        $person: Full name of the one it is for.
        $id: Id of the $noun.
        $quantity: Number of $count_plural, 1 to 60.
    """
    if not 1 <= $quantity <= 60:
        raise ValueError(f"The number of $count_plural must be 1 to 60, not {$quantity}.")
    if db.execute("SELECT 1 FROM $table WHERE $id = ?", ($id,)).fetchone() is None:
        raise ValueError(f"There is no $noun with the id {$id!r}.")
    if db.execute(
        "SELECT 1 FROM $basket WHERE $person = ? AND $id = ?", ($person, $id)
    ).fetchone():
        raise ValueError(f"{$person} has this $noun already.")
    cursor = db.execute(
        "INSERT INTO $basket ($person, $id, $quantity) VALUES (?, ?, ?)",
        ($person, $id, $quantity),
    )
    return {"${entry}_id": cursor.lastrowid, "status": "$past"}
'''

TAKEN = '''
def list_$basket(db: sqlite3.Connection, $person: str) -> dict:
    """List what has been $past for somebody.

    Args:
        $person: Full name of the one it is for.
    """
    rows = db.execute(
        "SELECT * FROM $basket WHERE $person = ? ORDER BY rowid", ($person,)
    )
    return {"$basket": [dict(row) for row in rows]}
'''

COUNT = '''
def count_$key(db: sqlite3.Connection, $group: str) -> dict:
    """Count the $plural of one $group_noun.

    Args:
        $group: The $group_noun.
    """
    row = db.execute(
        "SELECT COUNT(*) FROM $table WHERE $group = ?", ($group,)
    ).fetchone()
    return {"$group": $group, "count": row[0]}
'''

LOAD = '''
def load_$key(tools, $group):
    """All $plural of one $group_noun with their details."""
    rows, page, pages = [], 1, 1
    while page <= pages:
        result = tools.$list_tool($group=$group, page=page)
        $details
        page, pages = page + 1, result["pages"]
    return rows
'''

LOAD_BATCH = """
entries = result["$key"]
more = tools.$batch_tool(ids=[entry["$id"] for entry in entries])
details = {entry["$id"]: entry for entry in more["$batch_key"]}
rows += [{**entry, **details[entry["$id"]]} for entry in entries]
"""

LOAD_MAKER_GET = '''
def load_$makers(tools, rows):
    """The $maker_plural of the $plural, by name."""
    names = sorted({row["$maker"] for row in rows})
    return {name: tools.$maker_get(name=name) for name in names}
'''

LOAD_MAKER_LIST = '''
def load_$makers(tools, rows):
    """The $maker_plural, by name."""
    found, page, pages = {}, 1, 1
    while page <= pages:
        result = tools.$maker_list(page=page)
        for entry in result["$makers"]:
            found[entry["name"]] = entry
        page, pages = page + 1, result["pages"]
    return found
'''
