"""Context parallel: each rank holds a chunk of every sequence and its queries see all keys.

What is gathered is small, since MLA keeps one latent and one index key a token for all heads
(R + Dr and Di numbers); the top-k is then exact. Chunks are consecutive: behind the first k tokens
sparse attention costs every token the same, only the index scores grow with the position.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor
from torch.distributed._functional_collectives import all_gather_single_autograd

from speciale.model.parts import arrived


@dataclass(frozen=True)
class SequenceChunk:
    """A `Chunk` of model/context.py."""

    ranks: int
    first: int
    total: int
    group: dist.ProcessGroup

    @classmethod
    def of(cls, total: int, group: dist.ProcessGroup) -> SequenceChunk:
        """This rank's of `total` tokens."""
        ranks = group.size()
        return cls(ranks, group.rank() * (total // ranks), total, group)

    def gather(self, own: Tensor) -> Tensor:
        """[B, T, D] of each rank -> [B, S, D]; backward adds up what the ranks ask for."""
        return arrived(all_gather_single_autograd(own.contiguous(), gather_dim=1, group=self.group))
