"""A decoder layer over the few rows of a decoding step in one call: cpu/layer.h behind checked
tensors (V3 report, 2.1; V3.2-Exp report, 2.1). float32.

At batch 1 a small model's step is spent between operations, not in them: one call a layer takes a
fraction of the time of its hundred (benchmarks/engine_kernels.py).
"""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import NamedTuple

import torch
from torch import Tensor

from speciale.ops.cpu_backend import pointer, threads
from speciale.ops.cpu_build import library

_SIZES = [
    "hidden", "heads", "nope", "rope", "value", "rank", "q_rank", "index_heads", "index_dim",
    "topk", "experts", "groups", "kept_groups", "chosen", "inner", "shared_inner", "normalise",
]  # fmt: skip
_SCALES = ["eps", "scale", "routed_scale"]
_WEIGHTS = [
    "input_norm", "q_a", "q_norm", "q_b", "kv_a", "kv_norm", "kv_b", "o", "index_q", "index_k",
    "index_k_norm", "index_k_bias", "index_w", "post_norm", "router", "router_bias", "gate_up",
    "down", "shared_gate", "shared_up", "shared_down",
]  # fmt: skip


class _Shape(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int64) for n in _SIZES] + [(n, ctypes.c_double) for n in _SCALES]


class _Weights(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in _WEIGHTS]


class _Rows(ctypes.Structure):
    _fields_ = [("n", ctypes.c_int64), ("most_pages", ctypes.c_int64)] + [
        (name, ctypes.c_void_p) for name in ("cos", "sin", "slots", "tables", "rows", "lengths")
    ]


class LayerRows(NamedTuple):
    """The tokens of a step, n of them."""

    cos: Tensor  # [n, Dr / 2]
    sin: Tensor  # [n, Dr / 2]
    slots: Tensor  # [n] int64: where their own entries go
    tables: Tensor  # [requests, most pages] int32: page numbers by position
    rows: Tensor  # [n] int32: the request of each
    lengths: Tensor  # [n] int32: what each sees of it, itself included


class CpuLayer:
    """One layer's sizes and weights; the memory of the weights is kept, and read at each call."""

    def __init__(self, sizes: dict[str, int | float], weights: dict[str, Tensor | None]) -> None:
        """Names as in cpu/layer.h; router, its bias, gate_up and down are None in a dense layer."""
        assert sizes.keys() == {*_SIZES, *_SCALES} and weights.keys() == set(_WEIGHTS)
        self._kept = {n: None if w is None else w.detach() for n, w in weights.items()}
        self._shape = _Shape(**sizes)
        self._weights = _Weights(
            **{name: None if w is None else pointer(w) for name, w in self._kept.items()}
        )

    def run(
        self, h: Tensor, latents: Tensor, index: Tensor, rows: LayerRows
    ) -> tuple[Tensor, Tensor | None]:
        """h [n, hidden] -> [n, hidden] and the expert ids [n, K]; writes the rows' own entries.

        latents [slots, R + Dr] and index [pages, Di, 64] are the layer's part of the cache.
        """
        h = h.clone()
        ids = torch.empty(len(h), self._shape.chosen, dtype=torch.int64)
        places = _Rows(
            len(h), rows.tables.shape[1], pointer(rows.cos), pointer(rows.sin),
            pointer(rows.slots, torch.int64), pointer(rows.tables, torch.int32),
            pointer(rows.rows, torch.int32), pointer(rows.lengths, torch.int32),
        )  # fmt: skip
        library().decoder_layer(
            byref(self._shape), byref(self._weights), byref(places), pointer(latents),
            pointer(index), pointer(h), pointer(ids, torch.int64), threads(),
        )  # fmt: skip
        return h, None if self._kept["router"] is None else ids
