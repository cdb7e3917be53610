"""The index kernel runs at the machine's limits; a step's rows times a matrix beat BLAS; a layer in
one call beats its parts.

Each round measures the matmul peak (2048^3), the read bandwidth (the sum of 256 MB) and the
kernels. An index kernel's bound is the larger of its flops at that peak and its bytes at that
bandwidth; top-k is part of what is timed. One request's pages lie in order while the pool is new
and scattered later; what a round does before leaves no key in a cache. The layer is one of the 65M
shape behind 1,024 tokens, by itself (cpu/layer.h) and from the model's modules. Medians.

    python benchmarks/engine_kernels.py
"""

import statistics
import time

import torch
import torch.nn.functional as F

from _results import write
from speciale.engine.attention import Span, StepRows
from speciale.engine.bench import bench_model
from speciale.engine.layers import Layers
from speciale.engine.store import Store, page_bytes
from speciale.ops import PAGE, cpu_backend

ROUNDS = 9


def timed(function, repeat: int = 1) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        function()
    return (time.perf_counter() - start) / repeat


def medians(functions: dict) -> dict[str, float]:
    rounds = [{name: timed(f) for name, f in functions.items()} for _ in range(ROUNDS + 1)][1:]
    return {name: statistics.median(r[name] for r in rounds) for name in functions}


def limits() -> dict:
    a, b, big = torch.randn(2048, 2048), torch.randn(2048, 2048), torch.randn(64 << 20)
    return {"peak": lambda: a @ b, "read": lambda: big.sum()}


def index_row(
    name: str, heads: int, dim: int, topk: int, context: int, queries: int, order: str
) -> dict:
    pages = context // PAGE
    table = torch.arange(pages) if order == "in order" else torch.randperm(pages)
    given = (
        torch.randn(queries, heads, dim), torch.randn(queries, heads),
        torch.randn(pages, dim, PAGE), table.int()[None],
        torch.zeros(queries, dtype=torch.int32),
        torch.full((queries,), context, dtype=torch.int32), topk,
    )  # fmt: skip
    found = medians({**limits(), "kernel": lambda: cpu_backend.index_topk(*given)})
    flops = 2 * heads * dim * context * queries / (2 * 2048**3 / found["peak"])
    reads = given[2].nbytes / ((256 << 20) / found["read"])
    return {
        "kernel": f"index + top-k, {name}, pages {order}",
        "rows": queries,
        "context": context,
        "ms": found["kernel"] * 1e3,
        "flops bound ms": flops * 1e3,
        "bytes bound ms": reads * 1e3,
        "times the bound": found["kernel"] / max(flops, reads),
    }


def linear_row(rows: int) -> dict:
    weights = [torch.randn(2048, 512) for _ in range(24)]  # 100 MB: not all in a cache
    x = torch.randn(rows, 512)
    found = medians(
        {
            "own": lambda: [cpu_backend.linear(x, w) for w in weights],
            "blas": lambda: [F.linear(x, w) for w in weights],
        }
    )
    return {
        "kernel": "linear 512 -> 2048, 24 matrices",
        "rows": rows,
        "ms": found["own"] * 1e3,
        "BLAS ms": found["blas"] * 1e3,
        "BLAS / ours": found["blas"] / found["own"],
    }


def layer_row(rows: int, context: int = 1024) -> dict:
    """`rows` requests behind `context` tokens each, or one that reads 512 tokens at its end."""
    model = bench_model("65m")
    requests = rows if rows < 128 else 1
    pages = requests * context // PAGE
    store = Store(model.config, pages * page_bytes(model.config, False), mtp=False)
    store.latents(1).normal_()
    store.index(1).normal_()
    tables = torch.randperm(pages).int().view(requests, -1)
    size = rows // requests
    spans = [Span(i * size, (i + 1) * size, context - size, i, False) for i in range(requests)]
    step = StepRows(spans, tables, model.config.index_topk)
    rope, h = model.rope(step.positions), torch.randn(rows, model.config.hidden_size)
    whole, parts = (Layers(model, model.config.index_topk) for _ in range(2))
    parts._fused = None
    found = medians(
        {
            "whole": lambda: whole.run(1, h, rope, store, step),
            "parts": lambda: parts.run(1, h, rope, store, step),
        }
    )
    return {
        "kernel": "layer of the 65M shape",
        "rows": rows,
        "context": context,
        "ms": found["whole"] * 1e3,
        "parts ms": found["parts"] * 1e3,
        "parts / whole": found["parts"] / found["whole"],
    }


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    rows = [
        index_row(name, heads, dim, topk, context, queries, order)
        for name, heads, dim, topk in (
            ("65M: 8 x 64", 8, 64, 256), ("released: 64 x 128", 64, 128, 2048)
        )
        for context, queries, order in (
            (16384, 1, "in order"), (16384, 1, "scattered"), (131072, 1, "in order"),
            (131072, 1, "scattered"), (16384, 64, "scattered"),
        )
    ]  # fmt: skip
    rows += [linear_row(n) for n in (1, 2, 4, 8, 16, 32, 64, 128, 512)]
    write("engine_kernels", rows + [layer_row(n) for n in (1, 8, 32, 512)])
