"""Logistic heads over embedding, concepts and n-grams; a category has one for each severity.

Head (category, s) answers "at least s?" against a threshold of its own; a text's severity is the
highest that says yes. `python -m speciale.safety.fit` makes data/heads.npz.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speciale.errors import ConfigError
from speciale.safety.features import BUCKETS, DATA, concepts
from speciale.safety.verdict import CATEGORIES

SEVERITIES = (2, 4, 6)
FLAGS = ("jailbreak", "indirect_attack", "profanity")
NAMES = tuple(f"{c}>={s}" for c in CATEGORIES for s in SEVERITIES) + FLAGS
WEIGHTS = DATA / "heads.npz"
LINES, ORDINARY, STEMS = DATA / "lines.jsonl", DATA / "ordinary.txt", DATA / "concepts.json"


@dataclass(frozen=True, slots=True)
class Features:
    """Windows as the heads take them; N of them."""

    embedding: np.ndarray  # float32 [N, 384], rows of length 1
    concepts: np.ndarray  # float32 [N, concepts and their pairs], 0 or 1
    ngrams: list[np.ndarray]  # N times the buckets that occur


@dataclass(frozen=True, slots=True)
class Heads:
    """H = len(NAMES) heads, in that order."""

    embedding: np.ndarray  # [384, H]
    concepts: np.ndarray  # [concepts and their pairs, H]
    ngrams: np.ndarray  # [BUCKETS, H]
    bias: np.ndarray  # [H]
    thresholds: np.ndarray  # [H], logits

    def logits(self, features: Features) -> np.ndarray:
        """-> float32 [N, H], less each head's threshold: at or above 0 is a yes."""
        found = features.embedding @ self.embedding + features.concepts @ self.concepts
        for row, buckets in enumerate(features.ngrams):
            if len(buckets):  # each n-gram row has length 1, as the embedding has
                found[row] += self.ngrams[buckets].sum(0, dtype=np.float32) / len(buckets) ** 0.5
        return found + self.bias - self.thresholds


def fingerprint() -> str:
    """SHA-256 of what the weights are fitted to."""
    digest = hashlib.sha256()
    for path in (LINES, ORDINARY, STEMS):
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def load(path: Path = WEIGHTS) -> Heads:
    """Raises ConfigError where the weights are missing or of another set of heads or stems."""
    again = "make them again with `python -m speciale.safety.fit`"
    if not path.is_file():
        raise ConfigError(f"the content filter's weights {path} are missing: {again}")
    with np.load(path, allow_pickle=False) as file:
        parts = {name: file[name] for name in file.files}
    shapes = {"concepts": concepts().width, "ngrams": BUCKETS}
    fits = all(parts[name].shape == (rows, len(NAMES)) for name, rows in shapes.items())
    if not fits or tuple(parts["names"]) != NAMES:
        raise ConfigError(f"the weights {path} are of other heads or concepts than these: {again}")
    return Heads(
        embedding=parts["embedding"].astype(np.float32),
        concepts=parts["concepts"].astype(np.float32),
        ngrams=parts["ngrams"],  # float16: by far the largest, and few rows are read at a time
        bias=parts["bias"],
        thresholds=parts["thresholds"],
    )
