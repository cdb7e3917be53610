"""An RL recipe: one TOML file that says everything a run does, checked before anything starts.

V3.2 report, 3.1: one mixed run over the domains, no stages; each stabiliser is a switch. Built-in
ones are in `speciale/recipes/rl`; any value can be overridden with `--set key=value`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from speciale.engine.params import SamplingParams
from speciale.errors import ConfigError
from speciale.rl.objective import Objective
from speciale.rl.policy import Conditions
from speciale.rl.rewards.settings import RewardSettings
from speciale.train.tables import Table, read_table

PACKAGE = "speciale.recipes.rl"


class ServerSettings(Table):
    """vLLM or SGLang servers that sample, and not the engine in this process (servers.py)."""

    kind: Literal["vllm", "sglang"] = "vllm"
    urls: list[str] = Field(min_length=1)  # of each server, with or without /v1
    model: str = "default"  # the name that vLLM serves it under
    # The environment variable that holds the servers' key; recipes are stored, so never the key.
    key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    # A folder of this run alone, which servers and trainer see under the same path.
    weights: str = Field(min_length=1)
    update_s: float = Field(600, gt=0)  # for a server to load new weights
    routing: bool = False  # the servers run with --enable-return-routed-experts


class Rollout(Table):
    groups: int = Field(16, ge=1)  # tasks of a step
    group_size: int = Field(8, ge=2)  # attempts at each
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    max_tokens: int = Field(96, ge=1)  # of a completion
    turns: int = Field(8, ge=1)  # completions of an attempt
    window: int = Field(1024, ge=16)  # tokens of prompt and completions together
    attempt_seconds: float = Field(120, gt=0)  # tools and verifier included
    running: int = Field(64, ge=1)  # samples that the engine draws side by side
    # Steps that the weights behind a token may be old. 0: sample, then train, and the same bits
    # whenever the run is repeated or resumed; else both at once.
    staleness: int = Field(0, ge=0)
    recompute: bool = False  # new weights: keys of samples under way are computed anew
    dynamic_sampling: bool = True  # leave out groups that are all right or all wrong, draw others
    most_draws: float = Field(2.0, ge=1)  # times `groups`: then a step trains on what there is
    weights: Literal["float32", "bfloat16"] = "float32"  # the sampler's, rounded to these
    recheck_share: float = Field(0.02, ge=0, le=1)  # of attempts that are verified twice
    server: ServerSettings | None = None  # None: the engine in this process samples

    def params(self, seed: int, end: int, max_tokens: int | None = None) -> SamplingParams:
        """How one attempt draws; `end` is the id that ends a turn."""
        return SamplingParams(
            max_tokens=max_tokens or self.max_tokens,
            temperature=self.temperature, top_p=self.top_p, top_k=self.top_k,
            seed=seed, stop_ids=(end,), routing=True, kept_set=True,
        )  # fmt: skip


class ObjectiveSettings(Table):
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.28, gt=0)
    kl_weight: float = Field(0.0, ge=0)  # beta; a domain may have its own
    kl_unbiased: bool = True  # false: K3
    off_policy_masking: bool = True
    off_policy_delta: float = Field(0.1, gt=0)  # nats a token
    keep_routing: bool = True
    keep_sampling_mask: bool = True
    normalise: bool = False  # advantages by the group's standard deviation
    importance_cap: float | None = Field(None, gt=0)  # of pi_proximal / pi_old, truncated

    def objective(self, kl_weight: float) -> Objective:
        return Objective(
            self.clip_low, self.clip_high, kl_weight, self.kl_unbiased,
            self.off_policy_delta if self.off_policy_masking else None, self.importance_cap,
        )  # fmt: skip

    def conditions(self, temperature: float) -> Conditions:
        return Conditions(temperature, self.keep_routing, self.keep_sampling_mask)


class Optimisation(Table):
    steps: int = Field(ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    warmup_steps: int = Field(5, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    gradient_clip: float = Field(1.0, gt=0)  # largest gradient norm, model and indexer apart
    updates: int = Field(1, ge=1)  # optimiser steps on a step's samples
    row_tokens: int = Field(1024, ge=16)  # of a packed row: what is in memory at once
    train_indexer: bool = False  # by its KL, as in the sparse stage
    minutes: float | None = Field(None, gt=0)  # end after so much training time


class Curriculum(Table):
    window: int = Field(8, ge=1)  # groups of a source and level that count
    floor: float = Field(0.1, gt=0, le=1)  # least weight of one whose groups tell nothing


class Domain(Table):
    weight: float = Field(1.0, gt=0)
    sources: list[str] = Field(min_length=1)  # SOURCE, SOURCE@LEVEL or SOURCE@FIRST-LAST
    heldout: list[str] = Field([])  # sources that are evaluated and never trained on
    thinking: Literal["on", "off", "mixed"] = "mixed"
    max_tokens: int | None = Field(None, ge=1)  # of a completion; None: rollout.max_tokens
    kl_weight: float | None = Field(None, ge=0)
    tools: str | None = None  # our own, as `speciale agent --tools` names them
    rewards: RewardSettings = Field(default_factory=RewardSettings)


class Evaluation(Table):
    every: int = Field(20, ge=1)  # steps
    tasks: int = Field(16, ge=1)  # of each source and level, held out
    samples: int = Field(4, ge=1)  # attempts at each: the k of pass@k
    shown: int = Field(3, ge=0)  # of each domain, kept as samples


class Recipe(Table):
    name: str = Field(pattern=r"^\w[\w .-]*$")  # also a folder's name
    seed: int = Field(0, ge=0)
    model: str  # where RL starts: a run, an RL run or an HF-layout folder
    store: str | None = None  # of synthesised tasks: sources name it as synth:{store}
    variant: Literal["v3.2", "speciale"] = "v3.2"  # speciale: always thinks, calls no tools
    rollout: Rollout = Field(default_factory=Rollout)
    objective: ObjectiveSettings = Field(default_factory=ObjectiveSettings)
    train: Optimisation
    curriculum: Curriculum = Field(default_factory=Curriculum)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    domains: dict[str, Domain] = Field(min_length=1)

    @field_validator("domains")
    @classmethod
    def _names(cls, domains: dict[str, Domain]) -> dict[str, Domain]:
        for name in domains:
            if "/" in name or not name.strip():
                raise ValueError(f"a domain's name is {name!r}: give one without '/'")
        return domains

    def sources(self, domain: str, heldout: bool = False) -> list[str]:
        """The sources of a domain, the store's path in them. ConfigError where it is missing."""
        found = self.domains[domain].heldout if heldout else self.domains[domain].sources
        if self.store is None and any("{store}" in source for source in found):
            raise ConfigError(
                f"recipe {self.name!r}: domains.{domain} takes tasks of {{store}}, but store is "
                "not set: give the folder of a store, such as --set store=runs/laptop/tasks"
            )
        return [source.replace("{store}", self.store or "") for source in found]

    @model_validator(mode="after")
    def _speciale_calls_no_tools(self) -> Recipe:
        if self.variant == "speciale":
            for name, domain in self.domains.items():
                if domain.tools is not None:
                    raise ConfigError(no_tools(name, f"tools = {domain.tools!r}"))
                if domain.thinking != "on":
                    raise ConfigError(
                        f"recipe {self.name!r}: Speciale always thinks, but domains.{name}."
                        f'thinking is {domain.thinking!r}: set it to "on"'
                    )
        return self

    def kl_weight(self, domain: str) -> float:
        own = self.domains[domain].kl_weight
        return self.objective.kl_weight if own is None else own


def no_tools(domain: str, what: str) -> str:
    return (
        f"domain {domain!r} asks for tools ({what}), but the recipe's variant is speciale, which "
        'calls none (V3.2-Speciale model card): leave that source out, or set variant = "v3.2"'
    )


def read_recipe(name_or_path: str, overrides: list[str] | None = None) -> Recipe:
    """A built-in RL recipe by name, or a TOML file by path, with overrides. ConfigError."""
    return read_table(Recipe, PACKAGE, name_or_path, overrides)
