"""The index kernel runs at the machine's limits; few rows times a matrix beat BLAS.

Each round measures the matmul peak (2048^3), the read bandwidth (the sum of 256 MB) and the kernels.
An index kernel's bound is the larger of its flops at that peak and its bytes at that bandwidth;
top-k is part of what is timed. Medians over rounds.

    python benchmarks/engine_kernels.py
"""

import statistics
import time

import torch
import torch.nn.functional as F

from _results import write
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


def index_row(name: str, heads: int, dim: int, topk: int, context: int, queries: int) -> dict:
    pages = context // PAGE
    given = (
        torch.randn(queries, heads, dim), torch.randn(queries, heads),
        torch.randn(pages, dim, PAGE), torch.randperm(pages).int()[None],
        torch.zeros(queries, dtype=torch.int32),
        torch.full((queries,), context, dtype=torch.int32), topk,
    )  # fmt: skip
    found = medians({**limits(), "kernel": lambda: cpu_backend.index_topk(*given)})
    flops = 2 * heads * dim * context * queries / (2 * 2048**3 / found["peak"])
    reads = given[2].nbytes / ((256 << 20) / found["read"])
    return {
        "kernel": f"index + top-k, {name}",
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


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    rows = [
        index_row(name, heads, dim, topk, context, queries)
        for name, heads, dim, topk in (("65M: 8 x 64", 8, 64, 256), ("released: 64 x 128", 64, 128, 2048))
        for context, queries in ((16384, 1), (131072, 1), (16384, 64))
    ]  # fmt: skip
    write("engine_kernels", rows + [linear_row(n) for n in (1, 2, 4, 8, 16, 32, 64, 128)])
