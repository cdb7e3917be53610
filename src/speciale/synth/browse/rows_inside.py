"""Runs in the sandbox: a page of a table's rows, or all tables, out of a database of anybody's.

A file of SQLite can be made to harm who opens it, so the browsing process never does. Usage:
rows_inside.py DATABASE [TABLE FIRST COUNT]; prints JSON.
"""

import json
import sqlite3
import sys

MOST = 500  # characters of a cell that are shown


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def shown(value):
    """JSON of a cell; bytes as their number, a long text clipped."""
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    if isinstance(value, int) and abs(value) >= 2**53:
        return str(value)  # more digits than the page's numbers have
    if isinstance(value, str) and len(value) > MOST:
        return value[: MOST - 1] + "…"
    return value


def main(path, table=None, first="0", count="0"):
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    db.text_factory = lambda data: data.decode(errors="replace")
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    known = [
        name
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' "
            "AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY rowid"
        )
    ]
    if table is None:
        counts = ((name, db.execute(f"SELECT count(*) FROM {quoted(name)}")) for name in known)
        return [{"name": name, "rows": found.fetchone()[0]} for name, found in counts]
    if table not in known:
        return None
    found = db.execute(f"SELECT * FROM {quoted(table)} LIMIT ? OFFSET ?", (int(count), int(first)))
    columns = [column[0] for column in found.description]
    rows = [[shown(value) for value in row] for row in found]
    (whole,) = db.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()
    return {"name": table, "columns": columns, "rows": rows, "first": int(first), "count": whole}


if __name__ == "__main__":
    try:
        found = {"found": main(*sys.argv[1:])}
    except sqlite3.Error as error:
        found = {"fault": f"The database cannot be read: {error}."}
    print(json.dumps(found))
