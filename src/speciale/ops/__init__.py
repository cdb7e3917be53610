"""The few hot functions, one file per backend behind one signature each.

`torch_backend` runs everywhere and is the reference; another backend offers the same names and
is chosen here by device.
"""

from speciale.ops.torch_backend import (
    expert_mlp,
    full_attention,
    gathered_attention,
    index_scores,
    select_topk,
)

__all__ = ["expert_mlp", "full_attention", "gathered_attention", "index_scores", "select_topk"]
