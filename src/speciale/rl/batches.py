"""What a step trains on, and synchronous sampling: draw, attempt, judge, until there is enough.

Dynamic sampling (DAPO, arXiv 2503.14476, 3.2): groups that are all right or all wrong have no
advantage; others are drawn in their place, up to a limit.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from tokenizers import Tokenizer
from torch import Tensor

from speciale.agents.lockstep import Lockstep
from speciale.engine.core import Core, EngineOptions
from speciale.engine.store import cache_budget
from speciale.model import Transformer
from speciale.rl.draws import Draw, Draws
from speciale.rl.recipe import Recipe, Rollout
from speciale.rl.rewards.component import Rewards
from speciale.rl.rollouts import Group, Rollouts, new_group

ERRORS_KEPT = 5


@dataclass
class Batch:
    """`kept` is what is trained on, of all that was drawn."""

    kept: list[Group] = field(default_factory=list)
    drawn: list[Group] = field(default_factory=list)
    stale: int = 0  # groups that were too old when their turn came
    busy: float = 0.0  # seconds in which the sampler worked
    seconds: float = 0.0  # until it was there

    @property
    def failures(self) -> Counter[str]:
        return sum((group.failures for group in self.drawn), Counter())

    @property
    def errors(self) -> list[str]:
        return [why for group in self.drawn for why in group.errors][:ERRORS_KEPT]


class Source(Protocol):
    """Where batches come from; `update` gives it the weights of the next version."""

    async def collect(self) -> Batch: ...

    async def update(self, model: Transformer) -> None: ...

    async def close(self) -> None: ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors named "buffer...", JSON) that it goes on from."""
        ...

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None: ...


def wanted(group: Group, settings: Rollout) -> bool:
    return group.informative if settings.dynamic_sampling else group.usable


def settle(group: Group, draw: Draw, draws: Draws) -> None:
    """Tells the curriculum how a group went."""
    if group.distrusted:
        draws.ban(draw.task)
    if group.usable:
        draws.tell(group.domain, group.cell, group.informative)


def sampler_core(model: Transformer, settings: Rollout, version: int) -> Core:
    """An engine on a copy of the model's weights."""
    copy = Transformer(model.config).requires_grad_(False)
    context = min(settings.window, model.config.max_position_embeddings)
    core = Core(
        copy,
        None,
        EngineOptions(
            cache_bytes=cache_budget(model.config, context, False, settings.running),
            max_context=context,
            max_sequences=settings.running,
            max_batch_tokens=max(512, settings.running),
            max_waiting=1 << 20,
            speculate=False,  # what is drafted is never checked the same way twice
        ),
    )
    core.version = version - 1
    core.update_weights(sampler_weights(model, settings))
    return core


def sampler_weights(model: Transformer, settings: Rollout) -> dict[str, Tensor]:
    """The weights that the sampler gets: all of them, rounded where the recipe says so."""
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    if settings.weights == "bfloat16":
        tensors = {
            name: t.to(torch.bfloat16).float() if t.is_floating_point() else t
            for name, t in tensors.items()
        }
    return tensors


class Synchronous:
    """Samples with the weights of the step, then waits for the next ones."""

    def __init__(
        self,
        recipe: Recipe,
        model: Transformer,
        tokenizer: Tokenizer,
        draws: Draws,
        rewards: dict[str, Rewards],
        version: int,
    ) -> None:
        self._settings, self._draws = recipe.rollout, draws
        self.core = sampler_core(model, recipe.rollout, version)
        self._sampler = Lockstep(self.core, tokenizer)
        self._rollouts = Rollouts(recipe, self._sampler, rewards, self._sampler.leave)

    async def collect(self) -> Batch:
        batch, begun, busy = Batch(), time.perf_counter(), self._sampler.busy
        most = int(self._settings.groups * self._settings.most_draws)
        while (missing := self._settings.groups - len(batch.kept)) and len(batch.drawn) < most:
            draws = [self._draws.next() for _ in range(min(missing, most - len(batch.drawn)))]
            groups = [new_group(draw) for draw in draws]
            await self._sampler.run(
                [
                    attempt
                    for draw, group in zip(draws, groups)
                    for attempt in self._rollouts.attempts(draw, group)
                ]
            )
            for draw, group in zip(draws, groups):
                settle(group, draw, self._draws)
            batch.drawn += groups
            batch.kept += [group for group in groups if wanted(group, self._settings)]
            if not self._settings.dynamic_sampling:
                break
        batch.busy = self._sampler.busy - busy
        batch.seconds = time.perf_counter() - begun
        return batch

    async def update(self, model: Transformer) -> None:
        self.core.update_weights(sampler_weights(model, self._settings))

    async def close(self) -> None:
        pass

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {}  # nothing is left between two steps

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        pass
