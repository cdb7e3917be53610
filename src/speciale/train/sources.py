"""Training text that is already on the machine, as documents in an order that never varies.
Sources: the Python standard library, /usr/share/doc, your own folder, .jsonl or .parquet file."""

import gzip
import hashlib
import json
import os
import sysconfig
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from speciale.errors import DataError

# Tests, other people's packages, and folders that are tables rather than text: `encodings` is
# character maps, `lib2to3` a grammar and fixers that Python 3.13 dropped.
_SKIPPED_STDLIB = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "lib2to3",
    "encodings",
    "pydoc_data",
    "__pycache__",
}
_SYSTEM_DOCS = Path("/usr/share/doc")
# Text, but nothing to read. Change logs alone would be half of the folder.
_UNREAD_DOCS = ("changelog", "changes", "news")
_UNREAD_DOC_SUFFIXES = {".ps", ".log", ".json", ".svg", ".css"}
_BUILT_IN = ("stdlib", "usr-share-doc")

_SNIFFED_BYTES = 8192
# A file in an old encoding such as Latin-1 has a few undecodable bytes; compressed data has many.
_MOST_UNDECODABLE = 0.1


@dataclass(frozen=True)
class Document:
    """One text: `source` as the caller gave it, `name` unique within it (a path or file:line)."""

    source: str
    name: str
    text: str


def documents(sources: list[str]) -> Iterator[Document]:
    """Yield the non-blank documents of `sources`, these in the given order, files in sorted order.

    A source is "stdlib" (its .py files and pydoc's topics; differs between Python versions),
    "usr-share-doc" (its prose, each text once; empty where the folder is absent), or a path: a
    folder (its text files, recursively, without hidden ones), a .jsonl file (a "text" field in
    each line), a .parquet file (a "text" column), or one text file. Text files may be packed as
    .gz; bytes that are no UTF-8 become U+FFFD. Raises DataError for a missing path, a malformed
    line or column, and where the sources hold no text at all.
    """
    for source in sources:
        if source not in _BUILT_IN and not os.access(source, os.R_OK):
            raise DataError(
                f"The text source {source!r} does not exist or may not be read: give a folder, "
                "a .jsonl or .parquet file, 'stdlib' or 'usr-share-doc'."
            )
    empty = True
    for source in sources:
        for name, text in _read_source(source):
            if text.strip():
                empty = False
                yield Document(source, name, text)
    if empty:
        raise DataError(
            f"There is no text in the sources {sources}: add one that holds text files, or name "
            "the .jsonl or .parquet files themselves ('stdlib' needs no download)."
        )


def _read_source(source: str) -> Iterator[tuple[str, str]]:
    path = Path(source)
    if source == "stdlib":
        yield from _stdlib()
    elif source == "usr-share-doc":
        yield from _system_docs()
    elif path.is_dir():
        yield from _folder(path)
    elif path.suffix == ".jsonl":
        yield from _jsonl(path)
    elif path.suffix == ".parquet":
        yield from _parquet(path)
    elif (text := _file_text(path)) is not None:
        yield _encodable(path.name), text
    else:
        raise DataError(
            f"The text source {source!r} is a binary file: give a text, .jsonl or .parquet file."
        )


def _stdlib() -> Iterator[tuple[str, str]]:
    root = Path(sysconfig.get_path("stdlib"))
    yield from _folder(root, lambda path: path.suffix == ".py", _SKIPPED_STDLIB)
    # Half a megabyte of English about the language, kept by `help()` as strings in a module.
    from pydoc_data.topics import topics

    for topic in sorted(topics):
        yield f"pydoc_data/topics/{topic}", topics[topic]


def _system_docs() -> Iterator[tuple[str, str]]:
    seen = set()  # the packages of one project repeat its licence and its manual
    for name, text in _folder(_SYSTEM_DOCS, _is_prose):
        digest = hashlib.sha256(text.encode()).digest()
        if digest not in seen:
            seen.add(digest)
            yield name, text


def _is_prose(path: Path) -> bool:
    inner = path.with_suffix("") if path.suffix == ".gz" else path
    named_to_skip = inner.name.lower().startswith(_UNREAD_DOCS)
    return not named_to_skip and inner.suffix not in _UNREAD_DOC_SUFFIXES


def _folder(
    root: Path,
    wanted: Callable[[Path], bool] = lambda path: True,
    skipped_folders: Collection[str] = (),
) -> Iterator[tuple[str, str]]:
    """The texts below `root`, sorted by path; links are left out, as they would repeat it."""
    paths = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [f for f in subfolders if f not in skipped_folders and f[0] != "."]
        files = (Path(folder, name) for name in names if name[0] != ".")
        paths += [p for p in files if p.is_file() and not p.is_symlink() and wanted(p)]
    for path in sorted(paths, key=lambda path: path.relative_to(root).parts):
        if (text := _file_text(path)) is not None:
            yield _encodable(path.relative_to(root).as_posix()), text


def _file_text(path: Path) -> str | None:
    """The text of a file, unpacked where it ends in .gz; None where it is binary."""
    try:
        with open(path, "rb") if path.suffix != ".gz" else gzip.open(path) as file:
            data = file.read(_SNIFFED_BYTES)
            if b"\0" in data:
                return None
            data += file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error):  # BadGzipFile is an OSError: it goes first
        return None
    except OSError as error:
        raise DataError(
            f"The text file {path} cannot be read ({error.strerror}): "
            "make it readable or take it out of the sources."
        ) from error
    text = data.decode("utf-8-sig", errors="replace")
    if b"\0" in data or text.count("\ufffd") > _MOST_UNDECODABLE * len(text):
        return None
    return text


def _jsonl(path: Path) -> Iterator[tuple[str, str]]:
    with open(path, "rb") as lines:  # bytes split at \n only; text would split at U+2028 too
        for number, line in enumerate(lines, start=1):
            line = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"Line {number} of {path} is no JSON ({error}): mend or remove that line."
                ) from error
            if not isinstance(record, dict) or not isinstance(record.get("text"), str):
                raise DataError(
                    f'Line {number} of {path} has no string under "text": '
                    'every line must be an object such as {"text": "..."}.'
                )
            yield f"{_encodable(path.name)}:{number}", _encodable(record["text"])


def _parquet(path: Path) -> Iterator[tuple[str, str]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"Reading {path} needs pyarrow: install it with pip install 'speciale[parquet]'."
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            if "text" not in table.schema_arrow.names:
                raise DataError(
                    f'The parquet file {path} has no column "text" but '
                    f"{table.schema_arrow.names}: rename the column that holds the text."
                )
            row = 0
            for batch in table.iter_batches(batch_size=1024, columns=["text"]):
                # As bytes, since pyarrow would raise on a cell that is no UTF-8.
                for cell in batch.column("text").cast(pyarrow.large_binary()).to_pylist():
                    row += 1
                    if cell is None:
                        raise DataError(
                            f'Row {row} of {path} has no "text": remove the rows without text.'
                        )
                    yield f"{_encodable(path.name)}:{row}", cell.decode("utf-8", errors="replace")
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"The parquet file {path} cannot be read as one column of strings ({error}): "
            "write it again or convert it to .jsonl."
        ) from error


def _encodable(text: str) -> str:
    """`text` with "?" for lone surrogates, which JSON escapes and odd file names can carry."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
