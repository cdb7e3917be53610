"""The search tool's index against SQLite's FTS5 over the same pages: known items found again.

Two corpora that are on most machines: /usr/share/doc, where a Debian package's one-line description
(which its documents do not hold, as a rule) shall find a document of that package; and the modules
of Python's standard library, where a docstring's first sentence shall find its module.

FTS5 has the better of what we tried with it: porter stems, title and path as weighted columns of
one row, words joined by OR, without common words.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sysconfig
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random

from _results import Row, write
from speciale.agents.tools.documents import Unfit, pages, read, walk
from speciale.agents.tools.search_index import SearchIndex, cache_folder
from speciale.agents.tools.search_query import COMMON, analyzers
from speciale.tasks.docstrings import SKIPPED, docstring_questions

QUERIES, TOP = 800, 10
DOC = Path("/usr/share/doc")
Query = tuple[str, Callable[[str], bool]]  # and whether a document's id is what it looks for


class Fts5:
    """The pages in SQLite: texts compressed in a table, their words in a contentless index."""

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder, self._base = folder, sqlite3.connect(path, isolation_level=None)
        self._base.executescript(
            "PRAGMA journal_mode = wal; PRAGMA synchronous = normal;"
            "CREATE TABLE pages (id INTEGER PRIMARY KEY, document TEXT, text BLOB);"
            "CREATE VIRTUAL TABLE words USING fts5(title, path, text, content='',"
            " tokenize='porter unicode61 remove_diacritics 2');"
        )

    def build(self) -> None:
        self._base.execute("BEGIN")
        for found in walk(self._folder, Path("/nowhere")):
            try:
                document = read(found)
            except Unfit:
                continue
            for text in pages(document.text):
                row = self._base.execute(
                    "INSERT INTO pages (document, text) VALUES (?, ?)",
                    (found.id, zlib.compress(text.encode(), 1)),
                ).lastrowid
                self._base.execute(
                    "INSERT INTO words (rowid, title, path, text) VALUES (?, ?, ?, ?)",
                    (row, document.title, found.id, text),
                )
        self._base.execute("COMMIT")

    def search(self, query: str) -> list[str]:
        words = dict.fromkeys(analyzers()["words"].analyze(query))
        wanted = " OR ".join(f'"{word}"' for word in words if word not in COMMON) or '"-"'
        rows = self._base.execute(
            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY bm25(words, 4.0, 2.0, 1.0)"
            " LIMIT 50",
            (wanted,),
        ).fetchall()
        found = {}
        for (row,) in rows:
            document, text = self._base.execute(
                "SELECT document, text FROM pages WHERE id = ?", (row,)
            ).fetchone()
            found.setdefault(text, document)
        return list(dict.fromkeys(found.values()))[:TOP]


def main() -> None:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/cache"
        library = Path(place, "library")
        corpora = [("Python's library", library, library_queries(library))]
        if DOC.is_dir() and shutil.which("dpkg-query"):
            corpora.append(("/usr/share/doc", DOC, list(package_queries())[:QUERIES]))
        for name, folder, queries in corpora:
            index = SearchIndex(folder)
            row = measured(partial(index.refresh, threading.Event()), ours(index), queries)
            size = megabytes(cache_folder())
            counts: Row = {"documents": index.documents, "queries": len(queries)}
            rows.append({"corpus": name, "engine": "tantivy", **counts, "size [MB]": size, **row})
            again = SearchIndex(folder)
            begun = time.perf_counter()
            again.refresh(threading.Event())
            rows[-1]["look again [s]"] = time.perf_counter() - begun
            shutil.rmtree(cache_folder())

            path = Path(place, "fts5")
            path.mkdir()
            other = Fts5(folder, path / "index.sqlite")
            row = measured(other.build, other.search, queries)
            rows.append(
                {"corpus": name, "engine": "FTS5", **counts, "size [MB]": megabytes(path), **row}
            )
            shutil.rmtree(path)
    write("search_index", rows)


def ours(index: SearchIndex) -> Callable[[str], list[str]]:
    def search(query: str) -> list[str]:
        return [hit.id for hit in index.search(query, TOP)]

    return search


def measured(
    build: Callable[[], None], search: Callable[[str], list[str]], queries: Sequence[Query]
) -> Row:
    begun, cpu = time.perf_counter(), time.process_time()
    build()
    built, cpu = time.perf_counter() - begun, time.process_time() - cpu
    times, places = [], []
    for query, wanted in queries:
        begun = time.perf_counter()
        found = search(query)
        times.append((time.perf_counter() - begun) * 1e3)
        places.append(next((n for n, id in enumerate(found, 1) if wanted(id)), None))
    times.sort()
    return {
        "index [s]": built,
        "index [CPU s]": cpu,
        "query p50 [ms]": times[len(times) // 2],
        "query p99 [ms]": times[len(times) * 99 // 100],
        "MRR@10": sum(1 / place for place in places if place) / len(places),
        "recall@10": sum(place is not None for place in places) / len(places),
    }


def package_queries() -> Iterator[Query]:
    command = ["dpkg-query", "-W", "-f", "${Package}\t${binary:Summary}\n"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        package, _, summary = line.partition("\t")
        folder = DOC / package
        if summary and folder.is_dir() and not folder.is_symlink():
            yield summary, lambda id, start=f"{package}/": id.startswith(start)


def library_queries(copy: Path) -> list[Query]:
    """Copies the library's modules to a folder, and asks for some of them."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in root.rglob("*.py"):
        if not SKIPPED & set(path.relative_to(root).parts):
            target = copy / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    queries: list[Query] = []
    pairs = [*docstring_questions(0, "train"), *docstring_questions(0, "heldout")]
    Random(0).shuffle(pairs)
    for question, sentence in pairs:
        name = re.search(r"(?:module|class|does) (\S+?)(?: for| do)?\?", question)[1].split(".")
        paths = ("/".join(name[:length]) for length in range(len(name), 0, -1))
        files = (f"{path}{end}" for path in paths for end in (".py", "/__init__.py"))
        file = next((file for file in files if (copy / file).is_file()), None)
        if file is not None:
            queries.append((sentence, lambda id, file=file: id == file))
    return queries[:QUERIES]


def megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
