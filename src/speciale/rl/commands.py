"""`speciale rl`: a recipe's run on the command line."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def rl(
    recipe: Annotated[str, typer.Argument(help="Built-in RL recipe or a TOML file.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder; runs/RECIPE unless given.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override of a recipe value, such as --set train.steps=50."),
    ] = None,
) -> None:
    """Train a chat model by reinforcement learning: GRPO with V3.2's stabilisers.

    A killed run continues where it stopped when the same command is run again. The folder holds
    metrics.jsonl, TensorBoard's files, samples and report.html.

    \b
    Examples:
      speciale rl rl-laptop                              # from runs/laptop, about 15 minutes
      speciale rl rl-laptop --out runs/no-mask --set objective.off_policy_masking=false
      speciale rl my.toml --set model=runs/mine --set train.steps=100
      tensorboard --logdir runs
    """
    from speciale.rl.recipe import read_recipe
    from speciale.rl.run import RlRun
    from speciale.rl.trainer import Trainer

    resolved = read_recipe(recipe, overrides)
    _check_models("model", resolved.model)
    folder = out if out is not None else Path("runs") / resolved.name
    run = RlRun.create(folder, resolved, shlex.join(["speciale", *sys.argv[1:]]))
    with run.locked():
        Trainer(run).train()
    print(f"report: {(run.folder / 'report.html').resolve()}\nmodel:  {run.model}")


def distill(
    recipe: Annotated[str, typer.Argument(help="Built-in distillation or a TOML file.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder; runs/RECIPE unless given.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override of a value, such as --set train.steps=50."),
    ] = None,
) -> None:
    """Have specialists write the data of one student, and train it on what they solved.

    Each specialist is a model that RL has trained on one domain. A killed run continues where it
    stopped. Mixed RL then starts from the student: speciale rl mixed --set model=runs/student

    \b
    Examples:
      speciale distill distill                               # runs/mathematics, runs/logic, ...
      speciale distill my.toml --out runs/student --set train.steps=200
    """
    from speciale.rl.distill import DistillRun, read_distill
    from speciale.rl.distill import distill as make

    resolved = read_distill(recipe, overrides)
    _check_models("student", resolved.student)
    for name, specialist in resolved.specialists.items():
        _check_models(f"specialists.{name}.model", specialist.model)
    folder = out if out is not None else Path("runs") / resolved.name
    run = DistillRun.create(folder, resolved, shlex.join(["speciale", *sys.argv[1:]]))
    with run.locked():
        make(run)
    print(f"student: {run.model}")


def _check_models(key: str, folder: str) -> None:
    """CheckpointError before a run's folder is made, which would then hold the wrong recipe."""
    from speciale.engine.llm import model_folder
    from speciale.errors import CheckpointError

    if not (model_folder(folder) / "config.json").exists():
        raise CheckpointError(
            f"there is no finished model at {folder} ({key} in the recipe): make it first, with "
            f"`speciale speedrun` or `speciale rl`, or name another with --set {key}=FOLDER"
        )
