"""Decoding on a GPU: a query's cost against its context, sparse (index, top-k, gather) and dense.

One layer's Triton kernels at the released dimensions (V3.2 report, 2.1: 128 heads over latents of
512 + 64, 64 index heads of 128, 2,048 selected), bfloat16, a query a request. Needs a GPU:
without one it does nothing. `--small` tries the script itself in Triton's interpreter.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from _results import Row, write
from speciale.ops import paged_torch

PAGE = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="tiny sizes, nothing is written")
    small = parser.parse_args().small
    if not torch.cuda.is_available() and not small:
        print("triton_gpu: there is no GPU here; nothing was measured")
        return
    contexts = [128, 256] if small else [4096, 16384, 65536, 131072]
    rows: list[Row] = []
    for batch in (1, 2) if small else (1, 16, 64):
        for context in contexts:
            rows.append(measure(batch, context, small))
            print(rows[-1], flush=True)
    if not small:
        write("triton_gpu", rows)


def measure(batch: int, context: int, small: bool) -> Row:
    from speciale.ops import triton_backend as ops

    device = "cuda" if torch.cuda.is_available() else "cpu"
    heads, rank, rope, index_heads, index_dim, topk = 128, 512, 64, 64, 128, 2048
    dtype = torch.bfloat16
    if small:
        heads, rank, rope, index_heads, index_dim, topk, dtype = 4, 16, 16, 4, 16, 64, torch.float32
    torch.manual_seed(0)
    pages = -(-context // PAGE)
    tables = torch.randperm(batch * pages).view(batch, pages).int().to(device)
    rows = torch.arange(batch, device=device, dtype=torch.int32)
    lengths = torch.full((batch,), context, device=device, dtype=torch.int32)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device, dtype=dtype)

    q, latents = random(batch, heads, rank + rope), random(batch * pages * PAGE, rank + rope)
    iq, w = random(batch, index_heads, index_dim), random(batch, index_heads)
    keys = random(batch * pages, index_dim, PAGE)
    scale = (rank + rope) ** -0.5
    slots = ops.index_topk(iq, w, keys, tables, rows, lengths, topk, context)

    def sparse() -> None:
        chosen = ops.index_topk(iq, w, keys, tables, rows, lengths, topk, context)
        ops.sparse_attention(q, latents, chosen, scale, rank)

    def dense() -> torch.Tensor:
        return ops.dense_attention(q, latents, tables, rows, lengths, scale, rank)

    times = {
        "index + top-k (µs)": timed(
            lambda: ops.index_topk(iq, w, keys, tables, rows, lengths, topk, context), small
        ),
        "gather attention (µs)": timed(
            lambda: ops.sparse_attention(q, latents, slots, scale, rank), small
        ),
        "sparse (µs)": timed(sparse, small),
        "dense (µs)": timed(dense, small),
    }
    reference = paged_torch.dense_attention(
        q.float(), latents.float(), tables, rows, lengths, scale, rank
    )
    off = (dense().float() - reference).abs().max() / reference.abs().max()
    return {
        "GPU": torch.cuda.get_device_name() if device == "cuda" else "interpreter",
        "batch": batch,
        "context": context,
        **times,
        "dense / sparse": times["dense (µs)"] / times["sparse (µs)"],
        "dense reads (GB/s)": latents.numel() * latents.element_size() / times["dense (µs)"] / 1e3,
        "largest error of dense, relative": float(off),
    }


def timed(work, small: bool) -> float:
    """Microseconds: the median of runs that each wait for the GPU."""
    if small or not torch.cuda.is_available():
        begun = time.perf_counter()
        work()
        return (time.perf_counter() - begun) * 1e6
    from triton.testing import do_bench

    return statistics.median(do_bench(work, warmup=50, rep=200, return_mode="all")) * 1e3


if __name__ == "__main__":
    main()
