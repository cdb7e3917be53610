"""A verifiable problem: a question whose answer a program can score, and the split it is in.

DeepSeek-V3.2 (technical report, section 3) trains on tasks with a checkable outcome; here a
problem also keeps the draw it came from, so that its checker can be rebuilt from it alone.
"""

from dataclasses import dataclass
from hashlib import blake2b

from speciale.errors import DataError

SPLITS = ("train", "heldout")


@dataclass(frozen=True)
class Problem:
    """One question with its reference answer.

    `thinking` is short worked steps that end just before the answer ("" where there are
    none); `level` counts from 1, the easiest; `seed` names the draw within family and level.
    """

    family: str
    level: int
    question: str
    answer: str
    thinking: str
    seed: int


def split_of(family: str, question: str) -> str:
    """The split a question is in: "heldout" for about one in ten, else "train".

    It depends on nothing but the family and the text, so that no seed, level or order of
    drawing can carry a held-out question into training.
    """
    digest = blake2b(f"{family}\n{question}".encode(), digest_size=8).digest()
    return "heldout" if int.from_bytes(digest, "big") % 10 == 0 else "train"


def check_split(split: str) -> None:
    """Raises DataError unless `split` is one of SPLITS."""
    if split not in SPLITS:
        raise DataError(f"There is no split {split!r}; choose one of {', '.join(SPLITS)}.")
