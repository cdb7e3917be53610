"""Trains the variants, asks each the same tasks, and tells what the stage that it lacks bought.

Killed, the same command goes on: stages, RL and evaluations are kept as their own runs keep them.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from speciale.anatomy.recipe import Anatomy, Variant
from speciale.anatomy.sharing import take_over
from speciale.errors import NoSignalError
from speciale.evals.attempts import Record, Settings
from speciale.evals.evaluation import evaluate, suite_named
from speciale.evals.suites.agent import synthesised
from speciale.evals.suites.suite import Choice
from speciale.evals.table import compared, rows_of
from speciale.evals.target import open_target
from speciale.files import make_folder, write_atomic
from speciale.rl.run import RlRun
from speciale.rl.trainer import Trainer
from speciale.speedrun import make_tasks, write_model
from speciale.train.prepare import prepare
from speciale.train.progress import console
from speciale.train.recipe import STAGES
from speciale.train.run import Run
from speciale.train.stages import recall, stage_model, train_stage, valid_loss

MEASURES = ("reasoning", "agent")


@dataclass
class Measured:
    """A variant's figures. records: of its attempts, by suite. stopped: why RL ended early; the
    model is the one that it had by then."""

    variant: Variant
    loss: float  # on held-out text, nats a token, before it is taught to chat
    recall: float | None  # of the indexer there, mean of the layers
    records: dict[str, list[Record]]
    stopped: str | None = None


def run_anatomy(anatomy: Anatomy, out: Path, command: str, share: Path | None = None) -> list[dict]:
    """Runs what `out` does not hold yet; a row a variant, also in out/anatomy.json. share: a run
    whose tasks, data and stages are taken where they are alike; CheckpointError if it is none."""
    others = [] if share is None else [Run.open(share)]
    make_folder(out)
    runs: list[Run] = []
    found: dict[str, Measured] = {}
    for variant in anatomy.variants:
        console.print(f"[bold]{variant.name}[/bold]")
        run = _trained(anatomy, variant, out, [*others, *runs], command)
        runs.append(run)
        found[variant.name] = _measured(anatomy, variant, run, runs[0].tasks, command)
        write_atomic(out / "anatomy.json", json.dumps(rows(found), indent=1) + "\n")
    return rows(found)


def _trained(anatomy: Anatomy, variant: Variant, out: Path, before: list[Run], command: str) -> Run:
    run = Run.create(out / variant.name, anatomy.train_recipe(variant), command)
    with run.locked():
        take_over(run, before)
        if not (run.folder / "tasks").is_symlink():
            make_tasks(run)
        prepare(run)
        for stage in STAGES:
            train_stage(run, stage)
        write_model(run)
    return run


def _measured(
    anatomy: Anatomy, variant: Variant, run: Run, store: Path | None, command: str
) -> Measured:
    model = stage_model(run, "sparse")
    attention = run.config.attention
    loss = valid_loss(run, model, attention)
    layers = recall(run, model) if attention == "sparse" else None
    place, stopped = run.folder, None
    if variant.rl:
        place, stopped = _reinforced(anatomy, variant, run, store, command)
    records = asyncio.run(_asked(anatomy, run, place, store))
    recalled = sum(layers) / len(layers) if layers else None
    return Measured(variant, loss, recalled, records, stopped)


def _reinforced(
    anatomy: Anatomy, variant: Variant, run: Run, store: Path | None, command: str
) -> tuple[Path, str | None]:
    """Where the model is, and why RL ended early: without a cold start that is a finding."""
    recipe = anatomy.rl_recipe(variant, str(run.folder), str(store) if store else None)
    rl = RlRun.create(run.folder / "rl", recipe, command)
    stopped = rl.folder / "stopped.txt"
    if not (rl.model / "config.json").exists():
        with rl.locked():
            stopped.unlink(missing_ok=True)  # of a time that was killed before the model was there
            trainer = Trainer(rl)
            try:
                trainer.train()
            except NoSignalError as error:
                console.print(f"RL of {variant.name!r} ends: {error}")
                write_atomic(stopped, f"{error}\n")
                trainer.finish()
    return rl.folder, stopped.read_text("utf-8").strip() if stopped.exists() else None


async def _asked(
    anatomy: Anatomy, run: Run, place: Path, store: Path | None
) -> dict[str, list[Record]]:
    cells = {"reasoning": tuple(f"problems/{k}@{v}" for k, v in run.recipe.data.families.items())}
    if store is not None:
        cells["agent"] = tuple(synthesised(store))
    found: dict[str, list[Record]] = {}
    for suite, chosen in cells.items():
        async with open_target(str(place)) as target:
            done = await evaluate(
                target,
                suite_named(suite),
                Choice(chosen, anatomy.tasks, 0),
                Settings(0, anatomy.samples, 1.0, anatomy.max_tokens, 6),
                place / "evals",
            )
        found[suite] = done.records[None]
    return found


def rows(found: dict[str, Measured]) -> list[dict]:
    """A row a variant; what differs is against the one that has the stage, on the same tasks."""
    told = []
    for name, one in found.items():
        row = {
            "variant": name,
            "beside": one.variant.beside,
            "claim": one.variant.claim,
            "loss": one.loss,
            "recall": one.recall,
            "RL": one.variant.rl,
            "RL stopped": one.stopped,
        }
        for suite in MEASURES:
            if suite not in one.records:
                continue
            row[suite] = rows_of(one.records[suite])[-1]
            if one.variant.beside is not None:
                other = found[one.variant.beside]
                row[f"{suite} change"] = compared(other.records[suite], one.records[suite])[-1]
        told.append(row)
    return told
