"""The worked example that a model is shown: a small museum, with one task that passes every gate.

Its files are as a model would write them (V3.2 report, 3.2.3); the tests judge them like any other.
"""

SCHEMA = """\
CREATE TABLE works (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL UNIQUE,
    gallery TEXT NOT NULL,
    year INTEGER NOT NULL
);
CREATE TABLE loans (
    id INTEGER PRIMARY KEY,
    work_id INTEGER NOT NULL REFERENCES works (id),
    borrower TEXT NOT NULL,
    fee INTEGER NOT NULL
);
"""

MAKE_DATA = """\
import os
import random
import sqlite3

rng = random.Random(7)
if os.path.exists("data.sqlite"):
    os.remove("data.sqlite")
db = sqlite3.connect("data.sqlite")
db.executescript(open("schema.sql").read())
things = ["Harbour", "Orchard", "Mill", "Bridge", "Winter", "Widow", "Ferry", "Quarry", "Garden"]
moods = ["Quiet", "Red", "Broken", "Last"]
titles = [f"{mood} {thing}" for mood in moods for thing in things]
rng.shuffle(titles)
for work, title in enumerate(titles, 1):
    gallery = ["North", "South", "Tower", "Cellar"][work % 4]
    db.execute("INSERT INTO works VALUES (?, ?, ?, ?)", (work, title, gallery, 1650 + work * 7))
    for _ in range(rng.randint(1, 4)):
        borrower = rng.choice(["Leiden", "Porto", "Graz", "Bergen", "Lyon"])
        loan = (work, borrower, rng.randint(40, 400) * 5)
        db.execute("INSERT INTO loans (work_id, borrower, fee) VALUES (?, ?, ?)", loan)
db.commit()
db.close()
"""

TOOLS = '''\
import sqlite3

PAGE = 5


def list_works(db: sqlite3.Connection, gallery: str, page: int = 1) -> dict:
    """List the works of a gallery by number, five a page.

    Args:
        gallery: Name of the gallery: North, South, Tower or Cellar.
        page: Page number, from 1.
    """
    if page < 1:
        raise ValueError("Pages are counted from 1.")
    rows = db.execute("SELECT id, title FROM works WHERE gallery = ? ORDER BY id", (gallery,))
    works = [dict(row) for row in rows]
    if not works:
        raise ValueError(f"There is no gallery {gallery!r}.")
    shown = works[(page - 1) * PAGE : page * PAGE]
    return {"works": shown, "pages": -(-len(works) // PAGE)}


def list_loans(db: sqlite3.Connection, work_id: int) -> list:
    """List the loans of a work with borrower and fee.

    Args:
        work_id: Number of the work.
    """
    if not db.execute("SELECT 1 FROM works WHERE id = ?", (work_id,)).fetchone():
        raise ValueError(f"There is no work {work_id}.")
    rows = db.execute("SELECT borrower, fee FROM loans WHERE work_id = ? ORDER BY id", (work_id,))
    return [dict(row) for row in rows]


def lend(db: sqlite3.Connection, work_id: int, borrower: str, fee: int) -> dict:
    """Enter a new loan of a work.

    Args:
        work_id: Number of the work.
        borrower: Town of the museum that borrows it.
        fee: Fee of the loan in euros, above 0.
    """
    if fee <= 0 or not db.execute("SELECT 1 FROM works WHERE id = ?", (work_id,)).fetchone():
        raise ValueError("A loan needs a work that is there and a fee above 0.")
    row = (work_id, borrower, fee)
    made = db.execute("INSERT INTO loans (work_id, borrower, fee) VALUES (?, ?, ?)", row)
    return {"loan": made.lastrowid}
'''

TASK = """\
{
  "prompt": "Which work of the gallery \\"North\\" has brought in the most money, all its loans \
taken together, and how much was that? Answer with JSON alone, such as {\\"title\\": \\"its \
title\\", \\"fees\\": 0}, with the sum in euros.",
  "answer_schema": {
    "type": "object",
    "properties": {"title": {"type": "string"}, "fees": {"type": "integer"}},
    "required": ["title", "fees"],
    "additionalProperties": false
  },
  "pattern": "largest sum over a group"
}
"""

SOLUTION = """\
def solve(tools):
    works, page, pages = [], 1, 1
    while page <= pages:
        shown = tools.list_works(gallery="North", page=page)
        works += shown["works"]
        pages, page = shown["pages"], page + 1
    sums = {}
    for work in works:
        loans = tools.list_loans(work_id=work["id"])
        sums[work["title"]] = sum(loan["fee"] for loan in loans)
    best = max(sums.values())
    winners = [title for title, total in sums.items() if total == best]
    if len(winners) != 1:
        raise ValueError("the answer is not unique")
    return {"title": winners[0], "fees": best}
"""

VERIFY = """\
def rows_of(db):
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: sorted(map(repr, map(tuple, db.execute(f"SELECT * FROM {name}"))))
            for name in names}


def verify(answer, before, after):
    if rows_of(before) != rows_of(after):
        return "Nothing was to be changed."
    if not isinstance(answer, dict) or set(answer) != {"title", "fees"}:
        return "The answer is no object with title and fees."
    title, fees = answer["title"], answer["fees"]
    if not isinstance(title, str) or type(fees) not in (int, float):
        return "The title is no text, or the fees are no number."
    right = before.execute(
        "SELECT title, SUM(fee) FROM works JOIN loans ON work_id = works.id "
        "WHERE gallery = 'North' GROUP BY works.id ORDER BY SUM(fee) DESC LIMIT 1"
    ).fetchone()
    return True if (title, fees) == tuple(right) else "It is another work or sum."
"""
