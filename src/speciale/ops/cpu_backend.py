"""The hot functions of paged inference on a CPU: cpu_kernels.cpp behind checked tensors.

Fused index scores and top-k (V3.2-Exp report, 2.1), absorbed attention over rows of the cache read
in place, few rows times a matrix. float32.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from speciale.ops.cpu_build import library

PAGE = 64  # tokens
_SCORE_FLOATS = 4 << 20  # 16 MB of index scores at a time, one query's at least
_TILE = 64  # tokens of one piece of attention


def _pointer(x: Tensor, dtype: torch.dtype = torch.float32) -> ctypes.c_void_p:
    assert x.dtype == dtype and x.is_contiguous(), f"kernel takes contiguous {dtype}: {x.dtype}"
    return ctypes.c_void_p(x.data_ptr())


def _int(x: Tensor) -> ctypes.c_void_p:
    return _pointer(x, torch.int32)


def _size(n: int) -> ctypes.c_int64:
    return ctypes.c_int64(n)


def index_topk(
    q: Tensor, w: Tensor, index_pages: Tensor, tables: Tensor, rows: Tensor, lengths: Tensor,
    topk: int,
) -> Tensor:  # fmt: skip
    """Slots of the top-k visible keys of each query; see `paged_torch.index_topk`."""
    n, heads, dim = q.shape
    longest = int(lengths.max()) if n else 0
    stride = -(-longest // PAGE) * PAGE
    work_rows = max(1, min(n, _SCORE_FLOATS // max(stride, 1)))
    work = torch.empty(work_rows * stride)
    out = torch.empty(n, topk, dtype=torch.int32)
    library().index_topk(
        _pointer(q), _pointer(w), _pointer(index_pages), _int(tables),
        _int(rows), _int(lengths), _size(n), _size(heads), _size(dim), _size(tables.shape[1]),
        _size(topk), _int(out), _pointer(work), _size(work_rows), _size(stride),
        _size(torch.get_num_threads()),
    )  # fmt: skip
    return out


def sparse_attention(q: Tensor, latents: Tensor, slots: Tensor, scale: float, rank: int) -> Tensor:
    """Absorbed attention over the selected slots; see `paged_torch.sparse_attention`."""
    n, heads, width = q.shape
    splits, work = _split(n, heads, rank, slots.shape[1])
    out = torch.empty(n, heads, rank)
    library().sparse_attention(
        _pointer(q), _pointer(latents), _int(slots), _size(n), _size(heads), _size(width),
        _size(rank), _size(slots.shape[1]), ctypes.c_float(scale), _pointer(out), _pointer(work),
        _size(splits), _size(torch.get_num_threads()),
    )  # fmt: skip
    return out


def dense_attention(
    q: Tensor, latents: Tensor, tables: Tensor, rows: Tensor, lengths: Tensor, scale: float,
    rank: int,
) -> Tensor:  # fmt: skip
    """Absorbed attention over all visible tokens; see `paged_torch.dense_attention`."""
    n, heads, width = q.shape
    splits, work = _split(n, heads, rank, int(lengths.max()) if n else 0)
    out = torch.empty(n, heads, rank)
    library().dense_attention(
        _pointer(q), _pointer(latents), _int(tables), _int(rows), _int(lengths), _size(n),
        _size(heads), _size(width), _size(rank), _size(tables.shape[1]), ctypes.c_float(scale),
        _pointer(out), _pointer(work), _size(splits), _size(torch.get_num_threads()),
    )  # fmt: skip
    return out


def _split(n: int, heads: int, rank: int, most: int) -> tuple[int, Tensor]:
    """Into how many parts each query's tokens are cut, so that few queries fill all cores."""
    wanted = -(-4 * torch.get_num_threads() // max(n, 1)) if torch.get_num_threads() > 1 else 1
    splits = max(1, min(wanted, most // (2 * _TILE))) if n < torch.get_num_threads() * 4 else 1
    library().attention_work.restype = ctypes.c_int64
    floats = library().attention_work(_size(n), _size(heads), _size(rank), _size(splits))
    return splits, torch.empty(floats)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x [N, d] times weight [out, d], transposed -> [N, out]; for few rows."""
    n, dim = x.shape
    y = torch.empty(n, weight.shape[0])
    library().linear(
        _pointer(x), _pointer(weight), _size(n), _size(dim), _size(weight.shape[0]), _pointer(y),
        _size(torch.get_num_threads()),
    )  # fmt: skip
    return y


def expert_mlp(x: Tensor, ids: Tensor, weights: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """As `torch_backend.expert_mlp`, for few rows: only the chosen experts are read, each once."""
    n, d = x.shape
    inner = down.shape[2]
    work = torch.empty(n * ids.shape[1] * (2 * d + 3 * inner))
    y = torch.zeros(n, d)
    library().experts(
        _pointer(x), _pointer(ids, torch.int64), _pointer(weights), _pointer(gate_up),
        _pointer(down), _size(n), _size(ids.shape[1]), _size(d), _size(inner),
        _size(gate_up.shape[0]), _pointer(y), _pointer(work), _size(torch.get_num_threads()),
    )  # fmt: skip
    return y
