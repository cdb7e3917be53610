"""data.sqlite of a family of the search agent: documents and their full-text index (FTS5, BM25)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from random import Random

from speciale.synth.search import tools_file
from speciale.synth.search.corpora import Document

SCHEMA = """\
CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(
    title, text, content='documents', content_rowid='number', tokenize='unicode61'
);
"""
TOOLS = Path(tools_file.__file__).read_bytes()


def database(documents: Iterable[Document], rng: Random) -> sqlite3.Connection:
    """In memory, closed to changes. Ids follow no order that says anything of the documents."""
    kept = list(documents)
    ids = [f"d{number:04}" for number in range(1, len(kept) + 1)]
    rng.shuffle(ids)
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA page_size = 4096")
    db.executescript(SCHEMA)
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO documents VALUES (?, ?, ?, ?)",
        [(n, id, each.title, each.text) for n, (id, each) in enumerate(zip(ids, kept), 1)],
    )
    db.execute("INSERT INTO words(words) VALUES ('rebuild')")
    db.execute("INSERT INTO words(words) VALUES ('optimize')")
    db.execute("COMMIT")
    db.execute("VACUUM")
    db.execute("PRAGMA query_only = 1")
    return db
