"""Samples a second beside TRL's GRPOTrainer: one model, prompts, group size, lengths and steps.

    pip install trl
    python benchmarks/rl_speed.py runs/laptop

Both sample at temperature 1 and make one optimiser step on each batch of 16 x 8 samples, scored by
the same program. TRL runs the model as transformers implements it (DeepseekV32ForCausalLM); ours
goes through the engine. Rounds alternate, each in a process of its own; a round's first step warms
up and does not count. "busy" is the share of the time in which our sampler worked.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from _results import Row, write

GROUPS, SIZE, TOKENS, STEPS = 16, 8, 80, 3
SOURCE, LEVEL = "problems/chain_sum", 2


def ours(model: str, folder: Path, staleness: int) -> dict[str, float]:
    from speciale.rl.recipe import Recipe
    from speciale.rl.run import RlRun
    from speciale.rl.trainer import Trainer

    recipe = Recipe.model_validate(
        {
            "name": "speed", "model": model,
            "rollout": {"groups": GROUPS, "group_size": SIZE, "max_tokens": TOKENS, "window": 256,
                        "dynamic_sampling": False, "recheck_share": 0.0, "running": 128,
                        "staleness": staleness},
            "train": {"steps": STEPS + 1, "learning_rate": 1e-5},
            "evaluation": {"every": 1000, "tasks": 1, "samples": 1},
            "domains": {"d": {"sources": [f"{SOURCE}@{LEVEL}"], "thinking": "on"}},
        }
    )  # fmt: skip
    run = RlRun.create(folder, recipe, "rl_speed")
    Trainer(run).train()
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    steps = [line for line in lines if line["kind"] == "step"]
    seconds = steps[-1]["seconds"] - steps[0]["seconds"]
    rest = steps[1:]
    tokens = sum(step["length"]["mean"] * GROUPS * SIZE for step in rest)
    busy = sum(step["busy"] for step in rest) / len(rest)
    return {"samples": STEPS * GROUPS * SIZE / seconds, "tokens": tokens / seconds, "busy": busy}


def trl(model: str, folder: Path) -> dict[str, float]:
    import asyncio

    import torch
    from datasets import Dataset
    from transformers import DeepseekV32ForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from speciale.chat import EOS, PAD, encode
    from speciale.engine.llm import model_folder
    from speciale.model import load_model, save_model
    from speciale.tasks import load_tasks
    from speciale.tasks.task import Attempt

    place = model_folder(model)
    save_model(load_model(place), folder / "packed", layout="packed")
    theirs = DeepseekV32ForCausalLM.from_pretrained(folder / "packed", dtype=torch.float32)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(place / "tokenizer.json"), eos_token=EOS, pad_token=PAD
    )
    tasks = list(islice(load_tasks(SOURCE, level=LEVEL, split="train"), GROUPS * (STEPS + 1)))
    prompts = [encode(list(task.prompt), thinking_mode="thinking") for task in tasks]
    known = dict(zip(prompts, tasks))
    lengths: list[int] = []

    def reward(prompts, completions, completion_ids, **_):
        lengths.extend(map(len, completion_ids))
        texts = [text.rpartition("</think>")[2].strip() for text in completions]
        return [
            asyncio.run(known[prompt].verify(Attempt(text))).score
            for prompt, text in zip(prompts, texts)
        ]

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_args, **_kwargs):
            ends.append(time.perf_counter())

    config = GRPOConfig(
        output_dir=str(folder / "trl"), per_device_train_batch_size=GROUPS * SIZE,
        num_generations=SIZE, max_completion_length=TOKENS, temperature=1.0, beta=0.0,
        learning_rate=1e-5, max_steps=STEPS + 1, use_cpu=True, bf16=False, report_to=[],
        save_strategy="no", logging_steps=1, shuffle_dataset=False, gradient_checkpointing=False,
    )  # fmt: skip
    trainer = GRPOTrainer(
        model=theirs, args=config, reward_funcs=reward, processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"prompt": prompts}), callbacks=[Clock()],
    )  # fmt: skip
    trainer.train()
    seconds = ends[-1] - ends[0]
    tokens = sum(lengths[GROUPS * SIZE :])
    return {"samples": STEPS * GROUPS * SIZE / seconds, "tokens": tokens / seconds}


WAYS = {
    "ours, synchronous": lambda model, folder: ours(model, folder, 0),
    "ours, staleness 1": lambda model, folder: ours(model, folder, 1),
    "TRL GRPOTrainer": trl,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="runs/laptop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help="one round of one way, as JSON")
    options = parser.parse_args()
    if options.way:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(WAYS[options.way](options.model, Path(folder) / "run")))
        return

    found: dict[str, list[dict]] = {way: [] for way in WAYS}
    for _ in range(options.rounds):
        for way, results in found.items():
            command = [sys.executable, __file__, options.model, "--way", way]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            results.append(json.loads(done.stdout.splitlines()[-1]))
    base = statistics.median(each["samples"] for each in found["TRL GRPOTrainer"])
    rows: list[Row] = []
    for way, results in found.items():
        samples = statistics.median(each["samples"] for each in results)
        row: Row = {
            "way": way,
            "samples/s": samples,
            "sampled tokens/s": statistics.median(each["tokens"] for each in results),
            "times TRL": samples / base,
        }
        if "busy" in results[0]:
            row["sampler busy, %"] = 100 * statistics.median(each["busy"] for each in results)
        rows.append(row)
    write("rl_speed", rows)


if __name__ == "__main__":
    main()
