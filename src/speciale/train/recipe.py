"""A recipe: one TOML file that says everything a run does, checked before anything starts.

`speciale/recipes/` holds the built-in ones; any value can be overridden with `--set key=value`.
The resolved recipe is saved with the run, so that a run can be repeated from its folder alone.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from speciale.errors import ConfigError
from speciale.model.config import ModelConfig, RopeScaling
from speciale.tasks.families import find_family
from speciale.train.bpe import SMALLEST_VOCAB
from speciale.train.tables import Table, read_table

StageName = Literal["pretrain", "warmup", "sparse", "sft"]
STAGES: tuple[StageName, ...] = ("pretrain", "warmup", "sparse", "sft")


class Agents(Table):
    """Solved tasks of a store of `speciale synth`, as conversations with tools."""

    store: str | None = None  # None: the run's own folder tasks/, which a speedrun makes
    tasks: int = Field(300, ge=1)  # that it makes there
    share: float = Field(0.5, ge=0, le=1)  # of the conversations
    turns: int = Field(3, ge=1)  # tasks of one environment in a conversation, at most


class Data(Table):
    sources: list[str] = Field(["stdlib", "usr-share-doc"])  # or paths: folder, .jsonl, .parquet
    text_megabytes: float = Field(12, gt=0)  # text read at most, drawn evenly over all documents
    context: int = Field(512, ge=16)  # tokens of a training sequence, where a stage has no other
    problem_share: float = Field(0.5, ge=0, lt=1)  # share of problems in the pre-training tokens
    families: dict[str, int] = Field({})  # reasoning-gym family = level
    conversations: int = Field(20000, ge=1)  # of the supervised stage
    docstring_share: float = Field(0.1, ge=0, le=1)  # of the others: about the library
    hasty_share: float = Field(0.0, ge=0, le=1)  # of solutions with thinking: no steps in it
    agents: Agents | None = None

    @field_validator("families")
    @classmethod
    def _known_families(cls, families: dict[str, int]) -> dict[str, int]:
        for name, level in families.items():
            find_family(name, level)
        return families


class Stage(Table):
    steps: int = Field(ge=0)  # 0: the stage is left out
    batch_size: int = Field(8, ge=1)  # sequences
    learning_rate: float = Field(gt=0)  # peak
    warmup_share: float = Field(0.05, ge=0, le=1)  # of the steps: linear rise
    decay_share: float = Field(0.3, ge=0, le=1)  # of the steps: linear fall, at the end
    final_share: float = Field(0.1, ge=0, le=1)  # of the peak learning rate: where the fall ends
    weight_decay: float = Field(0.1, ge=0)
    gradient_clip: float = Field(1.0, gt=0)  # largest gradient norm, model and indexer apart
    mtp_weight: float = Field(0.3, ge=0)  # lambda of V3 report, equation 25
    bias_speed: float = Field(0.001, ge=0)  # gamma of V3 report, 2.1.2: step of the expert bias


class TextStage(Stage):
    # None: data.context. Short rows first, then longer ones (V3 report, 4.3).
    context: int | None = Field(None, ge=16)


class FirstStage(TextStage):
    steps: int = Field(ge=1)  # later ones continue it


class Evaluation(Table):
    valid_sequences: int = Field(16, ge=1)
    valid_every: int = Field(100, ge=1)  # steps
    problems_per_family: int = Field(50, ge=1)
    max_new_tokens: int = Field(96, ge=1)


class Recipe(Table):
    name: str = Field(pattern=r"^\w[\w .-]*$")  # also a folder's name
    seed: int = Field(0, ge=0)
    model: dict[str, Any]  # Hugging Face's keys
    data: Data
    pretrain: FirstStage
    warmup: TextStage
    sparse: TextStage
    sft: Stage
    evaluation: Evaluation = Evaluation()
    rl: str | None = None  # the RL recipe that a speedrun ends with

    def stage(self, name: StageName) -> Stage:
        return getattr(self, name)

    def context(self, name: StageName) -> int:
        """Tokens of a stage's training sequences."""
        return getattr(self.stage(name), "context", None) or self.data.context

    def model_config_checked(self) -> ModelConfig:
        """The model's configuration; ConfigError if it cannot be trained with this data."""
        config = ModelConfig.from_dict(self.model, where=f"recipe {self.name!r}, [model]")
        self._check_model_keys()
        if config.vocab_size < SMALLEST_VOCAB:
            raise ConfigError(
                f"recipe {self.name!r}: vocab_size {config.vocab_size} has no room for the 256 "
                f"bytes and the chat format's markers: make it {SMALLEST_VOCAB} or more"
            )
        for name in STAGES:
            self._check_context(config, name)
        return config

    def _check_context(self, config: ModelConfig, name: StageName) -> None:
        context = self.context(name)
        key = "data.context" if context == self.data.context else f"{name}.context"
        if name != "pretrain" and config.index_topk >= context:
            raise ConfigError(
                f"recipe {self.name!r}: index_topk {config.index_topk} is not below the training "
                f"context of {context} tokens ({key}), so nothing would be sparse: lower it"
            )
        if context > config.max_position_embeddings:
            raise ConfigError(
                f"recipe {self.name!r}: {key} {context} is more than max_position_embeddings "
                f"{config.max_position_embeddings}: lower the one or raise the other"
            )

    def _check_model_keys(self) -> None:
        """ModelConfig keeps keys that it does not know, for config.json; here they are mistakes."""
        for table, values, known in (
            ("model", self.model, ModelConfig.model_fields.keys()),
            (
                "model.rope_scaling",
                self.model.get("rope_scaling") or {},
                RopeScaling.model_fields.keys() | {"type", "rope_type"},
            ),
        ):
            for key in values.keys() - known:
                raise ConfigError(
                    f"recipe {self.name!r}: unknown key {f'{table}.{key}'!r} (set to "
                    f"{values[key]!r}): remove it or mend its spelling"
                )


def read_recipe(name_or_path: str, overrides: list[str] | None = None) -> Recipe:
    """A built-in recipe by name, or a TOML file by path, with `table.key=value` overrides.

    Raises ConfigError naming the key, its value and the file.
    """
    recipe = read_table(Recipe, "speciale.recipes", name_or_path, overrides)
    recipe.model_config_checked()
    return recipe
