"""The reference policy of gate 8: a repairer that knows where the bug is, and errs about the edit.

At each hunk of the gold patch it takes, with a probability that makes the whole patch come out in
half of the attempts, the right lines; or else another edit near by. Its pass rate says that the
task can be solved by edits through the tools and that edits near by do not pass; it is no estimate
of what a model will do (docs/synthesis.md says so, too).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from speciale.synth.code.mutations import Edit, python_edits
from speciale.synth.code.mutations_javascript import javascript_edits
from speciale.tasks.synthesised.repository.patch import Hunk, apply_patch
from speciale.tasks.synthesised.repository.task import Repair
from speciale.tasks.synthesised.repository.tree import Tree

ATTEMPTS = 16
NEAR = 12  # lines around a hunk
OTHERS = 3  # edits there that it may take instead
POLICY = (
    "repairer that is told the places: at each of n hunks the right lines with probability "
    f"0.5^(1/n), else another edit within {NEAR} lines"
)
Choice = tuple[int, ...]  # for each hunk: 0 for the right lines, else which other edit


def choices(repair: Repair, random: Random) -> list[Choice]:
    """What each attempt does at each hunk."""
    right = 0.5 ** (1 / len(repair.gold))
    others = OTHERS if len(repair.gold) == 1 else 1  # each combination is a run of the tests
    return [
        tuple(0 if random.random() < right else random.randint(1, others) for _ in repair.gold)
        for _ in range(ATTEMPTS)
    ]


def attempted(repair: Repair, choice: Choice, random: Callable[[int], Random]) -> Tree:
    """The tree that an attempt leaves. `random`: for the number of a hunk, what orders the other
    edits."""
    right = [hunk for hunk, taken in zip(repair.gold, choice) if not taken]
    tree = apply_patch(repair.start, right) if right else dict(repair.start)
    for number, (hunk, taken) in enumerate(zip(repair.gold, choice)):
        if taken and hunk.path in tree:
            edits = near(tree[hunk.path], hunk)
            random(number).shuffle(edits)
            if len(edits) >= taken:
                tree[hunk.path] = edits[taken - 1].apply(tree[hunk.path])
    return tree


def near(data: bytes, hunk: Hunk) -> list[Edit]:
    """The edits that the operators could make close to a hunk."""
    find = python_edits if hunk.path.endswith(".py") else javascript_edits
    middle = hunk.line + len(hunk.old) // 2
    return [edit for edit in find(hunk.path, data) if abs(edit.line - middle) <= NEAR]
