"""What two runs have in common is made once: data, and stages that are alike up to there."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speciale.errors import CheckpointError
from speciale.files import explained
from speciale.train.recipe import STAGES, Recipe, StageName
from speciale.train.run import Run

_TOKENS = ("tokenizer.json", "tokenizer_config.json", "train.tokens", "valid.tokens")
# What decides only of the conversations, not of text and tokenizer.
_OF_CONVERSATIONS = {"conversations", "docstring_share", "hasty_share"}


def take_over(run: Run, others: Iterable[Run]) -> None:
    """Links into a new run what finished ones have made alike."""
    for other in others:
        if tasks_key(other.recipe) == tasks_key(run.recipe):
            _take_tasks(other.folder / "tasks", run.folder / "tasks")
        if text_key(other.recipe) == text_key(run.recipe):
            _link(other.data, run.data, _TOKENS)
        if chat_key(other.recipe) == chat_key(run.recipe):
            _link(other.data, run.data, ("chat.npy",))
        for stage in STAGES:
            if stage_key(other.recipe, stage) != stage_key(run.recipe, stage):
                break
            if other.finished(stage).exists() and not run.finished(stage).exists():
                _copy_metrics(other, run, stage)
                _link(other.finished(stage).parent, run.finished(stage).parent,
                      (run.finished(stage).name,))  # fmt: skip
                if "peak_gflops" in other.facts():
                    run.add_facts(peak_gflops=other.facts()["peak_gflops"])


def tasks_key(recipe: Recipe) -> Any:
    """Decides of the tasks that a run makes for itself."""
    agents = recipe.data.agents
    return recipe.seed, None if agents is None else (agents.tasks, agents.store)


def text_key(recipe: Recipe) -> Any:
    """Decides of text, problems and tokenizer: of agents their tasks, not their share."""
    data = {k: v for k, v in recipe.data.model_dump().items() if k not in _OF_CONVERSATIONS}
    if data["agents"] is not None:
        del data["agents"]["share"]
    return recipe.seed, data, recipe.model["vocab_size"]


def chat_key(recipe: Recipe) -> Any:
    return text_key(recipe), recipe.data.model_dump()


def stage_key(recipe: Recipe, stage: StageName) -> Any:
    """Decides of the weights at a stage's end. Dense pre-training knows of no other attention."""
    model = {k: v for k, v in recipe.model.items() if k != "attention" or stage != "pretrain"}
    settings = [recipe.stage(name).model_dump() for name in STAGES[: STAGES.index(stage) + 1]]
    data = chat_key(recipe) if stage == "sft" else text_key(recipe)
    return recipe.seed, model, data, settings


def _take_tasks(source: Path, target: Path) -> None:
    """A link to the folder: a store is a thousand files."""
    if source.exists() and not target.exists():
        with explained(target):
            target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))


def _link(source: Path, target: Path, names: Iterable[str]) -> None:
    for name in names:
        if (source / name).exists() and not (target / name).exists():
            with explained(target / name):
                try:
                    os.link(source / name, target / name)
                except OSError as error:
                    if error.errno != errno.EXDEV:
                        raise
                    half = target / f".{name}.part"  # on another disk
                    shutil.copyfile(source / name, half)
                    os.replace(half, target / name)


def _copy_metrics(other: Run, run: Run, stage: StageName) -> None:
    try:
        lines = other.metrics.read_text("utf-8").splitlines()
    except OSError as error:
        raise CheckpointError(f"{other.metrics} cannot be read: {error.strerror}") from None
    with explained(run.metrics), open(run.metrics, "a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines if json.loads(line).get("stage") == stage)
