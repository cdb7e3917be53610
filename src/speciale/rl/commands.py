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
    expert_ranks: Annotated[
        int, typer.Option(min=1, help="Processes that hold the experts together.")
    ] = 1,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Recompute activations instead of keeping them.")
    ] = False,
) -> None:
    """Train a chat model by reinforcement learning: GRPO with V3.2's stabilisers.

    A killed run continues where it stopped when the same command is run again. The folder holds
    metrics.jsonl, TensorBoard's files, samples and report.html.

    \b
    Examples:
      speciale rl rl-laptop                              # from runs/laptop, about 15 minutes
      speciale rl rl-laptop --out runs/no-mask --set objective.off_policy_masking=false
      speciale rl my.toml --set model=runs/mine --set train.steps=100
      torchrun --nproc-per-node 8 -m speciale rl cluster --expert-ranks 8 --recompute
      tensorboard --logdir runs
    """
    from speciale.rl.recipe import read_recipe
    from speciale.rl.trainer import train_on_ranks
    from speciale.train.parallel.ranks import Layout

    resolved = read_recipe(recipe, overrides)
    _check_models("model", resolved.model)
    folder = out if out is not None else Path("runs") / resolved.name
    layout = Layout(experts=expert_ranks, recompute=recompute)
    command = shlex.join(["speciale", *sys.argv[1:]])
    if (run := train_on_ranks(folder, resolved, layout, command)) is None:
        return
    print(f"report: {(run.folder / 'report.html').resolve()}\nmodel:  {run.model}")


def rl_worker(
    model: Annotated[Path, typer.Argument(help="A run or model folder, for shape and start.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: a free one.")] = 30000,
    running: Annotated[int, typer.Option(min=1, help="Samples side by side.")] = 64,
    key_env: Annotated[
        str | None, typer.Option(help="Variable with the key; without one, loopback only.")
    ] = None,
) -> None:
    """Sample for RL in a process of its own: our engine, with SGLang's endpoints.

    An RL recipe names such servers in [rollout.server], kind = "sglang". They get new weights
    through the folder that the recipe names, and may come and go while the run goes on.

    \b
    Examples:
      speciale rl-worker runs/laptop --port 30000
      WORKERS_KEY=$(openssl rand -hex 24) speciale rl-worker runs/laptop --host 0.0.0.0 \\
        --key-env WORKERS_KEY
    """
    import os

    from speciale.errors import ConfigError
    from speciale.rl.worker import serve_rollouts

    key = os.environ.get(key_env) if key_env else None
    if key_env and not key:
        raise ConfigError(f"the environment variable {key_env} of --key-env is not set: set it")
    if key is None and host not in ("127.0.0.1", "::1", "localhost"):
        raise ConfigError(
            f"--host {host} is open to others, who could replace the weights: name a key with "
            "--key-env, or leave --host out"
        )
    serve_rollouts(model, host, port, key, running)


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
