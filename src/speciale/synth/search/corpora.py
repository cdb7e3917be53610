"""Corpora that questions are asked about: package paragraphs, a folder of papers, Python's manual.

What cannot be read (binary, too large, a link, no package) is passed over and recorded. A corpus
is read once in a process.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from speciale.agents.tools.documents import Found, Unfit, read, walk
from speciale.errors import DataError
from speciale.synth.search import control, manual, papers
from speciale.synth.search.relations import Vocabulary

CORPORA = ("debian", "doc", "python")
MOST_FILE = 400_000  # bytes: what is longer takes hundreds of pages, which no search reads
MOST_TEXT = 8_000  # characters of a document; the rest is cut off, and says so
MOST_DOCUMENTS = 120_000
LEAST_DOCUMENTS = 12
CUT = "\n[The rest of this document is not in the collection.]\n"
_BROWSER = (".html", ".htm", ".css", ".js", ".svg", ".xml", ".json")


@dataclass(frozen=True)
class Document:
    title: str  # unique in its corpus
    text: str

    @property
    def whole(self) -> str:
        """What patterns read: the title, a line's end, the text."""
        return f"{self.title}\n{self.text}"


@dataclass(frozen=True, eq=False)
class Corpus:
    """Read once: what is found out about it is kept by the object."""

    name: str
    vocabulary: Vocabulary
    documents: tuple[Document, ...]
    skipped: Counter[str] = field(default_factory=Counter)  # what was passed over, by its kind
    examples: tuple[str, ...] = ()  # of what was passed over: "path: kind"

    @property
    def source(self) -> str:
        """Which corpus it is, with a digest of all its text."""
        return f"{self.name}, {len(self.documents)} documents, sha256 {digest(self)[:16]}"


@lru_cache(maxsize=4)
def digest(corpus: Corpus) -> str:
    total = hashlib.sha256()
    for document in corpus.documents:
        total.update(f"{len(document.title)} {len(document.text)} {document.whole}".encode())
    return total.hexdigest()


@lru_cache(maxsize=3)
def read_corpus(corpus: str) -> Corpus:
    """One of CORPORA; a folder of texts; or a file of package paragraphs, by its path. DataError
    where there is nothing to ask about."""
    if corpus == "debian":
        return _packages("debian", None)
    if corpus == "doc":
        return _folder("doc", Path("/usr/share/doc"), _BROWSER)
    if corpus == "python":
        return _manual()
    path = Path(corpus)
    if path.is_file():
        return _packages(path.name, path)
    if path.is_dir():
        return _folder(path.resolve().name, path.resolve(), ())
    raise DataError(
        f"there is no corpus {corpus!r}: give one of {', '.join(CORPORA)}, or the path of a folder"
    )


class _Reading:
    """Documents as they come in."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.skipped: Counter[str] = Counter()
        self.examples: list[str] = []
        self._texts: set[bytes] = set()

    def add(self, title: str, text: str) -> None:
        title = " ".join(title.split())
        if len(self.documents) >= MOST_DOCUMENTS:
            self.skip(title, "too many")
        elif title in self.documents:
            self.skip(title, "same title")
        elif not text.strip():
            self.skip(title, "empty")
        elif self._known(text):
            self.skip(title, "same text")
        else:
            if len(text) > MOST_TEXT:
                end = text.rfind("\n", MOST_TEXT // 2, MOST_TEXT)
                text = text[: end if end > 0 else MOST_TEXT] + CUT
            self.documents[title] = Document(title, text)

    def _known(self, text: str) -> bool:
        """Packages ship the same notes many times: nothing tells such documents apart."""
        mark = hashlib.sha256(text.encode()).digest()
        known = mark in self._texts
        self._texts.add(mark)
        return known

    def skip(self, what: str, kind: str) -> None:
        self.skipped[kind] += 1
        if len(self.examples) < 100:
            self.examples.append(f"{what}: {kind}")

    def corpus(self, name: str, vocabulary: Vocabulary, where: object) -> Corpus:
        if len(self.documents) < LEAST_DOCUMENTS:
            left = ", ".join(f"{count} {kind}" for kind, count in sorted(self.skipped.items()))
            raise DataError(
                f"{where} holds {len(self.documents)} readable documents"
                f"{f' (passed over: {left})' if left else ''}: "
                f"questions need {LEAST_DOCUMENTS} at least"
            )
        kept = tuple(self.documents[title] for title in sorted(self.documents))
        return Corpus(name, vocabulary, kept, self.skipped, tuple(self.examples))


def _packages(name: str, path: Path | None) -> Corpus:
    reading = _Reading()
    for package, text, fault in control.paragraphs(control.dump(path)):
        if fault:
            reading.skip(package, fault)
        else:
            reading.add(package, text)
    return reading.corpus(name, control.VOCABULARY, path or " ".join(control.COMMAND))


def _folder(name: str, root: Path, without: tuple[str, ...]) -> Corpus:
    reading = _Reading()
    for path, text in _texts(root, reading, without):
        reading.add(path.removesuffix(".gz"), text)
    return reading.corpus(name, papers.VOCABULARY, root)


def _manual() -> Corpus:
    reading = _Reading()
    folder = manual.html_folder()
    if folder is not None:
        for path, text in _texts(folder, reading, ()):
            for title, piece in manual.definitions(path, text):
                if title in reading.documents:  # a method of that name on another page
                    title = f"{path.removesuffix('.html')}: {title}"
                reading.add(title, piece)
        return reading.corpus("python", manual.VOCABULARY, folder)
    for module, place in manual.library():
        try:
            source = Path(place).read_text("utf-8", "replace")
        except OSError:
            reading.skip(module, "unreadable")
            continue
        for title, piece in manual.docstrings(module, source):
            reading.add(title, piece)
    return reading.corpus("python", manual.VOCABULARY, "the standard library")


def _texts(root: Path, reading: _Reading, without: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(path, text) of a folder's files."""
    for path in _links(root):
        reading.skip(path, "link")
    for found in walk(root, root / "\0"):
        try:
            yield found.id, _text(found, without)
        except Unfit as fault:
            reading.skip(found.id, str(fault))


def _text(found: Found, without: tuple[str, ...]) -> str:
    if without and (
        found.name.lower().removesuffix(".gz").endswith(without) or "/_sources/" in found.path
    ):
        raise Unfit("for a browser")
    if found.size > MOST_FILE:
        raise Unfit("too large")
    try:
        return read(found).text
    except (RecursionError, AssertionError) as error:  # html.parser, of a page that is none
        raise Unfit("unreadable") from error


def _links(root: Path) -> Iterator[str]:
    """The links that a walk passes over."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                yield os.path.relpath(path, root).encode("utf-8", "replace").decode()
