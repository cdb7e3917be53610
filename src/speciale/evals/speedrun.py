"""A whole run: data, the four stages, the finished model, its results and its report."""

from __future__ import annotations

import time
from pathlib import Path

from speciale.chat.tokenizer import save_tokenizer
from speciale.evals.report import write_report
from speciale.evals.results import evaluate
from speciale.model import save_model
from speciale.train.prepare import prepare
from speciale.train.progress import console, task
from speciale.train.recipe import STAGES, Recipe
from speciale.train.run import Run
from speciale.train.stages import stage_model, train_stage


def speedrun(folder: Path, recipe: Recipe, command: str) -> Path:
    """Runs everything that `folder` does not hold yet; returns the report's path."""
    start = time.monotonic()
    run = Run.create(folder, recipe, command)
    with run.locked():
        prepare(run)
        for stage in STAGES:
            train_stage(run, stage)
            write_report(folder)
        finish(run)
        report = write_report(folder)
    console.print(f"finished in {(time.monotonic() - start) / 60:.1f} minutes")
    return report


def finish(run: Run) -> None:
    """Writes the finished model with its tokenizer, then its results."""
    model = stage_model(run, "sft")
    if not (run.model / "config.json").exists():
        with task("write model"):
            save_tokenizer(prepare(run), run.model)
            save_model(model, run.model)  # its last file, config.json, says that all is there
    evaluate(run, model)
