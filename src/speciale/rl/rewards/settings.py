"""The rewards of a domain as a table of the recipe, and the components that it asks for.

[domains.arithmetic.rewards]
outcome = 1.0
length = 0.1                 # Speciale: a small fraction of it
length_limit = 96
rubric = { weight = 1.0, url = "http://localhost:8000/v1", model = "judge", key_env = "KEY" }
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from tokenizers import Tokenizer

from speciale.errors import ConfigError, SpecialeError
from speciale.rl.rewards.component import Component, Rewards
from speciale.rl.rewards.grader import ServerGrader
from speciale.rl.rewards.proof import Proof
from speciale.rl.rewards.proof_scores import ALPHA, BETA
from speciale.rl.rewards.rubric import Rubric
from speciale.rl.rewards.rules import Format, Language, Length, Outcome

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRETS = ("key", "api_key", "token", "password", "secret")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class GraderSettings(_Table):
    """A chat server whose model grades."""

    weight: float = Field(1.0, ge=0)
    url: str  # up to and with /v1
    model: str = Field(min_length=1)
    key_env: str | None = None  # the environment variable that holds the key
    temperature: float | None = Field(None, ge=0)  # None: the server's own
    max_tokens: int | None = Field(None, ge=1)  # of a reply; None: the server's own
    request_timeout_s: float = Field(600, gt=0)
    concurrency: int = Field(32, ge=1)  # requests at a time

    @model_validator(mode="before")
    @classmethod
    def _no_secrets(cls, values: Any) -> Any:
        """Told without the value, which pydantic's own errors would repeat (a SpecialeError is no
        ValueError, and passes it by)."""
        if isinstance(values, dict):
            named = values.get("key_env")
            secret = next((key for key in _SECRETS if key in values), None)
            if isinstance(named, str) and not _VARIABLE.fullmatch(named):
                secret = "key_env"
            if secret is not None:
                raise SpecialeError(
                    f"{secret} of a grader is no name of a variable, and recipes are stored: put "
                    "the key into an environment variable and set key_env to its name"
                )
        return values

    def grader(self) -> ServerGrader:
        return ServerGrader(
            self.url,
            self.model,
            key_env=self.key_env,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            timeout_s=self.request_timeout_s,
            concurrency=self.concurrency,
        )


class RubricSettings(GraderSettings):
    """A generative reward model; each task brings its rubric."""


class ProofSettings(GraderSettings):
    """A verifier and meta-verifier of proofs."""

    verifications: int = Field(1, ge=1)  # of each proof
    meta_verifications: int = Field(1, ge=1)  # of each evaluation that is looked at
    confirmations: int = Field(1, ge=1)  # that the lowest score needs where they differ
    alpha: float = Field(ALPHA, ge=0)  # of the proof's score
    beta: float = Field(BETA, ge=0)  # of honesty

    @model_validator(mode="after")
    def _can_be_confirmed(self) -> ProofSettings:
        if self.confirmations > self.verifications:
            raise ValueError(
                f"confirmations {self.confirmations} is more than verifications "
                f"{self.verifications}: no proof would ever be scored below 1 where they differ"
            )
        return self


class RewardSettings(_Table):
    """Weights of a domain's rewards; 0 leaves one out."""

    outcome: float = Field(1.0, ge=0)
    length: float = Field(0.0, ge=0)
    length_limit: int = Field(1024, ge=1)  # sampled tokens at which the length penalty is whole
    format: float = Field(0.0, ge=0)
    language: float = Field(0.0, ge=0)
    rubric: RubricSettings | None = None
    proof: ProofSettings | None = None
    timeout_s: float = Field(60, gt=0)  # of a component, its wait for a busy grader included

    @model_validator(mode="after")
    def _solving_pays(self) -> RewardSettings:
        """Only what is solved is charged for its length."""
        earned = self.outcome + sum(each.weight for each in (self.rubric, self.proof) if each)
        if self.length and self.length >= earned:
            raise ValueError(
                f"length {self.length:g} is not below what a solution earns ({earned:g}), so that "
                "a long solution would pay no more than a failure: lower it"
            )
        return self


def build(settings: RewardSettings, tokenizer: Tokenizer | None = None) -> Rewards:
    """The rewards that a table asks for.

    tokenizer: of the sampler; with it Format reads the sampled ids strictly. ConfigError where
    nothing has a weight, and for a grader whose address or key's variable is not there.
    """
    weighted: list[tuple[float, Component]] = []
    if settings.outcome:
        weighted.append((settings.outcome, Outcome()))
    if settings.length:
        weighted.append((settings.length, Length(settings.length_limit)))
    if settings.format:
        weighted.append((settings.format, Format(tokenizer)))
    if settings.language:
        weighted.append((settings.language, Language()))
    if settings.rubric is not None and settings.rubric.weight:
        weighted.append((settings.rubric.weight, Rubric(settings.rubric.grader())))
    if (proof := settings.proof) is not None and proof.weight:
        weighted.append(
            (
                proof.weight,
                Proof(
                    proof.grader(),
                    verifications=proof.verifications,
                    meta_verifications=proof.meta_verifications,
                    confirmations=proof.confirmations,
                    alpha=proof.alpha,
                    beta=proof.beta,
                ),
            )
        )
    if not weighted:
        raise ConfigError(
            "all rewards of a domain have the weight 0: give one, such as outcome = 1.0"
        )
    return Rewards(weighted, settings.timeout_s)
