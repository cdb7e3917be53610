"""Gate 7: is a task new to the store? Near-duplicates by text and by structure.

MinHash of the prompt's word 3-shingles in bands finds candidates among the tasks whose solution has
the same form; the exact Jaccard similarity decides (V3.2 report, 3.2.3: diverse tasks).
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from speciale.synth.gates.gate import Gate
from speciale.tasks.synthesised.family import Family

NEAR = 0.8  # of 1: the similarity from which on two tasks of one structure are near-duplicates
# Two prompts that are 0.8 alike share no band in 1 of 300,000 cases: (1 - 0.8**4)**24.
BANDS, ROWS = 24, 4
_BYTES = b"".join(hashlib.sha256(b"minhash %d" % n).digest()[:8] for n in range(BANDS * ROWS))
_SEEDS = np.frombuffer(_BYTES, ">u8").astype(np.uint64)  # the same with any version of numpy
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Print:
    """What is compared. `twin`: of the data and the prompt, whatever the solution is; `structure`:
    of the solution; `bands`: numbers of 63 bits, of which near-duplicates share one."""

    prompt: str
    twin: str
    structure: str
    bands: tuple[int, ...]


@dataclass(frozen=True)
class Other:
    """A task in the store that shares a band or is a twin."""

    name: str  # family/number
    prompt: str
    twin: str


def print_of(family: Family, number: str) -> Print:
    """The print of a task; any bytes have one, also where the solution is no Python."""
    task = family.tasks[number]
    words = _words(task.about.prompt)
    data = hashlib.sha256()
    for path in sorted(family.files):
        if path == "making.json":  # what it cost makes no other world
            continue
        data.update(f"{len(path)} {path} {len(family.files[path])} ".encode())
        data.update(family.files[path])
    data.update(" ".join(words).encode(errors="replace"))
    structure = structure_of(task.files.get("solution.py", b""))
    prompt = task.about.prompt
    return Print(prompt, data.hexdigest(), structure, _bands(structure, shingles(prompt)))


def is_new(new: Print, others: Iterable[Other]) -> Gate:
    """Gate 7 about a task, with the nearest of the `others` in its evidence."""
    mine = shingles(new.prompt)
    nearest, similarity, compared = None, 0.0, 0
    for other in sorted(others, key=lambda other: other.name):
        compared += 1
        if other.twin == new.twin:
            evidence = {"nearest": other.name, "jaccard": 1.0, "same_data": True}
            return Gate(7, False, evidence, f"It has the data and the prompt of {other.name}.")
        if (value := jaccard(mine, shingles(other.prompt))) > similarity:
            nearest, similarity = other.name, value
    evidence = {"nearest": nearest, "jaccard": round(similarity, 4), "compared": compared}
    if similarity < NEAR:
        return Gate(7, True, evidence)
    reason = (
        f"Its prompt shares {similarity:.2f} of its runs of words with that of {nearest}, where "
        f"{NEAR} is the limit, and the solutions have one structure."
    )
    return Gate(7, False, evidence, reason)


def shingles(prompt: str) -> frozenset[str]:
    """The runs of three words, in one case; numbers are words. A shorter text is one run."""
    words = _words(prompt)
    runs = zip(words, words[1:], words[2:]) if len(words) >= 3 else [words]
    return frozenset(" ".join(run) for run in runs)


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """What they share, as a part of all there is in both."""
    return len(one & other) / len(one | other)


def structure_of(source: bytes) -> str:
    """A hash of a program's syntax tree without names, constants and docstrings. What is no Python
    counts by its words, without numbers and texts in quotes."""
    try:
        shape = "".join(_shape(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        text = source.decode(errors="replace")
        shape = "\n".join(re.findall(r"[^\W\d]+", re.sub(r"'[^'\n]*'|\"[^\"\n]*\"", "", text)))
    return hashlib.sha256(shape.encode()).hexdigest()[:24]


def _shape(node: ast.AST) -> Iterable[str]:
    """The kinds of the nodes, as a tree in brackets."""
    yield type(node).__name__ + "("
    docstring = None
    holders = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if isinstance(node, holders) and ast.get_docstring(node, clean=False) is not None:
        docstring = node.body[0]
    for child in ast.iter_child_nodes(node):
        if child is not docstring and not isinstance(child, ast.expr_context):
            yield from _shape(child)
    yield ")"


def _words(text: str) -> Sequence[str]:
    return _WORD.findall(text.casefold())


def _bands(structure: str, runs: frozenset[str]) -> tuple[int, ...]:
    """Numbers that depend on the structure too: tasks of another one are no candidates."""
    digests = (hashlib.blake2b(run.encode(errors="replace"), digest_size=8) for run in runs)
    values = np.array([int.from_bytes(digest.digest(), "big") for digest in digests], np.uint64)
    least = _mixed(values[None, :] ^ _SEEDS[:, None]).min(axis=1).reshape(BANDS, ROWS)
    found = []
    for index, band in enumerate(least):
        text = f"{structure} {index} ".encode() + band.astype(">u8").tobytes()
        digest = hashlib.blake2b(text, digest_size=8).digest()
        found.append(int.from_bytes(digest, "big") >> 1)  # databases' integers have a sign
    return tuple(found)


def _mixed(values: np.ndarray) -> np.ndarray:
    """Each of 64 bits depends on all (the finisher of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
