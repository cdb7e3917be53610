"""Expert parallel: every rank holds a part of the experts and tokens travel to theirs and back.

Two all-to-alls a layer, as in V3's training (report, 3.2.1): rows sorted by expert go to the ranks
that hold them, run through, and come back to be weighted and summed where they came from.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed._functional_collectives import all_to_all_single_autograd
from torch.distributed.tensor import DTensor

from speciale import ops
from speciale.model.parts import arrived


class AllToAll:
    """The `dispatch` of Experts whose weights are a DTensor over `group`."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = group

    def __call__(
        self, rows: Tensor, ids: Tensor, weights: Tensor, gate_up: Tensor, down: Tensor
    ) -> Tensor:
        """As `ops.expert_mlp`; rows [N, d] and ids [N, K] are this rank's tokens."""
        gate_up, down = _own(gate_up), _own(down)
        ranks, local = self._group.size(), len(gate_up)
        copies = ids.shape[1]
        flat = ids.flatten()
        order = flat.argsort(stable=True)  # [N*K] sorted place -> (row, choice)
        inverse = order.argsort()
        counts = flat.bincount(minlength=ranks * local)  # [E] rows that go to each expert
        arriving = torch.empty_like(counts)  # [ranks * local] rows that come from each rank
        dist.all_to_all_single(arriving, counts, group=self._group)
        there = counts.view(ranks, local).sum(1).tolist()
        here = arriving.view(ranks, local).sum(1).tolist()

        sent = rows[order // copies]  # [N*K, d]
        got = arrived(all_to_all_single_autograd(sent, here, there, self._group))  # [M, d]
        own = torch.arange(local, device=ids.device).repeat(ranks)
        own = own.repeat_interleave(arriving)[:, None]  # [M, 1] expert of each arrived row
        out = ops.expert_mlp(got, own, got.new_ones(own.shape), gate_up, down)
        back = arrived(all_to_all_single_autograd(out, there, here, self._group))  # [N*K, d]
        y = back[inverse].unflatten(0, (-1, copies))  # [N, K, d]
        return (weights.to(y.dtype).unsqueeze(1) @ y).squeeze(1)


def _own(weight: Tensor) -> Tensor:
    return weight.to_local() if isinstance(weight, DTensor) else weight
