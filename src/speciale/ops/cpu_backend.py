"""The hot functions of paged inference on a CPU: the C++ of `cpu/` behind checked tensors.

Fused index scores and top-k (V3.2-Exp report, 2.1), absorbed attention over rows of the cache read
in place, few rows times a matrix. float32.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from speciale.ops.cpu_build import library

PAGE = 64  # tokens


def pointer(x: Tensor, dtype: torch.dtype = torch.float32) -> ctypes.c_void_p:
    assert x.dtype == dtype and x.is_contiguous(), f"kernel takes contiguous {dtype}: {x.dtype}"
    return ctypes.c_void_p(x.data_ptr())


def _int(x: Tensor) -> ctypes.c_void_p:
    return pointer(x, torch.int32)


def _size(n: int) -> ctypes.c_int64:
    return ctypes.c_int64(n)


def threads() -> ctypes.c_int64:
    return _size(torch.get_num_threads())


def index_topk(
    q: Tensor, w: Tensor, index_pages: Tensor, tables: Tensor, rows: Tensor, lengths: Tensor,
    topk: int, max_length: int | None = None,
) -> Tensor:  # fmt: skip
    """Slots of the top-k visible keys of each query; see `paged_torch.index_topk`."""
    n, heads, dim = q.shape
    out = torch.empty(n, topk, dtype=torch.int32)
    library().index_topk(
        pointer(q), pointer(w), pointer(index_pages), _int(tables), _int(rows), _int(lengths),
        _size(n), _size(heads), _size(dim), _size(tables.shape[1]), _size(topk), _int(out),
        threads(),
    )  # fmt: skip
    return out


def sparse_attention(q: Tensor, latents: Tensor, slots: Tensor, scale: float, rank: int) -> Tensor:
    """Absorbed attention over the selected slots; see `paged_torch.sparse_attention`."""
    n, heads, width = q.shape
    out = torch.empty(n, heads, rank)
    library().sparse_attention(
        pointer(q), pointer(latents), _int(slots), _size(n), _size(heads), _size(width),
        _size(rank), _size(slots.shape[1]), ctypes.c_float(scale), pointer(out), threads(),
    )  # fmt: skip
    return out


def dense_attention(
    q: Tensor, latents: Tensor, tables: Tensor, rows: Tensor, lengths: Tensor, scale: float,
    rank: int,
) -> Tensor:  # fmt: skip
    """Absorbed attention over all visible tokens; see `paged_torch.dense_attention`."""
    n, heads, width = q.shape
    out = torch.empty(n, heads, rank)
    library().dense_attention(
        pointer(q), pointer(latents), _int(tables), _int(rows), _int(lengths), _size(n),
        _size(heads), _size(width), _size(rank), _size(tables.shape[1]), ctypes.c_float(scale),
        pointer(out), threads(),
    )  # fmt: skip
    return out


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x [N, d] times weight [out, d], transposed -> [N, out]; for few rows."""
    n, dim = x.shape
    y = torch.empty(n, weight.shape[0])
    library().few_rows_linear(
        pointer(x), pointer(weight), _size(n), _size(dim), _size(weight.shape[0]), pointer(y),
        threads(),
    )  # fmt: skip
    return y


def expert_mlp(x: Tensor, ids: Tensor, weights: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """As `torch_backend.expert_mlp`, for few rows: only the chosen experts are read, each once."""
    n, d = x.shape
    y = torch.zeros(n, d)
    library().routed_experts(
        pointer(x), pointer(ids, torch.int64), pointer(weights), pointer(gate_up), pointer(down),
        _size(n), _size(ids.shape[1]), _size(d), _size(down.shape[2]), _size(gate_up.shape[0]),
        pointer(y), threads(),
    )  # fmt: skip
    return y
