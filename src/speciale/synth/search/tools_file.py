"""The tools of a family of the search agent: this file is its tools.py, and answerers import it.

Ranked search by BM25 over SQLite's full-text index, and documents page by page, as an agent has
them (V3.2 report, 3.2.3). Only the standard library may stand here.
"""

from __future__ import annotations

import re
import sqlite3

_PAGE = 4000  # characters of a document's page, at most
_RESULTS = 10  # on a page of results


def search(db: sqlite3.Connection, query: str, page: int = 1, titles_only: bool = False) -> dict:
    """Search the documents' titles and texts; the best match comes first, ten a page.

    A result has the document's id, its title and a short piece of it. Documents with all the
    words come alone, if there are any; otherwise those with any of the words. Words in double
    quotes must stand together. A document whose title is the query comes first.

    Args:
        query: Words, or phrases in double quotes.
        page: Page of results, from 1.
        titles_only: Look in the titles alone.
    """
    parts = _parts(query)
    if not parts:
        raise ValueError("The query has no words.")
    if page < 1:
        raise ValueError("Pages are counted from 1.")
    title = query.strip().strip('"')
    for joint in (" AND ", " OR "):
        match = f"{'{title} : ' if titles_only else ''}({joint.join(parts)})"
        rows = db.execute(
            "SELECT words.rowid AS number FROM words JOIN documents AS d ON d.number = words.rowid"
            " WHERE words MATCH ?"
            " ORDER BY d.title = ? DESC, round(bm25(words, 8.0, 1.0), 6), d.number"
            " LIMIT ? OFFSET ?",
            (match, title, _RESULTS + 1, _RESULTS * (page - 1)),
        ).fetchall()
        if rows or page > 1:
            break
    numbers = [row["number"] for row in rows[:_RESULTS]]
    pieces = db.execute(
        "SELECT d.number, d.id, d.title, snippet(words, 1, '', '', '...', 10) AS piece"
        " FROM words JOIN documents AS d ON d.number = words.rowid WHERE words MATCH ?"
        f" AND words.rowid IN ({', '.join(map(str, numbers))})",
        (match,),
    ).fetchall()
    return {
        "results": [
            {"id": row["id"], "title": row["title"], "snippet": " ".join(row["piece"].split())}
            for row in sorted(pieces, key=lambda row: numbers.index(row["number"]))
        ],
        "page": page,
        "more": len(rows) > _RESULTS,
    }


def open_document(db: sqlite3.Connection, document_id: str, page: int = 1) -> dict:
    """Read a document, a page of up to 4,000 characters at a time.

    Args:
        document_id: The document's id, as a search gives it.
        page: Page of the document, from 1.
    """
    title, pages = _pages(db, document_id)
    if not 1 <= page <= len(pages):
        raise ValueError(f"The document {document_id} has pages 1 to {len(pages)}.")
    text = pages[page - 1]
    return {"id": document_id, "title": title, "page": page, "pages": len(pages), "text": text}


def find_in_document(db: sqlite3.Connection, document_id: str, text: str) -> dict:
    """Find the lines of a document that contain a text, whatever the case; fifty at most.

    Args:
        document_id: The document's id, as a search gives it.
        text: What the lines contain.
    """
    title, pages = _pages(db, document_id)
    if not text.strip():
        raise ValueError("Say what the lines contain.")
    found = []
    for number, page in enumerate(pages, 1):
        for line in page.split("\n"):
            if text.casefold() in line.casefold():
                found.append({"page": number, "line": line[:300]})
    return {"id": document_id, "title": title, "lines": found[:50], "more": len(found) > 50}


def _parts(query: str) -> list[str]:
    """The query's words and phrases as the index takes them."""
    parts = []
    for phrase, word in re.findall(r'"([^"]*)"|([^\s"]+)', query)[:200]:
        text = (phrase or word).replace('"', " ")
        if re.search(r"\w", text) and text.casefold() not in ("and", "or", "not"):
            parts.append(f'"{text}"')
    return parts


def _pages(db: sqlite3.Connection, document_id: str) -> tuple[str, list[str]]:
    """Title and pages: a page ends with a line where it can."""
    row = db.execute("SELECT title, text FROM documents WHERE id = ?", (document_id,)).fetchone()
    if row is None:
        raise ValueError(f"There is no document {document_id!r}: take an id that a search gave.")
    text, pages, start = row["text"], [], 0
    while len(text) - start > _PAGE:
        end = text.rfind("\n", start + _PAGE // 2, start + _PAGE) + 1 or start + _PAGE
        pages.append(text[start:end])
        start = end
    return row["title"], [*pages, text[start:]]
