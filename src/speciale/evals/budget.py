"""A sampler whose thinking ends after so many tokens: for curves of accuracy over thinking.

What was thought so far stands, `</think>` is put behind it, and the answer is sampled from there
(budget forcing: Muennighoff et al. 2025, arXiv:2501.19393, section 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from speciale.agents.sampler import OnIds, Sample, Sampler
from speciale.chat import THINK_CLOSE, THINK_OPEN
from speciale.chat.ids import mark_id
from speciale.engine.params import SamplingParams


class Thrifty:
    """As `sampler`, with at most `budget` tokens of thinking a completion."""

    def __init__(self, sampler: Sampler, budget: int) -> None:
        self.sampler, self.budget = sampler, budget
        self.tokenizer, self.window = sampler.tokenizer, sampler.window
        self._open = mark_id(self.tokenizer, THINK_OPEN)
        self._close = mark_id(self.tokenizer, THINK_CLOSE)

    async def sample(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        tools: Sequence[Mapping[str, Any]] = (),
        on_ids: OnIds | None = None,
    ) -> Sample:
        if prompt[-1] != self._open or (params.max_tokens or self.budget + 1) <= self.budget:
            return await self.sampler.sample(prompt, params, tools, on_ids)
        thought = Sample([], [])
        if self.budget:
            first = replace(
                params, max_tokens=self.budget, stop_ids=[*params.stop_ids, self._close]
            )
            thought = await self.sampler.sample(prompt, first, tools, on_ids)
            ended = thought.finish == "stop" and thought.ids[-1:] != [self._close]
            if ended:  # the turn is over before the thinking was
                return thought
        ids, logprobs = list(thought.ids), list(thought.logprobs)
        if ids[-1:] != [self._close]:
            ids.append(self._close)
            logprobs.append(0.0)  # it was not drawn
        left = None if params.max_tokens is None else params.max_tokens - len(ids)
        if left is not None and left < 1:
            return Sample(ids, logprobs, "length")
        rest = await self.sampler.sample(
            [*prompt, *ids], replace(params, max_tokens=left), tools, on_ids
        )
        return Sample([*ids, *rest.ids], [*logprobs, *rest.logprobs], rest.finish)
