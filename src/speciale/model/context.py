"""Which keys a query may see, and what a forward pass hands back besides its output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tree:
    """Sequences that begin alike, laid into rows so that what they share stands there once.

    A row holds branches, each behind the one that it continues; a token sees its own branch and
    those on the way to the root. Its position is that in its sequence, not in the row.
    """

    branches: Tensor  # [B, S] the branch of each token
    above: Tensor  # [B, N, N] bool: [b, i, j] where branch j is i or on the way from i to the root
    positions: Tensor  # [B, S]


class Chunk(Protocol):
    """A rank's share of sequences that several ranks hold together (context parallel)."""

    ranks: int  # that hold the sequence, equal parts each
    first: int  # where its tokens begin in the sequence
    total: int  # tokens of the whole sequence

    def gather(self, own: Tensor) -> Tensor:
        """What each rank has of its tokens [B, T, D] -> that of the whole sequence [B, S, D]."""
        ...


class Visibility:
    """Causal visibility of `queries` tokens that end a context of `total` keys.

    chunk: the queries are this share of `total` instead.

    documents: [B, S] ids; a query sees only keys of its own document (V3 report, 5.1: samples
    packed into one sequence of supervised training are mutually invisible).
    window: see only the last `window` tokens.
    tree: what a query sees of a row of branches.
    """

    def __init__(
        self,
        queries: int,
        total: int,
        device: torch.device,
        documents: Tensor | None = None,
        window: int | None = None,
        tree: Tree | None = None,
        chunk: Chunk | None = None,
    ) -> None:
        self.queries, self.total, self.device = queries, total, device
        self.chunk = chunk
        self.offset = total - queries if chunk is None else chunk.first
        self.documents, self.window, self.tree = documents, window, tree

    @property
    def plain_causal(self) -> bool:
        """True where nothing but `s <= t` over a whole sequence is asked."""
        limits = (self.documents, self.window, self.tree)
        return self.queries == self.total and all(limit is None for limit in limits)

    def rows(self, start: int, stop: int) -> Tensor:
        """Mask of the queries start..stop-1: [1 or B, stop - start, S], True where visible."""
        offset = self.offset
        t = torch.arange(start + offset, stop + offset, device=self.device)[:, None]
        s = torch.arange(self.total, device=self.device)[None, :]
        mask = s <= t
        if self.window is not None:
            mask = mask & (t - s < self.window)
        mask = mask[None]
        if self.documents is not None:
            docs = self.documents
            mask = mask & (docs[:, start + offset : stop + offset, None] == docs[:, None, :])
        if self.tree is not None:
            branches = self.tree.branches  # [B, S]
            rows = torch.arange(len(branches), device=self.device)[:, None, None]
            own = branches[:, start + offset : stop + offset, None]
            mask = mask & self.tree.above[rows, own, branches[:, None, :]]
        return mask

    @cached_property
    def all(self) -> Tensor:
        return self.rows(0, self.queries)


@dataclass
class AttentionRecord:
    """What the indexer's KL loss needs of one layer; main tensors detached, index ones not."""

    q: Tensor  # [B, H, T, Dqk]
    k: Tensor  # [B, H, T, Dqk]
    scale: float
    index_q: Tensor  # [B, T, Hi, Di]
    index_k: Tensor  # [B, T, Di]
    index_w: Tensor  # [B, T, Hi]
    visible: Visibility
    selected: Tensor | None  # [B, T, S] bool; None: all that is visible


Measure = Callable[[AttentionRecord], Any]


class Seen(NamedTuple):
    """What a block hands back beside its output.

    A part of its result, and not left somewhere: FSDP and recomputation know of what a block takes
    and returns alone.
    """

    selected: Tensor | None = None  # [B, T, k] ids, -1: none
    measured: Any = None  # what was asked of its attention
    routing: Tensor | None = None  # expert ids, [B, T, K]


class Trace:  # no dataclass: FSDP copies those that hold tensors with a gradient
    """Collects, layer by layer, what training and analysis want to see of a forward pass.

    measure: makes something, such as the indexer's loss, of each layer's attention.
    """

    def __init__(self, measure: Measure | None = None) -> None:
        self.measure = measure
        self.routing: list[Tensor] = []  # of MoE layers
        self.measured: list[Any] = []
        self.selected: list[Tensor | None] = []

    def add(self, seen: Seen) -> None:
        """Notes what a layer handed back."""
        self.selected.append(seen.selected)
        if self.measure is not None:
            self.measured.append(seen.measured)
        if seen.routing is not None:
            self.routing.append(seen.routing)
