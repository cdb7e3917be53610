"""The few hot functions, one file per backend behind one signature each, chosen here by device.

Training: `torch_backend`, with gradients. Inference over a cache of pages: `cpu_backend` (C++),
`triton_backend` (GPU), `paged_torch` (the reference, and wherever the others cannot run).
"""

from __future__ import annotations

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from speciale.ops import cpu_backend, paged_torch, torch_backend
from speciale.ops.cpu_build import library
from speciale.ops.torch_backend import (
    full_attention,
    gathered_attention,
    index_scores,
    select_topk,
)

__all__ = [
    "FEW_ROWS",
    "PAGE",
    "expert_mlp",
    "full_attention",
    "gathered_attention",
    "index_scores",
    "kernels_serve",
    "linear",
    "paged",
    "select_topk",
]

PAGE = paged_torch.PAGE
# Up to so many rows the kernels, which read each weight once, beat the BLAS that PyTorch brings;
# measured in benchmarks/engine_kernels.py.
FEW_ROWS = 512


def paged(x: Tensor, rank: int) -> ModuleType:
    """The backend of `index_topk`, `sparse_attention` and `dense_attention` for tensors like x."""
    if x.is_cuda:
        from speciale.ops import triton_backend

        return triton_backend
    return cpu_backend if kernels_serve(x, rank) else paged_torch


def kernels_serve(x: Tensor, rank: int) -> bool:
    """Whether the CPU kernels take tensors like x and latents of this rank."""
    return _kernels(x) and rank % 16 == 0


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x [..., d] times weight [out, d], transposed -> [..., out]."""
    rows = x.numel() // x.shape[-1]
    if rows > FEW_ROWS or torch.is_grad_enabled() or not _kernels(x):
        return F.linear(x, weight)
    y = cpu_backend.linear(x.reshape(rows, -1).contiguous(), weight.contiguous())
    return y.view(*x.shape[:-1], -1)


def expert_mlp(x: Tensor, ids: Tensor, weights: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """SwiGLU of each row's experts, weighted and summed; shapes in `torch_backend.expert_mlp`."""
    if not torch.is_grad_enabled() and x.is_cuda and x.dtype == torch.bfloat16:
        return torch_backend.grouped_expert_mlp(x, ids, weights, gate_up, down)
    if torch.is_grad_enabled() or not _kernels(x) or len(x) * ids.shape[1] > 64 * len(gate_up):
        return torch_backend.expert_mlp(x, ids, weights, gate_up, down)
    return cpu_backend.expert_mlp(
        x.contiguous(), ids.long().contiguous(), weights.contiguous(), gate_up, down
    )


def _kernels(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and library() is not None
