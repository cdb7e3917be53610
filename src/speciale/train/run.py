"""A run is a folder: recipe, facts, data, metrics, checkpoints, the model, results, report.

recipe.toml run.json metrics.jsonl results.json report.html
tasks/   the store of the agents' tasks, if the data have some and name no other
data/    tokenizer.json train.tokens valid.tokens chat.npy
stages/  pretrain.safetensors ... (finished) and pretrain.part.safetensors (under way)
model/   the finished chat model, an HF-layout folder with its tokenizer
rl/      an RL run that starts from it, if the recipe names one
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from speciale.errors import CheckpointError
from speciale.train.flops import active_parameters, total_parameters
from speciale.train.folder import RunFolder
from speciale.train.machine import machine_facts
from speciale.train.recipe import STAGES, Recipe, StageName, read_recipe


class Run(RunFolder):
    recipe: Recipe

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        super().__init__(folder, recipe)
        self.config = recipe.model_config_checked()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def tasks(self) -> Path | None:
        """The store of the agents' tasks; None where the data have none."""
        agents = self.recipe.data.agents
        if agents is None:
            return None
        return self.folder / "tasks" if agents.store is None else Path(agents.store)

    def finished(self, stage: StageName) -> Path:
        return self.folder / "stages" / f"{stage}.safetensors"

    def partial(self, stage: StageName) -> Path:
        return self.folder / "stages" / f"{stage}.part.safetensors"

    @classmethod
    def create(cls, folder: Path, recipe: Recipe, command: str) -> Run:
        """Opens a run folder, new or left by the same recipe; ConfigError if by another one."""
        run = cls(folder, recipe)
        run.enter(("stages", "data"), _facts(recipe, command))
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        if not (folder / "recipe.toml").exists():
            raise CheckpointError(f"{folder} holds no recipe.toml: give the folder of a run")
        return cls(folder, read_recipe(str(folder / "recipe.toml")))

    def forget(self, stage: StageName, after_step: int) -> None:
        """Drops the metrics of steps that a resumed stage will do again."""
        self.keep_metrics(
            lambda record: (
                record.get("stage") != stage or record.get("step", after_step + 1) <= after_step
            )
        )

    def _outdated(self) -> list[Path]:
        """Checkpoints of stages that then finished."""
        return [self.partial(stage) for stage in STAGES if self.finished(stage).exists()]


def _facts(recipe: Recipe, command: str) -> dict[str, Any]:
    config = recipe.model_config_checked()
    return {
        "name": recipe.name,
        "seed": recipe.seed,
        **machine_facts(command),
        "parameters": {"total": total_parameters(config), "active": active_parameters(config)},
        "config": config.to_dict(),
    }
