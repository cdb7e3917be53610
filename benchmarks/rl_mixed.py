"""One mixed run against stages: does anything that was learnt go?

    python benchmarks/rl_mixed.py runs/laptop-agents
    python benchmarks/rl_mixed.py runs/laptop-agents --minutes 2 --set store=tasks

From one chat model: a specialist a domain of the recipe `mixed`; their data in one student, then
mixed RL (V3.2 report, 3 and 3.1); and beside it the same domains one after the other, each from
where the one before it ended. All are asked the same held-out tasks. "short" is how far a model is
below the specialist of the source.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from _results import Row, write
from _rl import finished_run
from speciale.chat.tokenizer import load_tokenizer
from speciale.engine.llm import model_folder
from speciale.model import load_model
from speciale.rl.batches import sampler_core
from speciale.rl.distill import DistillRun, distill, read_distill
from speciale.rl.evaluation import Evaluator
from speciale.rl.recipe import Recipe, read_recipe
from speciale.rl.rewards.settings import build
from speciale.tasks.synthesised.pool import WorldPool


def only(recipe: Recipe, domain: str, model: Path | str, minutes: float) -> Recipe:
    train = recipe.train.model_copy(update={"minutes": minutes})
    return recipe.model_copy(
        update={
            "name": domain,
            "model": str(model),
            "train": train,
            "domains": {domain: recipe.domains[domain]},
        }
    )


def student(
    folder: Path, recipe: Recipe, specialists: dict[str, Path], steps: int, tasks: int
) -> Path:
    """The chat model after the specialists' data: what they solve of so many tasks each."""
    taught = read_distill(
        "distill",
        [f"student={recipe.model}", f"seed={recipe.seed}", f"train.steps={steps}",
         f"context={min(recipe.rollout.window, 768)}",
         f"rollout.window={recipe.rollout.window}", f"rollout.turns={recipe.rollout.turns}",
         f"rollout.max_tokens={recipe.rollout.max_tokens}"],
    )  # fmt: skip
    shape = next(iter(taught.specialists.values()))
    taught = taught.model_copy(
        update={
            "store": recipe.store,
            "specialists": {
                name: shape.model_copy(
                    update={**dict(recipe.domains[name]), "model": str(model), "tasks": tasks}
                )
                for name, model in specialists.items()
            },
        }
    )
    run = DistillRun.create(folder, taught, "rl_mixed")
    with run.locked():
        distill(run)
    return run.model


async def asked(recipe: Recipe, model: Path | str) -> dict[str, dict]:
    """The rows of an evaluation by source and level; "new" are environments never trained on."""
    folder = model_folder(str(model))
    tokenizer = load_tokenizer(folder)
    rewards = {name: build(d.rewards, tokenizer=tokenizer) for name, d in recipe.domains.items()}
    async with WorldPool(most=64) as worlds:
        core = sampler_core(load_model(folder), recipe.rollout, 0)
        rows, _ = await Evaluator(recipe, rewards, worlds).run(core, tokenizer, 0)
    return {
        f"{row['domain']}{'' if row['trained'] else ', new'}: {row['source'].split('#')[-1]}"
        + (f"@{row['level']}" if row["level"] is not None else ""): row
        for row in rows
    }


def short(row: Row) -> Row:
    """With how far each of the two ways is below the specialist, points."""
    own = float(row["its specialist"])
    told = {f"{way}, short": max(0.0, own - float(row[way])) for way in ("mixed", "stages")}
    return {**row, **told}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="runs/laptop-agents")
    parser.add_argument("--minutes", type=float, default=5, help="of RL of a domain")
    parser.add_argument("--distill-steps", type=int, default=300)
    parser.add_argument("--distill-tasks", type=int, default=1200, help="that a specialist tries")
    parser.add_argument("--tasks", type=int, default=24, help="asked of each source")
    parser.add_argument("--out", type=Path, default=Path("runs/rl-mixed"))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()

    quiet = ["evaluation.every=100000", "evaluation.samples=4", "evaluation.tasks=1"]
    recipe = read_recipe("mixed", [f"model={options.model}", *quiet, *options.overrides])
    evaluation = recipe.evaluation.model_copy(update={"tasks": options.tasks})
    question = recipe.model_copy(update={"evaluation": evaluation})

    specialists: dict[str, Path] = {}
    stages: Path | str = options.model
    for name in recipe.domains:
        start = only(recipe, name, options.model, options.minutes)
        specialists[name] = finished_run(options.out / f"specialist-{name}", start).model
        stage = only(recipe, name, stages, options.minutes)
        # The first stage is the first specialist.
        folder = f"specialist-{name}" if stage == start else f"stage-{name}"
        stages = finished_run(options.out / folder, stage).model
    taught = student(
        options.out / "student", recipe, specialists, options.distill_steps, options.distill_tasks
    )
    train = recipe.train.model_copy(update={"minutes": options.minutes * len(recipe.domains)})
    mixed = finished_run(
        options.out / "mixed", recipe.model_copy(update={"model": str(taught), "train": train})
    ).model

    names = {"chat model": options.model, "student": taught, "mixed": mixed, "stages": stages}
    found = {name: asyncio.run(asked(question, model)) for name, model in names.items()}
    own: dict[str, dict] = {}
    for name, model in specialists.items():
        mine = question.model_copy(update={"domains": {name: question.domains[name]}})
        own |= asyncio.run(asked(mine, model))
    columns = {
        name: {source: 100 * row["pass1"] for source, row in rows.items()}
        for name, rows in {**found, "its specialist": own}.items()
    }
    rows: list[Row] = [
        short({"source": source, "tasks": own[source]["n"],
               **{name: values[source] for name, values in columns.items()}})
        for source in own
    ]  # fmt: skip
    means = {name: sum(values[s] for s in own) / len(own) for name, values in columns.items()}
    tasks = sum(row["n"] for row in own.values())
    rows.append(short({"source": "mean", "tasks": tasks, **means}))
    write("rl_mixed", rows)


if __name__ == "__main__":
    main()
