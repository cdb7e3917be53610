"""What the RL benchmarks share: a run that is made once."""

from __future__ import annotations

from pathlib import Path

from speciale.rl.recipe import Recipe
from speciale.rl.run import RlRun
from speciale.rl.trainer import Trainer


def finished_run(folder: Path, recipe: Recipe) -> RlRun:
    """The finished run in `folder`; it is made, or goes on, where it is not finished."""
    run = RlRun.create(folder, recipe, "benchmark")
    if not (run.model / "config.json").exists():
        with run.locked():
            Trainer(run).train()
    return run
