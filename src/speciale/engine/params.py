"""What a request may ask of the sampler and the engine, checked before anything is computed.

Names and ranges are those of OpenAI's API where it has them, else those of transformers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from speciale.errors import RequestError


@dataclass(frozen=True)
class SamplingParams:
    """How to draw one request's tokens and what to return; raises RequestError for odd values."""

    max_tokens: int | None = None  # of the answer; None: as many as the context takes
    temperature: float = 1.0  # divides the logits; 0 takes the most likely token
    top_p: float = 1.0  # keep the smallest set of likely tokens with this much probability
    top_k: int = 0  # keep so many of the most likely tokens; 0: all
    min_p: float = 0.0  # drop what is less likely than this share of the most likely token
    presence_penalty: float = 0.0  # taken off the logit of each token of the answer so far
    frequency_penalty: float = 0.0  # the same, times how often it stands there
    repetition_penalty: float = 1.0  # divides logits of prompt and answer; negative ones: times
    seed: int | None = None  # of all draws; None: one by chance
    n: int = 1  # answers to the prompt
    stop: tuple[str, ...] | list[str] | str = ()  # texts that end the answer, not part of it
    stop_ids: tuple[int, ...] | list[int] = ()  # tokens that end it, beside the end of the turn
    ignore_eos: bool = False  # go on after the end of the turn
    min_tokens: int = 0  # neither the end of the turn nor stop_ids come before so many
    logprobs: int | None = None  # how many of the likeliest tokens to return for each drawn one
    kept_set: bool = False  # return the ids each token was drawn from (Keep Sampling Mask)
    routing: bool = False  # return the experts each token went through (Keep Routing)
    grammar: object | None = None  # a constraint of engine/grammar
    priority: int = 0  # larger ones are served first
    deadline_s: float | None = None  # seconds from submission after which it is given up

    def __post_init__(self) -> None:
        for key, (kind, holds, wanted) in _NUMBERS.items():
            value = getattr(self, key)
            if value is None and key in _OPTIONAL:
                continue
            number = int if kind is int else (int, float)
            if not isinstance(value, number) or isinstance(value, bool) or not holds(value):
                raise RequestError(f"{key} is {_shown(value)}: give {wanted}")
        for key in ("ignore_eos", "kept_set", "routing"):
            if not isinstance(getattr(self, key), bool):
                raise RequestError(f"{key} is {_shown(getattr(self, key))}: give true or false")
        object.__setattr__(self, "stop", _stops(self.stop))
        object.__setattr__(self, "stop_ids", _ids(self.stop_ids))
        self._check_together()

    def _check_together(self) -> None:
        if self.temperature == 0 and self.n > 1:
            raise RequestError(
                f"temperature is 0 and n is {self.n}, which gives the same answer {self.n} times: "
                "raise temperature or set n to 1"
            )
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise RequestError(
                f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}: lower "
                "min_tokens or raise max_tokens"
            )
        if self.grammar is not None and self.ignore_eos:
            raise RequestError(
                "ignore_eos is true, but a grammar ends its answer with the end of the turn: leave "
                "out one of them"
            )

    @property
    def truncates(self) -> bool:
        """Whether top_k, top_p or min_p may drop tokens."""
        return self.top_k > 0 or self.top_p < 1 or self.min_p > 0


# key -> (kind, what must hold, how to say it). NaN fails every comparison.
_NUMBERS: dict[str, tuple[type, Callable[[Any], bool], str]] = {
    "max_tokens": (int, lambda v: v >= 1, "an integer from 1, or None"),
    # Below 1e-5 float32 logits overflow, and above 0 nothing but the most likely token is left.
    "temperature": (
        float,
        lambda v: v == 0 or 1e-5 <= v <= 100,
        "a number from 0.00001 to 100, or 0 for the most likely token",
    ),
    "top_p": (float, lambda v: 0 < v <= 1, "a number above 0 and up to 1, where 1 keeps all"),
    "top_k": (int, lambda v: v >= 0, "an integer from 0, where 0 keeps all"),
    "min_p": (float, lambda v: 0 <= v < 1, "a number from 0 to below 1, where 0 keeps all"),
    "presence_penalty": (float, lambda v: -2 <= v <= 2, "a number from -2 to 2"),
    "frequency_penalty": (float, lambda v: -2 <= v <= 2, "a number from -2 to 2"),
    "repetition_penalty": (float, lambda v: 0.01 <= v <= 100, "a number from 0.01 to 100"),
    "seed": (int, lambda v: -(2**63) <= v < 2**63, "an integer of 64 bits, or None"),
    "n": (int, lambda v: 1 <= v <= 1024, "an integer from 1 to 1024"),
    "min_tokens": (int, lambda v: v >= 0, "an integer from 0"),
    "logprobs": (int, lambda v: 0 <= v <= 20, "an integer from 0 to 20, or None"),
    "priority": (int, lambda v: True, "an integer"),
    "deadline_s": (float, lambda v: 0 < v <= 1e9, "seconds above 0 and up to 1e9, or None"),
}
_OPTIONAL = ("max_tokens", "seed", "logprobs", "deadline_s")


def _stops(stop: object) -> tuple[str, ...]:
    stop = (stop,) if isinstance(stop, str) else stop
    if not isinstance(stop, (tuple, list)):
        raise RequestError(f"stop is {_shown(stop)}: give a text or a list of texts")
    for place, text in enumerate(stop):
        if not isinstance(text, str):
            raise RequestError(f"stop holds {_shown(text)} at place {place}: give texts only")
        if not text:
            raise RequestError(
                f"stop holds an empty text at place {place}, which would end every answer at once: "
                "leave it out"
            )
    return tuple(stop)


def _ids(stop_ids: object) -> tuple[int, ...]:
    if not isinstance(stop_ids, (tuple, list)):
        raise RequestError(f"stop_ids is {_shown(stop_ids)}: give a list of token ids")
    for token in stop_ids:
        if not isinstance(token, int) or isinstance(token, bool) or token < 0:
            raise RequestError(f"stop_ids holds {_shown(token)}: give token ids, integers from 0")
    return tuple(stop_ids)


def _shown(value: object) -> str:
    """A value as an error names it; one such as 10**5000 has no short form of its own."""
    try:
        text = repr(value)
    except ValueError:  # more digits than Python writes out
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:57] + "..."
