"""What the heads see besides the embedding: hashed character n-grams, and concepts by word stem.

N-grams carry spelling in any language. Concepts ("weapon", "wish to die") carry meaning across
languages: a stem in Hindi and one in English set the same bit, so what one teaches the other knows.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import ahocorasick
import numpy as np

DATA = Path(__file__).parent / "data"
BUCKETS = 1 << 14
SIZES = (3, 4, 5)  # characters; words and their endings, and two or three Chinese words

# Letters that stand in for others to slip past a word list: "k1ll", "h@te", Cyrillic "а" in Latin.
_LOOKS_LIKE = str.maketrans("013457@$€", "oieastase")
_CYRILLIC_TWINS = str.maketrans("асеорхуікм", "aceopxyikm")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
_DISGUISED = re.compile(r"(?<!\w)(?=\w*[a-z])[a-z013457@$€]*[a-z][013457@$€]+[a-z][a-z013457@$€]*")
_SPELLED = re.compile(r"(?<!\w)\w(?:[ ._*-]\w){3,}(?!\w)")  # "k i l l", "b.o.m.b"
_MIXED = re.compile(r"[a-z]*[a-z][асеорхуікм][a-zасеорхуікм]*|[асеорхуікм]+[a-z][a-zасеорхуікм]*")
_LONG_RUN = re.compile(r"(\w)\1{3,}")  # "haaaaate"


def normalise(text: str) -> str:
    """Folds case, width and common disguises of letters; spaces become single ones."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()
    text = _MIXED.sub(lambda found: found.group().translate(_CYRILLIC_TWINS), text)
    text = _DISGUISED.sub(lambda found: found.group().translate(_LOOKS_LIKE), text)
    text = _SPELLED.sub(lambda found: re.sub(r"[ ._*-]", "", found.group()), text)
    return " ".join(_LONG_RUN.sub(r"\1\1", text).split())


def ngrams(text: str) -> np.ndarray:
    """Normalised text -> the sorted buckets (int64, below BUCKETS) of its character n-grams."""
    codes = np.frombuffer(f" {text} ".encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashed = []
    for size in SIZES:
        if len(codes) < size:
            break
        value = np.full(len(codes) - size + 1, size, np.uint64)
        for offset in range(size):
            value = value * np.uint64(0x100000001B3) + codes[offset : offset + len(value)]
        value ^= value >> np.uint64(29)  # the low bits alone would see only the last characters
        value *= np.uint64(0xBF58476D1CE4E5B9)
        hashed.append((value >> np.uint64(40)) % np.uint64(BUCKETS))
    return np.unique(np.concatenate(hashed)).astype(np.int64) if hashed else np.zeros(0, np.int64)


class Concepts:
    """Stems to bits. In languages that write spaces a stem matches at a word's beginning."""

    def __init__(self, stems: Mapping[str, Sequence[str]]) -> None:
        self.names = list(stems)
        self._pairs = np.tril_indices(len(self.names), -1)
        found: dict[str, set[tuple[int, bool, bool]]] = {}
        for concept, words in enumerate(stems.values()):
            for word in words:
                key = normalise(word.rstrip("$").replace("_", " "))
                kind = (concept, _spaced(word), word.endswith("$"))
                found.setdefault(key, set()).add(kind)
        self._automaton = ahocorasick.Automaton()
        for key, kinds in found.items():
            self._automaton.add_word(key, (len(key), sorted(kinds)))
        self._automaton.make_automaton()

    @property
    def width(self) -> int:
        return len(self.names) + len(self._pairs[0])

    def features(self, text: str) -> np.ndarray:
        """Normalised text -> float32 [width]: which concepts occur, and which two together."""
        single = np.zeros(len(self.names), bool)
        for last, (length, kinds) in self._automaton.iter(text):
            first = last - length + 1
            begins = first == 0 or not text[first - 1].isalnum()
            ends = last + 1 == len(text) or not text[last + 1].isalnum()
            for concept, at_beginning, at_end in kinds:
                if (begins or not at_beginning) and (ends or not at_end):
                    single[concept] = True
        left, right = self._pairs
        return np.concatenate([single, single[left] & single[right]]).astype(np.float32)


@cache
def concepts() -> Concepts:
    """The shipped ones, data/concepts.json: {concept: {language: "stem stem ..."}}.

    "_" in a stem is a space, a final "$" ends the word.
    """
    table = json.loads((DATA / "concepts.json").read_text(encoding="utf-8"))
    stems = {
        name: [stem for words in languages.values() for stem in words.split()]
        for name, languages in table.items()
    }
    return Concepts(stems)


def _spaced(stem: str) -> bool:
    """Chinese and Japanese write no spaces; Arabic writes its articles onto the word."""
    return not any("\u0600" <= x <= "\u06ff" or "\u3040" <= x <= "\u9fff" for x in stem)
