"""Drafting with the MTP layer changes no token; where it is faster, it is used.

A finished run answers held-out problems at batch 1 and 8, greedy and sampled, with drafts always,
never, and as measured, in turn. The ids must be equal; acceptance and the ratio of times are shown.
Then the 65M model with random weights, whose drafts are never right: what a step with drafts costs
says from which acceptance on they pay there.

    python benchmarks/engine_speculation.py [--run runs/laptop]
"""

import argparse
import statistics
import time
from itertools import islice
from pathlib import Path

from _results import write
from speciale.chat import encode_ids
from speciale.engine.bench import bench_core, bench_model, decode_steps, plant
from speciale.engine.llm import LLM
from speciale.engine.params import SamplingParams
from speciale.tasks import problems
from speciale.train.run import Run

ROUNDS, QUESTIONS = 5, 32


def answers(llm: LLM, prompts: list[list[int]], batch: int, params: SamplingParams):
    start, ids = time.perf_counter(), []
    for first in range(0, len(prompts), batch):
        ids += [out.ids for out in llm.generate(prompts[first : first + batch], params, False)]
    return time.perf_counter() - start, ids


def break_even(batch: int) -> dict:
    model = bench_model("65m")
    cores = [bench_core(model, 1024, batch, speculate=mode) for mode in (False, True)]
    prompts = [[plant(core, 1024, seed) for seed in range(batch)] for core in cores]
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for core, mine, seconds in zip(cores, prompts, times):
            seconds += list(decode_steps(core, mine, 10))[2:]
    plain, drafting = map(statistics.median, times)
    return {
        "model": "65M, random",
        "batch": batch,
        "plain ms": plain * 1e3,
        "with drafts ms": drafting * 1e3,
        "pays from acceptance": drafting / plain - 1,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", default="runs/laptop")
    folder = parser.parse_args().run
    run = Run.open(Path(folder))
    engines = {mode: LLM(folder, speculate=mode) for mode in (False, True, None)}
    held_out = islice(problems(run.recipe.data.families, run.recipe.seed, "heldout"), QUESTIONS)
    tokenizer = engines[None].tokenizer
    prompts = [
        encode_ids(tokenizer, [{"role": "user", "content": p.question}], "thinking")
        for p in held_out
    ]
    rows = []
    for batch in (1, 8):
        for temperature in (0.0, 1.0):
            params = SamplingParams(temperature=temperature, max_tokens=64, seed=0)
            times = {mode: [] for mode in engines}
            policy = engines[True].core.policy
            before = policy.proposed, policy.accepted
            for _ in range(ROUNDS + 1):
                found = {
                    mode: answers(llm, prompts, batch, params) for mode, llm in engines.items()
                }
                assert found[False][1] == found[True][1] == found[None][1], "drafts changed a token"
                for mode, (seconds, _) in found.items():
                    times[mode].append(seconds)
            plain, always, measured = (statistics.median(times[m][1:]) for m in (False, True, None))
            proposed = policy.proposed - before[0]
            rows.append(
                {
                    "model": folder.rstrip("/").rpartition("/")[2],
                    "batch": batch,
                    "temperature": temperature,
                    "drafts accepted": (policy.accepted - before[1]) / max(1, proposed),
                    "plain tok/s": sum(map(len, found[False][1])) / plain,
                    "always: times faster": plain / always,
                    "as measured: times faster": plain / measured,
                }
            )
    write("engine_speculation", rows + [break_even(batch) for batch in (1, 8)])
