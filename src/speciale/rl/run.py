"""An RL run is a folder: recipe, facts, metrics, samples, the state to go on from, the model.

recipe.toml run.json metrics.jsonl samples.jsonl tensorboard/ report.html
state.safetensors   after the last step: weights, optimiser, how far the tasks are drawn
model/              the finished model, an HF-layout folder with its tokenizer
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from speciale.errors import CheckpointError
from speciale.files import explained, write_atomic
from speciale.rl.recipe import Recipe, read_recipe
from speciale.train.folder import RunFolder
from speciale.train.machine import machine_facts


class RlRun(RunFolder):
    recipe: Recipe

    @property
    def state(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def samples(self) -> Path:
        return self.folder / "samples.jsonl"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @classmethod
    def create(cls, folder: Path, recipe: Recipe, command: str) -> RlRun:
        """Opens a run's folder, new or left by the same recipe; ConfigError if by another one."""
        run = cls(folder, recipe)
        run.enter((), {"name": recipe.name, "seed": recipe.seed, **machine_facts(command)})
        return run

    @classmethod
    def open(cls, folder: Path) -> RlRun:
        if not (folder / "recipe.toml").exists():
            raise CheckpointError(f"{folder} holds no recipe.toml: give the folder of an RL run")
        return cls(folder, read_recipe(str(folder / "recipe.toml")))

    def evaluated(self) -> set[int]:
        """The steps whose evaluation is in the metrics."""
        return {record["step"] for record in _records(self.metrics) if record.get("kind") == "eval"}

    def add_samples(self, records: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        with explained(self.samples), open(self.samples, "a", encoding="utf-8") as file:
            file.write(lines.encode("utf-8", "replace").decode())

    def forget_samples(self, kept: set[int]) -> None:
        """Drops the samples of evaluations that are not among `kept`, half written ones too."""
        if self.samples.exists():
            records = [r for r in _records(self.samples) if r.get("step") in kept]
            write_atomic(
                self.samples,
                "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records),
            )


def is_rl_run(folder: Path) -> bool:
    """Whether a folder's recipe is one of RL."""
    try:
        return "domains" in tomllib.loads((folder / "recipe.toml").read_text("utf-8"))
    except (OSError, ValueError):
        return False


def _records(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file of JSON lines."""
    found = []
    if path.exists():
        for line in path.read_text("utf-8", errors="replace").split("\n"):
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # the line under way when the process was killed
    return found
