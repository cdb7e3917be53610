"""Packing for training: the samples of a group as one tree, several trees in one row.

Samples of a group share their prompt, turns of an agent their tools; each shared token is computed
once. (Prefix sharing in training: no part of the report; a tree mask over packed sequences.)
"""

from __future__ import annotations

from collections.abc import Sequence as List
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from speciale.model.context import Tree
from speciale.rl.sequences import Sequence

ROW = 320  # tokens; a step of 128 short samples took 0.7 times as long as in rows of 1,024


@dataclass
class Forest:
    """One row of S tokens and the n tokens to learn, of N sequences with at most T each.

    The log-prob of `targets[i]` is read behind `places[i]` and stands at [rows[i], columns[i]] of
    the objective's [N, T].
    """

    ids: Tensor  # [1, S]
    tree: Tree
    replay: list[Tensor] | None  # per MoE layer [1, S, K] expert ids; None where not all are known
    places: Tensor  # [n]
    targets: Tensor  # [n]
    rows: Tensor  # [n]
    columns: Tensor  # [n]
    old_logp: Tensor  # [N, T]
    mask: Tensor  # [N, T] bool
    kept: list[np.ndarray | None]  # n of them
    members: list[int]  # the caller's numbers of the N sequences

    @property
    def size(self) -> int:
        return self.ids.shape[1]


@dataclass(eq=False)
class _Branch:
    """A run of tokens, and what goes on behind it."""

    ids: list[int]
    start: int  # position of the first
    routing: np.ndarray | None  # [ids, layers, K]
    parent: _Branch | None = None
    children: dict[int, _Branch] = field(default_factory=dict)  # by first token
    place: int = 0  # in the row
    number: int = 0


def plant(groups: List[List[tuple[int, Sequence]]], row_tokens: int) -> list[Forest]:
    """(number, sequence) of each group -> rows of at most `row_tokens`, but for a single sequence
    that is longer; a group goes on in the next row where it does not fit. A row of ROW tokens takes
    no further group: they share nothing, and attention's cost grows with the square of the row."""
    forests: list[Forest] = []
    roots: list[_Branch] = []
    members: list[tuple[int, Sequence]] = []
    used = 0
    for group in groups:
        root = None
        if used >= ROW:
            forests.append(_row(roots, members))
            roots, members, used = [], [], 0
        for number, sequence in group:
            inputs = sequence.ids[:-1]
            new = len(inputs) - (0 if root is None else _common(root, inputs))
            if used and used + new > row_tokens:
                forests.append(_row(roots, members))
                roots, members, used, root = [], [], 0, None
                new = len(inputs)
            if root is None:
                root = _Branch([], 0, None)
                roots.append(root)
            _insert(root, inputs, sequence.routing)
            members.append((number, sequence))
            used += new
    if members:
        forests.append(_row(roots, members))
    return forests


def _common(root: _Branch, ids: list[int]) -> int:
    """How many of `ids` the tree has from its root on."""
    branch, found = root, 0
    while found < len(ids) and ids[found] in branch.children:
        branch = branch.children[ids[found]]
        same = _same(branch.ids, ids, found)
        found += same
        if same < len(branch.ids):
            break
    return found


def _same(run: list[int], ids: list[int], start: int) -> int:
    count = 0
    for mine, theirs in zip(run, ids[start : start + len(run)]):
        if mine != theirs:
            break
        count += 1
    return count


def _insert(root: _Branch, ids: list[int], routing: np.ndarray | None) -> None:
    branch, at = root, 0
    while at < len(ids):
        child = branch.children.get(ids[at])
        if child is None:
            rest = None if routing is None else routing[at:]
            branch.children[ids[at]] = _Branch(ids[at:], at, rest, branch)
            return
        same = _same(child.ids, ids, at)
        if same < len(child.ids):
            _split(child, same)
        branch, at = child, at + same


def _split(branch: _Branch, length: int) -> None:
    """Cuts a branch behind `length` tokens; what followed hangs on the second half."""
    rest = None if branch.routing is None else branch.routing[length:]
    second = _Branch(branch.ids[length:], branch.start + length, rest, branch, branch.children)
    for child in second.children.values():
        child.parent = second
    branch.ids = branch.ids[:length]
    branch.routing = None if branch.routing is None else branch.routing[:length]
    branch.children = {second.ids[0]: second}


def _row(roots: list[_Branch], members: list[tuple[int, Sequence]]) -> Forest:
    branches: list[_Branch] = []
    place = 0
    for root in roots:
        stack = list(root.children.values())
        while stack:  # depth first: whoever is above stands before
            branch = stack.pop()
            branch.number, branch.place = len(branches), place
            branches.append(branch)
            place += len(branch.ids)
            stack += branch.children.values()
    count = len(branches)
    above = torch.eye(count, dtype=torch.bool)  # [N, N]
    for branch in branches:  # its parent's row is complete by now
        if branch.parent is not None and branch.parent.ids:
            above[branch.number] |= above[branch.parent.number]
    sizes = torch.tensor([len(branch.ids) for branch in branches])
    positions = [np.arange(b.start, b.start + len(b.ids)) for b in branches]
    routing = [branch.routing for branch in branches]
    replay = None
    if all(part is not None for part in routing) and routing[0].shape[1]:
        whole = torch.from_numpy(np.concatenate(routing).astype(np.int64))  # [S, layers, K]
        replay = [layer[None] for layer in whole.unbind(1)]
    return Forest(
        ids=torch.tensor([[token for branch in branches for token in branch.ids]]),
        tree=Tree(
            torch.arange(count).repeat_interleave(sizes)[None],
            above[None],
            torch.from_numpy(np.concatenate(positions))[None],
        ),
        replay=replay,
        **_targets(roots, members),
    )


def _targets(roots: list[_Branch], members: list[tuple[int, Sequence]]) -> dict:
    """Where each sampled token is predicted, and where it stands in the objective's table."""
    width = max(sequence.learnt for _, sequence in members)
    old_logp = torch.zeros(len(members), width)
    mask = torch.zeros(len(members), width, dtype=torch.bool)
    places, targets, rows, columns, kept = [], [], [], [], []
    for row, (_, sequence) in enumerate(members):
        path = _path(roots, sequence.ids[:-1])
        learnt = [at for at, sampled in enumerate(sequence.sampled) if sampled]
        assert not learnt or learnt[0] > 0, "nothing predicts the first token"
        mask[row, : len(learnt)] = True
        old_logp[row, : len(learnt)] = torch.tensor([sequence.logprobs[at] for at in learnt])
        for column, at in enumerate(learnt):
            places.append(path[at - 1])
            targets.append(sequence.ids[at])
            kept.append(sequence.kept[at])
            rows.append(row)
            columns.append(column)
    return {
        "places": torch.tensor(places),
        "targets": torch.tensor(targets),
        "rows": torch.tensor(rows),
        "columns": torch.tensor(columns),
        "old_logp": old_logp,
        "mask": mask,
        "kept": kept,
        "members": [number for number, _ in members],
    }


def _path(roots: list[_Branch], ids: list[int]) -> list[int]:
    """The place in the row of each of `ids`, in whichever tree holds them."""
    for root in roots:
        if _common(root, ids) == len(ids):
            break
    branch, path = root, []
    while len(path) < len(ids):
        branch = branch.children[ids[len(path)]]
        path += range(branch.place, branch.place + len(branch.ids))
    return path[: len(ids)]
