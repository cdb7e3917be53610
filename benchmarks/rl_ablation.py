"""What each stabiliser is worth: the same run with all of them, and with one left out.

    python benchmarks/rl_ablation.py runs/laptop
    python benchmarks/rl_ablation.py runs/laptop --steps 40 --seeds 0 --rates 5e-4

Conditions that make them matter: the sampler's weights are several steps old and rounded to
bfloat16, its kernels are the engine's, top-p is 0.9, the learning rate is high. Sampling is
synchronous, so that every run has the same staleness. Told is pass@1 on held-out tasks before, at
its best and at the end; the score in training is no measure, since the curriculum moves on to what
is hard. "collapse" is how far the end lies below the best. At the first step all variants have the
same answers, and the sampler's weights are of now: what Keep Routing and Keep Sampling Mask close
of the gap is seen there.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from itertools import product
from pathlib import Path

from torch import Tensor

from _results import Row, write
from speciale.model import Transformer
from speciale.rl.batches import Source, Synchronous, sampler_weights
from speciale.rl.recipe import Recipe, read_recipe
from speciale.rl.run import RlRun
from speciale.rl.trainer import Trainer

VARIANTS: dict[str, list[str]] = {
    "all": [],
    "without off-policy masking": ["objective.off_policy_masking=false"],
    "without Keep Routing": ["objective.keep_routing=false"],
    "without Keep Sampling Mask": ["objective.keep_sampling_mask=false"],
    "K3 for the unbiased KL": ["objective.kl_unbiased=false"],
    "without all four": [
        "objective.off_policy_masking=false", "objective.keep_routing=false",
        "objective.keep_sampling_mask=false", "objective.kl_unbiased=false",
    ],
}  # fmt: skip
LAG = 6  # steps


class Lagging(Synchronous):
    """Samples with weights that are LAG steps old, at every step alike."""

    def __init__(self, *parts) -> None:
        super().__init__(*parts)
        self._coming: deque[dict[str, Tensor]] = deque()

    async def update(self, model: Transformer) -> None:
        weights = sampler_weights(model, self._settings)
        self._coming.append({name: tensor.clone() for name, tensor in weights.items()})
        if len(self._coming) > LAG:
            self.core.update_weights(self._coming.popleft())


class LaggingTrainer(Trainer):
    def make_source(self) -> Source:
        parts = (self.recipe, self.model, self.tokenizer, self.draws, self.rewards, self.step)
        return Lagging(*parts)


def run(folder: Path, recipe: Recipe) -> list[dict]:
    """The metrics of a run, which is made if it is not there."""
    folder_run = RlRun.create(folder, recipe, "rl_ablation")
    if not (folder_run.model / "config.json").exists():
        with folder_run.locked():
            folder_run.state.unlink(missing_ok=True)  # a lag cannot be resumed
            folder_run.metrics.unlink(missing_ok=True)
            LaggingTrainer(folder_run).train()
    return [json.loads(line) for line in folder_run.metrics.read_text().splitlines()]


def figures(records: list[dict]) -> dict[str, float]:
    solved = [
        sum(row["pass1"] for row in record["rows"]) / len(record["rows"])
        for record in records
        if record["kind"] == "eval"
    ]
    learnt = [record for record in records if record["kind"] == "step" and "gap" in record]

    def mean(*path: str) -> float:
        values = []
        for step in learnt:
            for key in path:
                step = step[key]
            values.append(step)
        return sum(values) / len(values)

    return {
        "pass@1 before, %": 100 * solved[0],
        "best, %": 100 * max(solved),
        "end, %": 100 * solved[-1],
        "collapse, points": 100 * (max(solved) - solved[-1]),
        "gap, nats": mean("gap", "mean"),
        "gap at the first step, nats": learnt[0]["gap"]["mean"],
        "largest gap": max(step["gap"]["max"] for step in learnt),
        "masked, %": 100 * mean("masked"),
        "gradient norm": mean("grad_norm"),
        "entropy, last": learnt[-1]["entropy"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="runs/laptop")
    parser.add_argument("--recipe", default="rl-laptop")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rates", type=float, nargs="+", default=[5e-4, 1e-3])
    parser.add_argument("--out", type=Path, default=Path("runs/rl-ablation"))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()

    rows: list[Row] = []
    for rate, (name, changes) in product(options.rates, VARIANTS.items()):
        found = []
        for seed in options.seeds:
            recipe = read_recipe(
                options.recipe,
                [
                    f"model={options.model}", f"seed={seed}", f"train.steps={options.steps}",
                    "rollout.top_p=0.9", "rollout.weights=bfloat16", "objective.kl_weight=0.02",
                    f"train.learning_rate={rate}", "evaluation.every=10", "evaluation.tasks=24",
                    *options.overrides, *changes,
                ],
            )  # fmt: skip
            folder = options.out / f"{rate:g}" / name.replace(" ", "-") / str(seed)
            found.append(figures(run(folder, recipe)))
        mean = {key: sum(each[key] for each in found) / len(found) for key in found[0]}
        worst = min(each["end, %"] for each in found)
        rows.append(
            {
                "variant": name, "rate": f"{rate:g}", "seeds": len(found), **mean,
                "worst end, %": worst,
            }
        )  # fmt: skip
    write("rl_ablation", rows)


if __name__ == "__main__":
    main()
