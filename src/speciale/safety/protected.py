"""Protected texts and code: hashes of every run of 8 words of a folder, sorted in one array.

A text holds protected material where consecutive runs of it follow one another in one source,
for at least 30 words of text or 40 tokens of code.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from speciale.errors import DataError
from speciale.files import open_atomic
from speciale.safety.normalise import fold, plain

SHINGLE = 8  # words or tokens that one hash stands for
LEAST = {"text": 30, "code": 40}  # consecutive words or tokens that count as a copy
CODE = frozenset(
    {".c", ".cc", ".cpp", ".cs", ".cu", ".go", ".h", ".hpp", ".java", ".js", ".jsx", ".kt", ".php"}
    | {".pl", ".py", ".r", ".rb", ".rs", ".scala", ".sh", ".sql", ".swift", ".ts", ".tsx"}
)
TEXT = frozenset((".txt", ".md", ".rst"))

Kind = Literal["text", "code"]


@dataclass(frozen=True, slots=True)
class ProtectedMatch:
    """text[start:end] is `words` consecutive words (tokens) of `source`."""

    source: str
    kind: Kind
    start: int
    end: int
    words: int


@dataclass(frozen=True)
class ProtectedIndex:
    sources: tuple[str, ...]  # a path within the folder each
    kinds: tuple[Kind, ...]  # of each source
    hashes: np.ndarray  # [N] uint64, sorted
    owners: np.ndarray  # [N] uint32: which source a hash is of

    def find(self, text: str) -> list[ProtectedMatch]:
        """The longest copied run of each source, in the order of the text."""
        found = [match for kind in dict.fromkeys(self.kinds) for match in self._find(text, kind)]
        return sorted(found, key=lambda match: match.start)

    def _find(self, text: str, kind: Kind) -> Iterator[ProtectedMatch]:
        words = _words(text, kind)
        if len(words) < LEAST[kind]:
            return
        hashes = _shingles([word for word, _, _ in words])  # [W - SHINGLE + 1]
        first = np.searchsorted(self.hashes, hashes, "left")
        last = np.searchsorted(self.hashes, hashes, "right")
        runs: dict[int, tuple[int, int]] = {}  # source -> its current run of shingles
        longest: dict[int, tuple[int, int]] = {}
        for i in np.flatnonzero(last > first).tolist():
            for owner in set(self.owners[first[i] : last[i]].tolist()):
                a, b = runs.get(owner, (i, i))
                a = a if b == i else i
                runs[owner] = (a, i + 1)
                if i + 1 - a > np.subtract(*longest.get(owner, (0, 0))[::-1]):
                    longest[owner] = (a, i + 1)
        for owner, (a, b) in longest.items():
            count = b - a + SHINGLE - 1
            if self.kinds[owner] == kind and count >= LEAST[kind]:
                start, end = words[a][1], words[a + count - 1][2]
                yield ProtectedMatch(self.sources[owner], kind, start, end, count)

    def save(self, path: str | Path) -> None:
        """Writes one file, whole or not at all."""
        with open_atomic(path) as file:
            np.savez(
                file,
                sources=np.array(self.sources, dtype=np.str_),
                kinds=np.array(self.kinds, dtype=np.str_),
                hashes=self.hashes,
                owners=self.owners,
            )


def build_index(folder: str | Path) -> ProtectedIndex:
    """The index of all text and code files below `folder`; DataError where there are none."""
    folder = Path(folder)
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in CODE | TEXT and p.is_file())
    if not paths:
        raise DataError(
            f"The folder of protected texts {folder} holds no text or code file: "
            "name one with files such as .txt, .md or .py."
        )
    sources, kinds, hashes, owners = [], [], [], []
    for path in paths:
        kind: Kind = "code" if path.suffix.lower() in CODE else "text"
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise DataError(f"The protected text {path} could not be read ({error}).") from None
        own = np.unique(_shingles([word for word, _, _ in _words(text, kind)]))
        hashes.append(own)
        owners.append(np.full(len(own), len(sources), np.uint32))
        sources.append(path.relative_to(folder).as_posix())
        kinds.append(kind)
    return _index(sources, kinds, hashes, owners)


def load_index(path: str | Path) -> ProtectedIndex:
    """An index that `save` wrote; DataError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return ProtectedIndex(
                tuple(file["sources"].tolist()),
                tuple(file["kinds"].tolist()),
                file["hashes"].astype(np.uint64),
                file["owners"].astype(np.uint32),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"The index of protected texts {path} could not be read ({error}): build it again, "
            "or name the folder itself."
        ) from None


def open_protected(paths: Sequence[Path]) -> ProtectedIndex:
    """One index of several folders and index files."""
    parts = [build_index(path) if path.is_dir() else load_index(path) for path in paths]
    if len(parts) == 1:
        return parts[0]
    sources = [source for part in parts for source in part.sources]
    kinds = [kind for part in parts for kind in part.kinds]
    before = np.cumsum([0, *(len(part.sources) for part in parts)])
    owners = [part.owners + np.uint32(n) for part, n in zip(parts, before)]
    return _index(sources, kinds, [part.hashes for part in parts], owners)


def _index(
    sources: list[str], kinds: list[Kind], hashes: list[np.ndarray], owners: list[np.ndarray]
) -> ProtectedIndex:
    all_hashes, all_owners = np.concatenate(hashes), np.concatenate(owners)
    order = np.argsort(all_hashes, kind="stable")
    return ProtectedIndex(tuple(sources), tuple(kinds), all_hashes[order], all_owners[order])


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_TOKEN = re.compile(r"\w+|[^\w\s]")


def _words(text: str, kind: Kind) -> list[tuple[str, int, int]]:
    """(word, start, end): folded words of text, tokens of code as they stand."""
    if kind == "code":
        return [(match[0], *match.span()) for match in _TOKEN.finditer(text)]
    view = fold(plain(text))
    return [(m[0].replace("’", "'"), *view.source(*m.span())) for m in _WORD.finditer(view.text)]


def _shingles(words: list[str]) -> np.ndarray:
    """The hashes of all runs of SHINGLE words -> [max(0, len(words) - SHINGLE + 1)] uint64."""
    blake2b = hashlib.blake2b
    data = b"".join(
        blake2b(
            "\n".join(words[i : i + SHINGLE]).encode("utf-8", "replace"), digest_size=8
        ).digest()
        for i in range(len(words) - SHINGLE + 1)
    )
    return np.frombuffer(data, np.uint64)
