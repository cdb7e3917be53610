"""What a weak length penalty and longer thinking buy: Speciale beside a base of equal weights.

    python benchmarks/rl_speciale.py runs/laptop-agents
    python benchmarks/rl_speciale.py runs/laptop-agents --steps 40 --seeds 0

Both start from one chat model and see the same tasks for the same number of steps; what differs is
what the V3.2 report, 3, names: the base answers with and without thinking and pays for length,
Speciale always thinks and hardly pays. Both are then asked the hardest level of each source on
held-out tasks, thinking, with room for so many tokens. Draws results/rl_speciale.png.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from _results import RESULTS, Row, write
from _rl import finished_run
from speciale.chat.tokenizer import load_tokenizer
from speciale.model import load_model
from speciale.rl.batches import sampler_core
from speciale.rl.draws import cells_of
from speciale.rl.evaluation import Evaluator
from speciale.rl.recipe import Recipe, read_recipe
from speciale.rl.rewards.settings import build

ROOM = (16, 24, 32, 48, 64, 96, 160)  # tokens
LENGTH_WEIGHT = 0.3  # the base's; Speciale's stands in its recipe


def recipes(model: str, seed: int, steps: int, overrides: list[str]) -> dict[str, Recipe]:
    """The two runs. They differ by thinking, the weight of length and the variant alone."""
    same = [
        f"model={model}", f"seed={seed}", f"train.steps={steps}",
        "evaluation.every=100000", "evaluation.tasks=1", "evaluation.samples=1", *overrides,
    ]  # fmt: skip
    speciale = read_recipe("speciale", same)
    base = ['variant="v3.2"']
    for name in speciale.domains:
        base += [
            f'domains.{name}.thinking="mixed"', f"domains.{name}.rewards.length={LENGTH_WEIGHT}",
        ]  # fmt: skip
    return {"Speciale": speciale, "base": read_recipe("speciale", [*same, *base])}


def hardest(recipe: Recipe, tasks: int, samples: int) -> Recipe:
    """The last level of each source, always thinking."""
    domains = {}
    for name, domain in recipe.domains.items():
        last = {
            cell.source: f"{cell.source}@{cell.level}"
            for cell in cells_of(name, recipe.sources(name))
        }
        domains[name] = domain.model_copy(update={"sources": list(last.values()), "thinking": "on"})
    evaluation = recipe.evaluation.model_copy(update={"tasks": tasks, "samples": samples})
    return recipe.model_copy(update={"domains": domains, "evaluation": evaluation, "seed": 1000})


def asked(model: Path, recipe: Recipe, room: int) -> tuple[float, float]:
    """(pass@1, tokens an answer) with so many tokens of room, over the hardest levels."""
    recipe = recipe.model_copy(
        update={"rollout": recipe.rollout.model_copy(update={"max_tokens": room})}
    )
    tokenizer = load_tokenizer(model)
    rewards = {name: build(d.rewards, tokenizer=tokenizer) for name, d in recipe.domains.items()}
    core = sampler_core(load_model(model), recipe.rollout, 0)
    rows, _ = asyncio.run(Evaluator(recipe, rewards).run(core, tokenizer, 0))
    return (
        sum(row["pass1"] for row in rows) / len(rows),
        sum(row["tokens"] for row in rows) / len(rows),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="runs/laptop-agents")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--tasks", type=int, default=24, help="of each source")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path("runs/rl-speciale"))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()

    points: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for seed in options.seeds:
        both = recipes(options.model, seed, options.steps, options.overrides)
        question = hardest(both["Speciale"], options.tasks, options.samples)
        models = {
            name: finished_run(options.out / name.lower() / str(seed), recipe).model
            for name, recipe in both.items()
        }
        for name, model in models.items():
            for room in ROOM:
                points.setdefault((name, room), []).append(asked(model, question, room))
    rows: list[Row] = []
    for (name, room), found in points.items():
        passed, tokens = (sum(values) / len(found) for values in zip(*found))
        rows.append(
            {
                "model": name, "seeds": len(found), "room, tokens": room,
                "pass@1, %": 100 * passed, "tokens an answer": tokens,
            }
        )  # fmt: skip
    write("rl_speciale", rows)
    draw(rows)


def draw(rows: list[Row]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, style in (("base", "o--"), ("Speciale", "s-")):
        own = [row for row in rows if row["model"] == name]
        axes.plot([r["tokens an answer"] for r in own], [r["pass@1, %"] for r in own], style,
                  label=name)  # fmt: skip
    axes.set_xlabel("tokens an answer, thinking included")
    axes.set_ylabel("pass@1 on the hardest levels, %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(RESULTS / "rl_speciale.png", dpi=110)


if __name__ == "__main__":
    main()
