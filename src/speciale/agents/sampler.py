"""`Sampler`: the one seam between agents, synthesis or RL and whatever model answers them.

Token ids go in; the sampled ids come out with the log-prob of each under the distribution it was
drawn from, and what else RL needs (V3.2 report, 3.1: kept sets, routing). Its forms: embedded.py
(the engine in this process), server.py (vLLM, SGLang), scripted.py (a policy function).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tokenizers import Tokenizer

from speciale.engine.params import SamplingParams
from speciale.errors import SpecialeError

OnIds = Callable[[list[int]], None]


class SamplerError(SpecialeError):
    """The model could not answer, and asking again did not help."""


@dataclass
class Sample:
    """One completion. `logprobs` has one entry a token of `ids`, or is empty where the server
    gives none; the end mark is in `ids` if it was sampled."""

    ids: list[int]
    logprobs: list[float] = field(default_factory=list)  # log pi_old
    finish: Literal["stop", "length"] = "stop"
    cached_tokens: int = 0  # of the prompt, found in a prefix cache
    versions: list[int | str] = field(default_factory=list)  # of the weights, where known
    extras: dict[str, Any] = field(default_factory=dict)  # kept, routing: as the engine gives them


class Sampler(Protocol):
    tokenizer: Tokenizer
    window: int  # tokens of prompt and completion

    async def sample(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        tools: Sequence[Mapping[str, Any]] = (),
        on_ids: OnIds | None = None,
    ) -> Sample:
        """One completion (params.n counts for nothing). Cancelling the task stops the work.

        `tools` are those that the prompt declares, for samplers that hold calls to their schemas;
        `on_ids` hears of ids as they come, by those that stream. SamplerError where the model
        cannot be had, RequestError for what it can never do.
        """
        ...
