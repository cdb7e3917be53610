"""A prompt of 128,000 tokens runs within the memory that the formula states.

Two layers of the 65M shape. The formula: weights + pages x page bytes + the work of a step, which
is 4 bytes x (4 Mi scores + threads x context to sort) + 64 KB a row of the step, + 128 bytes a
token of the request (its ids as Python numbers, its place in the prefix tree) + 8 MB (libraries at
their first use). Measured: the largest resident memory of the process, less what it held before
the engine was made.

    python benchmarks/engine_long.py [--tokens 128000]     # about 2 minutes
"""

import argparse
import random
import time

import torch

from _results import write
from speciale.engine.bench import SHAPES
from speciale.engine.llm import LLM
from speciale.engine.params import SamplingParams
from speciale.engine.store import page_bytes
from speciale.model import ModelConfig, Transformer
from speciale.ops import PAGE, linear
from speciale.train.machine import peak_memory_mb

LAYERS = dict(num_hidden_layers=2, num_nextn_predict_layers=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=128_000)
    tokens = parser.parse_args().tokens
    draw = random.Random(0)
    prompt = [draw.randrange(SHAPES["65m"]["vocab_size"]) for _ in range(tokens)]
    torch.set_grad_enabled(False)
    for rows in (1, 512):  # kernels and BLAS are loaded and have their threads
        linear(torch.randn(rows, 512), torch.randn(512, 512))
    before = peak_memory_mb()
    model = Transformer(ModelConfig(**{**SHAPES["65m"], **LAYERS}))
    model.initialise(0)
    pages = -(-(tokens + 8) // PAGE) + 1
    llm = LLM(model, cache_bytes=pages * page_bytes(model.config, False))
    start = time.perf_counter()
    [output] = llm.generate([prompt], SamplingParams(temperature=0, max_tokens=8, ignore_eos=True))
    seconds = time.perf_counter() - start
    measured = peak_memory_mb() - before
    weights = sum(p.nbytes for p in model.parameters())
    rows = llm.core.options.max_batch_tokens
    work = 4 * ((4 << 20) + torch.get_num_threads() * tokens) + (64 << 10) * rows
    work += 128 * tokens + (8 << 20)
    stated = (weights + llm.core.store.bytes + work) / 1e6
    assert len(output.ids) == 8
    write(
        "engine_long",
        [
            {
                "prompt tokens": tokens,
                "seconds": seconds,
                "tokens/s": tokens / seconds,
                "weights MB": weights / 1e6,
                "pages MB": llm.core.store.bytes / 1e6,
                "work MB": work / 1e6,
                "stated MB": stated,
                "measured MB": measured,
            }
        ],
    )
    assert measured <= stated, f"{measured:.0f} MB were used, {stated:.0f} MB stated"
