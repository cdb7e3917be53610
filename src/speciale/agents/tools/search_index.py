"""BM25 over the pages of a folder's documents: a tantivy index in the cache, kept up to date.

Robertson et al., Okapi at TREC-3; tantivy is Lucene's design in Rust. Words count as they stand and
as their English stems; one field holds title, path and text, which ranks known items as well as
weighted fields did and far better than a sum over fields (benchmarks/search_index.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from speciale.agents.tools.documents import Document, Unfit, pages, read, walk
from speciale.agents.tools.search_query import analyzers, parsed, snippet, spaced
from speciale.errors import SpecialeError
from speciale.files import explained

log = logging.getLogger(__name__)

FORMAT = 1  # of the index; one of another format is another index
FRESH_S, REST = 5.0, 20.0  # a folder is looked through no oftener, nor for 1/20 of the time
WRITER_BYTES = 48 << 20  # for each thread
COMMIT_CHARACTERS = 256 << 20  # after which what was read is kept, whatever comes
MOST_PAGES = 2000  # that a search looks at
KINDS = ("document", "binary", "too large", "unreadable")
T = TypeVar("T")


@dataclass(frozen=True)
class Hit:
    id: str
    title: str
    page: int  # from 1
    pages: int
    snippet: str
    also: tuple[str, ...]  # other documents with the very same text on a page, or three of them
    same: int  # how many they are


class SearchIndex:
    """Of one folder. Threads may share it, and processes its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.documents = 0
        self.left_out: Counter[str] = Counter()  # files that are no documents, by their kind
        key = hashlib.sha256(f"{FORMAT} {folder}".encode("utf-8", "surrogateescape")).hexdigest()
        self._place = cache_folder() / key[:32]
        self._lock = threading.Lock()
        self._index: Any = None
        self._spoilt = False  # its files are not what they should be
        self._looked_at, self._took_s = float("-inf"), 0.0

    def refresh(self, stop: threading.Event) -> None:
        """Takes in what changed in the folder, if it was not looked at just now. `stop` ends it
        early; what was read by then is kept. OSError where the folder cannot be read, SpecialeError
        where the index cannot be written."""
        # Where there is an index, a search need not wait for another's look at the folder.
        if not self._lock.acquire(blocking=self._looked_at == float("-inf")):
            return
        try:
            begun = time.monotonic()
            if begun - self._looked_at < max(FRESH_S, REST * self._took_s):
                return
            os.scandir(self.folder).close()  # one that is gone for now does not empty the index
            with self._alone(stop):
                if not stop.is_set():
                    self._mended(lambda: self._update(stop))
            if not stop.is_set():
                self._looked_at = time.monotonic()
                self._took_s = self._looked_at - begun
        finally:
            self._lock.release()

    def search(self, query: str, top: int) -> list[Hit]:
        """The best `top` documents, each by its best page."""
        return self._unbroken(lambda: self._search(query, top))

    def page(self, id: str, number: int) -> tuple[str, str, int] | None:
        """Title, text and the number of pages of the document; None where there is no such page."""
        return self._unbroken(lambda: self._page(id, number))

    def _search(self, query: str, top: int) -> list[Hit]:
        wanted = parsed(query, self._index.schema)
        if wanted is None:
            return []
        searcher, limit = self._index.searcher(), 5 * top
        while True:
            places = [place for _, place in searcher.search(wanted, limit, count=False).hits]
            seen: set[int] = set()
            groups: dict[int, list[Any]] = {}  # the best page of each document, by its text
            marks = (searcher.fast_field_values(field, places) for field in ("key", "same"))
            for place, key, same in zip(places, *marks):
                if key not in seen:
                    groups.setdefault(same, []).append(place)
                seen.add(key)
            if len(groups) >= top or len(places) < limit or limit > MOST_PAGES:
                break
            limit *= 5  # many pages of few documents, or one text in many places
        words, hits = analyzers()["words"].analyze(query), []
        for place, *others in list(groups.values())[:top]:
            page = searcher.doc(place)
            title, text = (page.get_first(field).decode() for field in ("title", "text"))
            hits.append(
                Hit(
                    page.get_first("id"),
                    title,
                    page.get_first("page"),
                    page.get_first("pages"),
                    snippet(text, words),
                    tuple(searcher.doc(other).get_first("id") for other in others[:3]),
                    len(others),
                )
            )
        return hits

    def _page(self, id: str, number: int) -> tuple[str, str, int] | None:
        from tantivy import Occur, Query

        terms = {"id": id, "page": number}
        both = [(Occur.Must, Query.term_query(self._index.schema, *term)) for term in terms.items()]
        searcher = self._index.searcher()
        hits = searcher.search(Query.boolean_query(both), 1, count=False).hits
        if not hits:
            return None
        page = searcher.doc(hits[0][1])
        title, text = (page.get_first(field).decode() for field in ("title", "text"))
        return title, text, page.get_first("pages")

    def _update(self, stop: threading.Event) -> None:
        """Writes what the folder has and the index has not, and the other way round."""
        if self._index is None:
            self._index = open_index(self._place)
        known, writer, fresh = self._known(), None, 0
        seen: dict[int, int] = {}
        for found in walk(self.folder, cache_folder()):
            if stop.is_set():
                break
            key, stamp = _hash(found.path), _hash(found.stamp)
            if known.get(key, (None, 0))[0] == stamp:
                seen[key] = known[key][1]
                continue
            writer = writer or self._writer()
            if key in known:
                self._forget(writer, key)
            try:
                document = read(found)
            except Unfit as unfit:
                kind, document = KINDS.index(str(unfit)), Document("", "")
            else:
                kind = KINDS.index("document")
            self._add(writer, found.id, key, stamp, kind, document)
            seen[key], fresh = kind, fresh + len(document.text)
            if fresh > COMMIT_CHARACTERS:
                writer.commit()
                fresh = 0
        if not stop.is_set():
            for key in known.keys() - seen.keys():
                writer = writer or self._writer()
                self._forget(writer, key)
        if writer is not None:
            writer.commit()
            writer.wait_merging_threads()
            self._index.reload()
        if stop.is_set():
            return
        kinds = Counter(KINDS[kind] for kind in seen.values())
        self.documents = kinds.pop("document", 0)
        self.left_out = kinds

    def _known(self) -> dict[int, tuple[int, int]]:
        """Stamp and kind of every file in the index, by the hash of its id."""
        from tantivy import Query

        self._index.reload()
        searcher = self._index.searcher()
        if not searcher.num_docs:
            return {}
        first = Query.term_query(self._index.schema, "first", 1)
        hits = searcher.search(first, searcher.num_docs, count=False).hits
        places = [address for _, address in hits]
        keys, stamps, kinds = (
            searcher.fast_field_values(field, places) for field in ("key", "stamp", "kind")
        )
        return {key: (stamp, kind) for key, stamp, kind in zip(keys, stamps, kinds)}

    def _add(
        self, writer: Any, id: str, key: int, stamp: int, kind: int, document: Document
    ) -> None:
        import tantivy

        cut = pages(document.text)
        for number, text in enumerate(cut, 1):
            about = {"key": key, "stamp": stamp, "kind": kind, "first": int(number == 1)}
            if KINDS[kind] == "document":
                # Twice, so that a short text does not outweigh its name.
                words = spaced(f"{document.title}\n{id}\n" * 2 + text)
                about |= {"id": id, "page": number, "pages": len(cut)}
                about |= {"title": document.title.encode(), "text": text.encode()}
                about |= {"same": _hash(text), "words": words, "stems": words}
            writer.add_document(tantivy.Document.from_dict(about, self._index.schema))

    def _writer(self) -> Any:
        threads = min(4, os.cpu_count() or 1)
        return self._index.writer(heap_size=threads * WRITER_BYTES, num_threads=threads)

    def _forget(self, writer: Any, key: int) -> None:
        from tantivy import Query

        writer.delete_documents_by_query(Query.term_query(self._index.schema, "key", key))

    def _unbroken(self, work: Callable[[], T]) -> T:
        """A cache may be cleared, and a disk fail, at any time: then the index is made again."""
        try:
            return work()
        except BaseException as error:
            if not _broken(error):
                raise
        with self._lock:
            self._spoilt, self._looked_at = True, float("-inf")
        self.refresh(threading.Event())
        return work()

    def _mended(self, update: Callable[[], None]) -> None:
        for last in (False, True):
            if self._spoilt:
                log.warning("the index of %s is made again", self.folder)
                self._index, self._spoilt = None, False
                shutil.rmtree(self._place, ignore_errors=True)
            try:
                return update()
            except BaseException as error:
                if not _broken(error):
                    raise
                self._spoilt = True
                if last:
                    raise SpecialeError(
                        f"the index of {self.folder} cannot be written to {self._place} ({error}): "
                        "free some space, or set XDG_CACHE_HOME to another folder"
                    ) from error

    @contextmanager
    def _alone(self, stop: threading.Event) -> Iterator[None]:
        """No other process writes this index; the system lets go of the lock with its holder."""
        with explained(self._place):
            cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(f"{self._place}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not stop.is_set():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    stop.wait(0.1)
            yield
        finally:
            os.close(lock)


def index_of(folder: Path) -> SearchIndex:
    """The one of this process."""
    with _indexes_lock:
        return _indexes.setdefault(folder, SearchIndex(folder))


_indexes: WeakValueDictionary[Path, SearchIndex] = WeakValueDictionary()
_indexes_lock = threading.Lock()


def cache_folder() -> Path:
    """As the XDG base directory specification says, which wants an absolute path."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base / "speciale" / "search"


def open_index(place: Path) -> Any:
    """The index in a folder, made where there is none."""
    import tantivy

    schema = tantivy.SchemaBuilder()
    for name in ("key", "first", "page"):
        schema.add_unsigned_field(name, indexed=True, fast=True, stored=name == "page")
    for name in ("stamp", "kind", "same"):
        schema.add_unsigned_field(name, fast=True)
    schema.add_unsigned_field("pages", stored=True)
    schema.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("title", "text"):  # bytes, since texts are always indexed
        schema.add_bytes_field(name, stored=True)
    for name in ("words", "stems"):
        option = "position" if name == "words" else "freq"  # phrases are of words alone
        schema.add_text_field(name, tokenizer_name=name, index_option=option)
    place.mkdir(mode=0o700, exist_ok=True)
    index = tantivy.Index(schema.build(), path=str(place), reuse=True)
    for name, analyzer in analyzers().items():
        index.register_tokenizer(name, analyzer)
    return index


def _hash(text: str) -> int:
    data = text.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def _broken(error: BaseException) -> bool:
    """Whether tantivy says that its files are not what they should be, or are not there."""
    return isinstance(error, ValueError | OSError) or type(error).__name__ == "PanicException"
