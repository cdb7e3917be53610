"""Sparse attention keeps a token's cost nearly flat; dense attention's grows with its position.

Ours against ours: the same kernels with nothing to select are the dense form (absorbed, one pass,
split over the cores). (1) One layer's attention at the released dimensions, without the projections
that both share: index, top-k and attention to 2,048 tokens against attention to all; a decode step,
and a piece of 2,048 tokens of prefill that ends at the context (dense timed on every 32nd token,
also in its MHA form on 8 of 128 heads, and scaled). (2) The 65M model whole, through the engine.
Medians of alternating rounds. Draws results/engine_sparse.png, after Figure 3 of the V3.2-Exp
report.

    python benchmarks/engine_sparse.py     # about 6 minutes
"""

import statistics
import time

import torch
import torch.nn.functional as F

from _results import RESULTS, write
from speciale import ops
from speciale.engine.bench import bench_model, token_costs
from speciale.model import ModelConfig
from speciale.ops import PAGE

CONTEXTS = (1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
RELEASED = ModelConfig()
ROUNDS = 5


def timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def paired(rounds: int, *functions) -> list[float]:
    """Median seconds of each, in turns; one round is left out."""
    times = [[timed(f) for f in functions] for _ in range(rounds + 1)][1:]
    return [statistics.median(column) for column in zip(*times)]


class Layer:
    """One layer's attention inputs at the released dimensions, `rows` queries up to `context`."""

    def __init__(self, context: int, rows: int) -> None:
        c, pages = RELEASED, context // PAGE
        self.rank, self.width = c.kv_lora_rank, c.kv_lora_rank + c.qk_rope_head_dim
        self.latents = torch.randn(context, self.width)
        self.index = torch.randn(pages, c.index_head_dim, PAGE)
        self.tables = torch.randperm(pages).int()[None]
        self.rows = torch.zeros(rows, dtype=torch.int32)
        self.lengths = torch.arange(context - rows + 1, context + 1).int()
        self.q = torch.randn(rows, c.num_attention_heads, self.width)
        self.index_q = torch.randn(rows, c.index_n_heads, c.index_head_dim)
        self.index_w = torch.randn(rows, c.index_n_heads)
        self.kernels = ops.paged(self.q, self.rank)

    def sparse(self) -> None:
        slots = self.kernels.index_topk(
            self.index_q, self.index_w, self.index, self.tables, self.rows, self.lengths,
            RELEASED.index_topk,
        )  # fmt: skip
        self.kernels.sparse_attention(self.q, self.latents, slots, 0.05, self.rank)

    def dense(self, every: int = 1) -> None:
        self.kernels.dense_attention(
            self.q[::every].contiguous(), self.latents, self.tables,
            self.rows[::every].contiguous(), self.lengths[::every].contiguous(), 0.05, self.rank,
        )  # fmt: skip

    def mha(self, heads: int = 8) -> None:
        """Keys and values of `heads` heads expanded from the latents, then plain attention."""
        c = RELEASED
        w = torch.randn(heads * (c.qk_nope_head_dim + c.v_head_dim), c.kv_lora_rank)
        kv = (self.latents[:, : self.rank] @ w.T).unflatten(-1, (heads, -1)).transpose(0, 1)
        rope = self.latents[None, :, self.rank :].expand(heads, -1, -1)
        k = torch.cat((kv[..., : c.qk_nope_head_dim], rope), -1)
        q = self.q[:, :heads, : k.shape[-1]].transpose(0, 1)
        mask = torch.arange(len(self.latents)) < self.lengths[:, None]
        F.scaled_dot_product_attention(q, k, kv[..., c.qk_nope_head_dim :], mask)


def layer_rows() -> list[dict]:
    rows = []
    for context in CONTEXTS:
        layer = Layer(context, 1)
        s, d = paired(ROUNDS, layer.sparse, layer.dense)
        rows.append(row("released layer, decode", context, s, d))
    layer = Layer(CONTEXTS[-1], 2048)
    s, d, m = paired(1, layer.sparse, lambda: layer.dense(every=32), layer.mha)
    last = CONTEXTS[-1]
    rows.append(row("released layer, prefill of 2,048 (dense absorbed)", last, s, d * 32))
    heads = RELEASED.num_attention_heads / 8
    rows.append(row("released layer, prefill of 2,048 (dense MHA)", last, s, m * heads))
    return rows


def model_rows() -> list[dict]:
    costs = token_costs(bench_model("65m"), CONTEXTS)
    return [row("65M model, decode", position, sparse, dense) for position, sparse, dense in costs]


def row(what: str, context: int, sparse: float, dense: float) -> dict:
    return {
        "what": what,
        "context": context,
        "sparse ms": sparse * 1e3,
        "dense ms": dense * 1e3,
        "dense / sparse": dense / sparse,
    }


def draw(rows: list[dict]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, what in zip(axes, ("released layer, decode", "65M model, decode")):
        mine = [r for r in rows if r["what"] == what]
        for kind, colour in (("dense", "tab:gray"), ("sparse", "tab:blue")):
            places = [r["context"] / 1024 for r in mine]
            axis.plot(places, [r[f"{kind} ms"] for r in mine], "o-", label=kind, color=colour)
        axis.set(title=what, xlabel="position of the token (K)", ylabel="ms", ylim=0)
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(RESULTS / "engine_sparse.png", dpi=110)


if __name__ == "__main__":
    with torch.inference_mode():
        rows = layer_rows() + model_rows()
    write("engine_sparse", rows)
    draw(rows)
