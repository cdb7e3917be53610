"""The engine in this process as a `Sampler`: continuous batching over all agents at once, prefix
cache between their steps, calls held to the tools' schemas by grammar where that is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from speciale.agents.sampler import OnIds, Sample, SamplerError
from speciale.chat import THINK_OPEN
from speciale.chat.ids import mark_id
from speciale.engine.engine import Engine
from speciale.engine.grammar import ToolCalls
from speciale.engine.params import SamplingParams
from speciale.engine.request import Completion
from speciale.errors import CheckpointError


class EmbeddedSampler:
    """Use as `async with EmbeddedSampler(Engine.open(folder))`."""

    def __init__(
        self, engine: Engine, constrain: bool = False, tokenizer: Tokenizer | None = None
    ) -> None:
        """constrain: calls must name a tool and fit its schema, by a mask over the vocabulary; it
        changes what log-probs mean, so RL leaves it off. tokenizer: for an engine that works on ids
        alone, which spares it the text of every token. CheckpointError without any."""
        tokenizer = tokenizer or engine.core.tokenizer
        if tokenizer is None:
            raise CheckpointError("the model has no tokenizer.json: an agent needs one")
        self.engine, self.constrain = engine, constrain
        self.tokenizer, self.window = tokenizer, engine.core.context
        self._think_open = mark_id(self.tokenizer, THINK_OPEN)
        self._grammars: dict[str, ToolCalls] = {}

    @classmethod
    def open(cls, folder: str | Path, constrain: bool = False, **options: Any) -> EmbeddedSampler:
        """options: those of EngineOptions."""
        return cls(Engine.open(folder, **options), constrain)

    async def __aenter__(self) -> EmbeddedSampler:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.engine.close()

    async def sample(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        tools: Sequence[Mapping[str, Any]] = (),
        on_ids: OnIds | None = None,
    ) -> Sample:
        if self.constrain and tools and params.grammar is None:
            params = replace(params, grammar=self._grammar(tools, prompt[-1] == self._think_open))
        if params.n != 1:
            params = replace(params, n=1)
        if on_ids is None:
            [done] = await self.engine.complete(list(prompt), params)
            return sample_of(done, params)
        async with aclosing(self.engine.generate(list(prompt), params)) as updates:
            async for update in updates:
                if update.ids:
                    on_ids(update.ids)
                done = update.completion
        return sample_of(done, params)

    def _grammar(self, tools: Sequence[Mapping[str, Any]], thinking: bool) -> ToolCalls:
        key = json.dumps([thinking, *tools], sort_keys=True)
        if key not in self._grammars:
            self._grammars[key] = ToolCalls([dict(tool) for tool in tools], "auto", thinking)
        return self._grammars[key]


def sample_of(done: Completion, params: SamplingParams) -> Sample:
    """What the engine returned, as samplers do. SamplerError where it gave up."""
    if done.finish_reason not in ("stop", "length"):
        raise SamplerError(
            f"the engine gave up on a sample ({done.error or done.finish_reason}): try again, "
            "or with a shorter prompt"
        )
    extras: dict[str, Any] = {}
    if params.kept_set:
        extras["kept"] = done.kept
    if params.routing:
        extras["routing"] = done.routing
    return Sample(
        done.ids, done.logprobs, done.finish_reason, done.cached_tokens, done.versions, extras
    )
