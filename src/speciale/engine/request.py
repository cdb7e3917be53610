"""A request on its way through the engine: its settings, what it has produced, how it ended.

RL reads back the very ids, the log-prob of each under the distribution it was drawn from, the kept
sets, the experts used and the version of the weights (V3.2 report, section 3.1).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from torch import Tensor

from speciale.chat.detokenizer import Detokenizer
from speciale.engine.params import SamplingParams
from speciale.engine.sampler import Draw
from speciale.engine.sequence import Sequence
from speciale.engine.stops import StopWatcher

FinishReason = Literal["stop", "length", "cancelled", "deadline", "error"]


@dataclass
class Completion:
    """One sample. Lists have one entry a token of `ids`.

    The token that ended it (the end of the turn or one of stop_ids) is in `ids`, not in `text`; a
    stop string is in neither `text` nor cut out of `ids`.
    """

    index: int
    ids: list[int] = field(default_factory=list)
    text: str = ""  # empty where the engine has no tokenizer
    finish_reason: FinishReason | None = None
    stop: str | int | None = None  # the stop string or id that was met
    error: str | None = None  # with finish_reason "error"
    logprobs: list[float] = field(default_factory=list)  # of what was sampled from: log pi_old
    model_logprobs: list[float] = field(default_factory=list)  # of the bare model
    top: list[list[tuple[int, float]] | None] = field(default_factory=list)  # if logprobs is asked
    kept: list[np.ndarray | None] = field(default_factory=list)  # if kept_set is; None: all ids
    versions: list[int] = field(default_factory=list)  # of the weights
    routing: Tensor | None = None  # [prompt + ids - 1, MoE layers, K] int16, if routing is asked
    cached_tokens: int = 0  # of the prompt, found in the prefix cache
    seconds_to_first: float | None = None
    seconds: float = 0.0


@dataclass
class Update:
    """What a step brought one sample; `completion` with the last one only."""

    request: int
    index: int
    ids: list[int]
    text: str
    completion: Completion | None = None
    logprobs: list[float] = field(default_factory=list)  # of the bare model, one for each of `ids`
    top: list[list[tuple[int, float]] | None] | None = None  # if logprobs is asked


class Request:
    """The engine's side of one sample."""

    def __init__(
        self,
        sequence: Sequence,
        params: SamplingParams,
        seed: int,
        index: int,
        limit: int,
        tokenizer,
    ) -> None:
        """limit: the most tokens it may produce; tokenizer: None gives no text."""
        self.sequence, self.params, self.seed, self.limit = sequence, params, seed, limit
        self.prompt = sequence.tokens[: sequence.prompt_length]
        self.completion = Completion(index)
        self.matcher = None  # of its grammar
        self.draft: int | None = None  # the MTP layer's guess of the token after the last one
        self.drafting = True  # the MTP layer has seen all of it
        self._detokenizer = Detokenizer(tokenizer) if tokenizer is not None else None
        self._watcher = StopWatcher(params.stop)
        self._begun = time.monotonic()

    @property
    def left(self) -> int:
        """Tokens that it may still produce."""
        return self.limit - len(self.completion.ids)

    def take(self, draw: Draw, version: int, ends: frozenset[int]) -> Update:
        """Adds a token; `ends` are the ids that end a completion. Sets finish_reason if it did."""
        done, token = self.completion, draw.token
        done.seconds_to_first = done.seconds_to_first or time.monotonic() - self._begun
        self.sequence.tokens.append(token)
        done.ids.append(token)
        done.logprobs.append(draw.logprob)
        done.model_logprobs.append(draw.model_logprob)
        done.versions.append(version)
        if self.params.logprobs is not None:
            done.top.append(draw.top)
        if self.params.kept_set:
            done.kept.append(draw.kept)
        text = ""
        if token in ends:
            done.finish_reason, done.stop = "stop", token
        elif self._detokenizer is not None:
            text = self._watcher.feed(self._detokenizer.feed([token]))
        if self._watcher.matched is not None:
            done.finish_reason, done.stop = "stop", self._watcher.matched
        elif done.finish_reason is None and self.left == 0:
            done.finish_reason = "length"
        if done.finish_reason is not None:
            text += self._rest()
            if self._watcher.matched is not None:  # seen only now that no more text can come
                done.finish_reason, done.stop = "stop", self._watcher.matched
        done.text += text
        update = Update(self.sequence.id, done.index, [token], text)
        if self.params.logprobs is not None:
            update.logprobs, update.top = [draw.model_logprob], [draw.top]
        return update

    def end(self, reason: FinishReason, error: str | None = None) -> Update:
        """Ends it from outside."""
        text = self._rest()
        self.completion.text += text
        self.completion.finish_reason, self.completion.error = reason, error
        return Update(self.sequence.id, self.completion.index, [], text)

    def close(self) -> Completion:
        self.completion.seconds = time.monotonic() - self._begun
        self.completion.cached_tokens = self.sequence.cached_tokens
        return self.completion

    def _rest(self) -> str:
        """The text that was held back: half a character, the beginning of a stop string."""
        if self._detokenizer is None or self._watcher.matched is not None:
            return ""
        return self._watcher.feed(self._detokenizer.finish()) + self._watcher.finish()
