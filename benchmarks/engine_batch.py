"""A batch of 32 decodes several times as fast as one; a cached prefix saves nearly all reading.

The 65M model through the engine. Batches: contexts of 1,024 tokens, batch sizes in turn within each
round. Prefix: time to the first token behind 8,192 + 16 tokens, new and with the 8,192 cached.
Medians.

    python benchmarks/engine_batch.py
"""

import random
import statistics

from _results import write
from speciale.engine.bench import bench_core, bench_model, decode_steps, plant, prefill_seconds

SIZES, CONTEXT, PREFIX, ROUNDS = (1, 2, 4, 8, 16, 32), 1024, 8192, 9


def batches(model) -> list[dict]:
    core = bench_core(model, CONTEXT, max(SIZES), speculate=False)
    prompts = [plant(core, CONTEXT, seed) for seed in range(max(SIZES))]
    times: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(ROUNDS):
        for size in SIZES:
            times[size] += list(decode_steps(core, prompts[:size], 6))[1:]
    one = statistics.median(times[1])
    rows = []
    for size in SIZES:
        step = statistics.median(times[size])
        rows.append(
            {
                "what": f"decode, batch {size}",
                "ms": step * 1e3,
                "tokens/s": size / step,
                "times batch 1": size * one / step,
            }
        )
    return rows


def prefix(model) -> dict:
    draw = random.Random(0)

    def ids(count):
        return [draw.randrange(model.config.vocab_size) for _ in range(count)]

    new, hit = [], []
    for _ in range(ROUNDS):
        core = bench_core(model, PREFIX + 64, 2, speculate=False)
        prefill_seconds(core, ids(600))  # the way of attention is chosen here
        stem = ids(PREFIX)
        new.append(prefill_seconds(core, stem + ids(16)))
        hit.append(prefill_seconds(core, stem + ids(16)))
    first, second = statistics.median(new), statistics.median(hit)
    return {
        "what": f"first token, {PREFIX} of {PREFIX + 16} cached",
        "ms": second * 1e3,
        "uncached ms": first * 1e3,
        "times faster": first / second,
    }


if __name__ == "__main__":
    model = bench_model("65m")
    write("engine_batch", [*batches(model), prefix(model)])
