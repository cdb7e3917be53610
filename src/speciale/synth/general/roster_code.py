"""Code of the facet roster: its tools, and how a solution calls them, as templates.

V3.2 report, 3.2.3: tools as functions over the database. See roster.py, which fills them in.
"""

from __future__ import annotations

SKILLS = '''
def list_$skill_key(db: sqlite3.Connection) -> dict:
    """List the $skill_plural that the $resources cover."""
    rows = db.execute("SELECT DISTINCT $skill FROM $resource_table ORDER BY $skill")
    return {"$skill_key": [row[0] for row in rows]}
'''

REQUESTS = '''
def $request_tool(db: sqlite3.Connection, page: int = 1) -> dict:
    """List all $requests with what they need, $size a page.

    Args:
        page: Page number, from 1.
    """
    rows = db.execute("SELECT * FROM $request_table ORDER BY name").fetchall()
    return _page([dict(row) for row in rows], page, $size, "$request_key")
'''

REQUESTS_SHORT = '''
def $request_tool(db: sqlite3.Connection, page: int = 1) -> dict:
    """List the ids and names of all $requests, $size a page.

    Args:
        page: Page number, from 1.
    """
    rows = db.execute("SELECT $request_id, name FROM $request_table ORDER BY name").fetchall()
    return _page([dict(row) for row in rows], page, $size, "$request_key")
'''

REQUEST = '''
def $request_get(db: sqlite3.Connection, $request_id: str) -> dict:
    """Show what one $request needs.

    Args:
        $request_id: Id of the $request.
    """
    row = db.execute(
        "SELECT * FROM $request_table WHERE $request_id = ?", ($request_id,)
    ).fetchone()
    if row is None:
        raise ValueError(f"There is no $request {$request_id!r}.")
    return dict(row)
'''

RESOURCES = '''
def $resource_tool(db: sqlite3.Connection, $skill: str) -> dict:
    """Find the $resources for a $skill_noun.

    Args:
        $skill: The $skill_noun, spelt as list_$skill_key gives it.
    """
    rows = db.execute(
        "SELECT $short FROM $resource_table WHERE $skill = ? ORDER BY name", ($skill,)
    ).fetchall()
    if not rows:
        raise ValueError(f"There are no $resources for {$skill!r}.")
    return {"$resource_key": [dict(row) for row in rows]}
'''

RESOURCE = '''
def $resource_get(db: sqlite3.Connection, $resource_id: str) -> dict:
    """Show one $resource with $rate_label and $capacity_label.

    Args:
        $resource_id: Id of the $resource.
    """
    row = db.execute(
        "SELECT * FROM $resource_table WHERE $resource_id = ?", ($resource_id,)
    ).fetchone()
    if row is None:
        raise ValueError(f"There is no $resource {$resource_id!r}.")
    return dict(row)
'''

SLOTS = '''
def $slot_tool(db: sqlite3.Connection, $resource_id: str) -> dict:
    """List the slots of a $resource that nobody has taken, with their $surcharge_label.

    Args:
        $resource_id: Id of the $resource.
    """
    rows = db.execute(
        "SELECT slot_id, day, part, $surcharge FROM $slot_table"
        " WHERE $resource_id = ? AND NOT taken ORDER BY day, slot_id",
        ($resource_id,),
    )
    return {"slots": [dict(row) for row in rows]}
'''

SLOTS_DAILY = '''
def $slot_tool(db: sqlite3.Connection, $skill: str, day: str) -> dict:
    """List the slots of one day that nobody has taken, of all $resources for a $skill_noun.

    Args:
        $skill: The $skill_noun.
        day: The day, such as 2024-05-31.
    """
    rows = db.execute(
        "SELECT slot_id, $resource_id, day, part, $surcharge FROM $slot_table"
        " JOIN $resource_table USING ($resource_id)"
        " WHERE $skill = ? AND day = ? AND NOT taken ORDER BY slot_id",
        ($skill, day),
    )
    return {"slots": [dict(row) for row in rows]}
'''

BOOK = '''
def $book(db: sqlite3.Connection, $request_id: str, slot_id: int) -> dict:
    """$title a $request to a free slot of a $resource; this makes $a_booking.

    Args:
        $request_id: Id of the $request.
        slot_id: Id of the slot.
    """
    slot = db.execute(
        "SELECT * FROM $slot_table JOIN $resource_table USING ($resource_id) WHERE slot_id = ?",
        (slot_id,),
    ).fetchone()
    if slot is None or slot["taken"]:
        raise ValueError(f"There is no free slot {slot_id}.")
    request = db.execute(
        "SELECT * FROM $request_table WHERE $request_id = ?", ($request_id,)
    ).fetchone()
    if request is None:
        raise ValueError(f"There is no $request {$request_id!r}.")
    if db.execute(
        "SELECT 1 FROM $booking_table WHERE $request_id = ?", ($request_id,)
    ).fetchone():
        raise ValueError(f"{$request_id} is $past already.")
    if request["$skill"] != slot["$skill"]:
        raise ValueError(f"The $skill_noun of {$request_id} is {request['$skill']!r}.")
    if request["$need"] > slot["$capacity"]:
        raise ValueError(f"The $capacity_label of this $resource is {slot['$capacity']}.")
    if not request["earliest_day"] <= slot["day"] <= request["latest_day"]:
        raise ValueError(f"{slot['day']} does not suit {$request_id}.")
    db.execute("UPDATE $slot_table SET taken = 1 WHERE slot_id = ?", (slot_id,))
    cursor = db.execute(
        "INSERT INTO $booking_table (slot_id, $request_id) VALUES (?, ?)", (slot_id, $request_id)
    )
    return {"$booking_id": cursor.lastrowid, "status": "$past"}
'''

LOAD_REQUESTS = '''
def load_requests(tools, names):
    """The $requests of these names, in their order."""
    found, page, pages = {}, 1, 1
    while page <= pages:
        result = tools.$request_tool(page=page)
        for entry in result["$request_key"]:
            found[entry["name"]] = entry
        page, pages = page + 1, result["pages"]
    return [$one for name in names]
'''
HAVE_REQUEST = "found[name]"
GET_REQUEST = 'tools.$request_get($request_id=found[name]["$request_id"])'

LOAD_OFFERS = '''
def load_offers(tools, skills):
    """Free slots of the $resources for some $skill_plural, each with its $resource."""
    offers = []
    for skill in skills:
        $slots
    return offers
'''

GET_SLOTS = """
for entry in tools.$resource_tool($skill=skill)["$resource_key"]:
    $rates
    for slot in tools.$slot_tool($resource_id=entry["$resource_id"])["slots"]:
        offers.append((slot, {**entry, "$skill": skill}))
"""

GET_SLOTS_DAILY = """
by_id = {}
for entry in tools.$resource_tool($skill=skill)["$resource_key"]:
    $rates
    by_id[entry["$resource_id"]] = {**entry, "$skill": skill}
for day in [$days]:
    for slot in tools.$slot_tool($skill=skill, day=day)["slots"]:
        offers.append((slot, by_id[slot["$resource_id"]]))
"""
HAVE_RATES = ""
GET_RATES = 'entry = tools.$resource_get($resource_id=entry["$resource_id"])'
