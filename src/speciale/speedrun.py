"""A whole run: tasks, data, four stages, the chat model, its results, RL from it, the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from speciale.chat.tokenizer import save_tokenizer
from speciale.evals.report import write_report
from speciale.evals.results import evaluate
from speciale.model import Transformer, save_model
from speciale.train.prepare import prepare
from speciale.train.progress import console, task
from speciale.train.recipe import STAGES, Recipe
from speciale.train.run import Run
from speciale.train.stages import stage_model, train_stage


def speedrun(folder: Path, recipe: Recipe, command: str) -> Path:
    """Runs everything that `folder` does not hold yet; returns the report's path. SandboxError
    where the recipe has agents' tasks and this machine no sandbox."""
    start = time.monotonic()
    run = Run.create(folder, recipe, command)
    reinforce = _reinforcement(run, command)
    with run.locked():
        make_tasks(run)
        prepare(run)
        for stage in STAGES:
            train_stage(run, stage)
            write_report(folder)
        evaluate(run, write_model(run))
        report = write_report(folder)
        reinforce()
    console.print(f"finished in {(time.monotonic() - start) / 60:.1f} minutes")
    return report


def make_tasks(run: Run) -> None:
    """Synthesises the agents' tasks that the recipe asks for, gates and all, into the run."""
    agents = run.recipe.data.agents
    if agents is None or agents.store is not None or (run.data / "chat.npy").exists():
        return
    # Here, since these need the extra [synth], which a recipe without agents does without.
    from speciale.synth.pool import LocalPool
    from speciale.synth.progress import Show
    from speciale.synth.run import run as synthesise
    from speciale.synth.starter import PATTERNS, items
    from speciale.synth.store import Store

    with Store(run.folder / "tasks") as store, LocalPool() as pool, Show() as show:
        synthesise(items(list(PATTERNS), run.recipe.seed), agents.tasks, store, pool, show)


def write_model(run: Run) -> Transformer:
    """Writes the chat model with its tokenizer, where that is not done."""
    model = stage_model(run, "sft")
    if not (run.model / "config.json").exists():
        with task("write model"):
            save_tokenizer(prepare(run), run.model)
            save_model(model, run.model)  # its last file, config.json, says that all is there
    return model


def _reinforcement(run: Run, command: str) -> Callable[[], None]:
    """RL from the chat model, in the run's folder rl/, for later. A recipe that does not exist or
    a package that is missing is told now, and not after an hour."""
    if run.recipe.rl is None:
        return lambda: None
    from speciale.rl.recipe import read_recipe  # these need the extra [rl]
    from speciale.rl.run import RlRun
    from speciale.rl.trainer import Trainer

    changes = [f'model="{run.folder}"', f"seed={run.recipe.seed}"]
    if run.tasks is not None:
        changes.append(f'store="{run.tasks}"')
    recipe = read_recipe(run.recipe.rl, changes)

    def reinforce() -> None:
        rl = RlRun.create(run.folder / "rl", recipe, command)
        with rl.locked():
            if not (rl.model / "config.json").exists():
                Trainer(rl).train()
        write_report(run.folder)  # again, now with the curves of RL

    return reinforce
