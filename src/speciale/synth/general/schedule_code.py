"""Code of the ladder schedule: its solution and its verifier, as templates.

V3.2 report, 3.2.3: the solution only calls tools and computes. See schedule.py.
"""

from __future__ import annotations

SHARED = '''
# Title, $people and minutes of what is to be planned, in this order.
EVENTS = $event_list
DAYS = $days


def suits(room):
    """Whether the $room is one that the task allows."""
    return (
        $tests_lines
    )


def clock(minutes):
    """540 as 09:00."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def free(rows, day, start, end):
    """Whether nothing in the rows overlaps with a time."""
    return not any(
        row["day"] == day and row["start"] < end and start < row["end"] for row in rows
    )
'''

SOLVE = '''
def times(minutes):
    """Every day, start and end that could be taken, the earliest first."""
    for day in DAYS:
        for begin in range($opens_at, $closes_at - minutes + 1, $step):
            yield day, clock(begin), clock(begin + minutes)


def solve(tools):
    names = sorted({name for _, people, _ in EVENTS for name in people})
    ids = load_people(tools, names)
    busy = {name: load_busy(tools, ids[name], DAYS) for name in names}
    rooms = [(room, booked) for room, booked in load_rooms(tools, DAYS) if suits(room)]
    plan, over = [], ("", "")
    for title, people, minutes in EVENTS:
        options = []
        for day, start, end in times(minutes):
            if (day, start) >= over$lunch_test:
                if all(free(busy[name], day, start, end) for name in people):
                    for room, booked in rooms:
                        if free(booked, day, start, end):
                            fee = room["$fee"]
                            options.append(($rank, day, start, end, room))
        _, day, start, end, room = min(options, key=lambda option: option[0])
        tools.$schedule(
            title=title,
            day=day,
            start=start,
            end=end,
            $room_ident=room["name"],
            $people_key=[ids[name] for name in people],
        )
        plan.append($entry)
        over = (day, end)
    return $result
'''

ROOM_GIVEN = """
if entry["$room_ident"] != row["$room_ident"]:
    return "Another $room was booked than the answer says."
"""

LUNCH_CHECK = """
if row["start"] < "13:00" and "12:00" < row["end"]:
    return "It overlaps with lunch."
"""

VERIFY = """
entries = $as_list
if not isinstance(entries, list) or len(entries) != $count:
    return "The answer does not have the form that was asked for."
rows = new_rows(before, after, "$event_table", "$event_id")
if rows is None or len(rows) != $count:
    return "There must be $count new $event(s), and the old ones as they were."
people = by_key(before, "$people_table", "name")
rooms = by_key(before, "$room_table", "name")
guests, over = [], ("", "")
# The best day, start and fee there are, as a full search has shown.
all_best = $best
for (title, names, minutes), entry, row, best in zip(EVENTS, entries, rows, all_best):
    if not has_keys(entry, $keys):
        return "The answer does not have the keys that were asked for."
    if row["title"] != title or (row["day"], row["start"]) != (entry["day"], entry["start"]):
        return "What was written is not what the answer says."
    $room_given
    hours, half = divmod(minutes + 60 * int(row["start"][:2]) + int(row["start"][3:]), 60)
    if row["end"] != f"{hours:02d}:{half:02d}" or row["end"] > "$closes":
        return "It does not end when it should."
    if row["day"] not in DAYS or (row["day"], row["start"]) < over:
        return "It is on a day or at a time that was not allowed."
    $lunch_check
    room = rooms[row["$room_ident"]]
    booked = before.execute(
        "SELECT * FROM $event_table WHERE $room_ident = ?", (room["name"],)
    ).fetchall()
    if not suits(room) or not free(booked, row["day"], row["start"], row["end"]):
        return "The $room does not suit or is not free."
    for name in names:
        key = people[name]["$person_id"]
        busy = before.execute(
            "SELECT * FROM $entry_table WHERE $person_id = ?", (key,)
        ).fetchall()
        if not free(busy, row["day"], row["start"], row["end"]):
            return f"{name} is busy."
        guests.append((row["$event_id"], key))
    if (row["day"], row["start"], room["$fee"]) != best:
        return "There is a better time or $room."
    over = (row["day"], row["end"])
old = [tuple(row) for row in before.execute("SELECT * FROM $guests")]
new = [tuple(row) for row in after.execute("SELECT * FROM $guests")]
if sorted(new) != sorted([*old, *guests]):
    return "The $people are not those of the task."
"""
