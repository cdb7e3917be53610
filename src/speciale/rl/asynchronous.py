"""Asynchronous sampling with bounded staleness: the engine samples while the trainer learns.

V3.2 report, 3.1 (stale data is why off-policy masking exists); AReaL, arXiv 2505.24298, 5: so many
groups are under way as have their turn within `staleness` steps, and a new one is begun when one
ends; what is under way goes on over new weights, each token with its version. Those begun first are
learnt from first, and a step waits for a group that would be too old at the next one: else short
answers would overtake long ones, and no long one would ever be learnt from. `Asynchronous` has the
engine in this process, servers.py the same on servers.
"""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor

from speciale.agents.embedded import EmbeddedSampler
from speciale.agents.sampler import Sampler
from speciale.engine.core import Core
from speciale.engine.engine import Engine
from speciale.model import Transformer
from speciale.rl.batches import Batch, sampler_core, sampler_weights, settle, wanted
from speciale.rl.buffer import pack, unpack
from speciale.rl.draws import Draw, Draws
from speciale.rl.recipe import Recipe
from speciale.rl.rewards.component import Rewards
from speciale.rl.rollouts import Group, Rollouts, new_group


def half_of_the_cores() -> int:
    """For sampler and trainer each, where they work at the same time."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


class Continuous(ABC):
    """Groups under way and groups that wait for their turn, whoever samples; both are in its
    state."""

    def __init__(
        self,
        recipe: Recipe,
        sampler: Sampler,
        draws: Draws,
        rewards: dict[str, Rewards],
        version: int,
    ) -> None:
        """version: of the weights that the sampler begins with."""
        self._settings, self._draws = recipe.rollout, draws
        self._rollouts = Rollouts(recipe, sampler, rewards)
        self._version = version
        self._tasks: dict[asyncio.Task, tuple[Draw, int]] = {}  # and the version it begins with
        self._ready: list[Group] = []  # that can be learnt from
        self._news: list[Group] = []  # all that ended since the last batch
        self._counted = 0.0  # of `busy`, in earlier batches
        self._ended = asyncio.Event()
        self._fault: BaseException | None = None

    @property
    @abstractmethod
    def busy(self) -> float:
        """Seconds in which the sampler worked so far."""

    @abstractmethod
    async def _hand_on(self, model: Transformer, version: int) -> None:
        """Gives the sampler the model's weights; when it returns, it samples with these."""

    @abstractmethod
    async def _close_sampler(self) -> None: ...

    async def collect(self) -> Batch:
        """`groups` of them, or more where more would be too old at the next step; fewer where
        `most_draws` gave no more."""
        batch, begun = Batch(), time.perf_counter()
        wanted_groups, staleness = self._settings.groups, self._settings.staleness
        most = int(wanted_groups * self._settings.most_draws)
        while True:
            if self._fault is not None:
                raise self._fault
            self._refill((1 + staleness) * wanted_groups, most)
            due = any(self._last_turn(version) for _, version in self._tasks.values())
            enough = len(self._ready) >= wanted_groups or len(self._news) >= most
            if not due and (enough or not self._tasks):
                break
            await self._ended.wait()
            self._ended.clear()
        self._ready.sort(key=lambda group: (oldest(group), group.number))
        for place, group in enumerate(self._ready):
            if self._version - oldest(group) > staleness:
                batch.stale += 1  # a server had older weights than it should
            elif place < wanted_groups + batch.stale or self._last_turn(oldest(group)):
                batch.kept.append(group)
            else:
                break
        del self._ready[: len(batch.kept) + batch.stale]
        self._refill(staleness * wanted_groups, most)
        batch.drawn, self._news = self._news, []
        batch.busy, self._counted = self.busy - self._counted, self.busy  # learning is no pause
        batch.seconds = time.perf_counter() - begun
        return batch

    def _last_turn(self, version: int) -> bool:
        """Whether what began with this version is too old at the next step."""
        return version + self._settings.staleness <= self._version

    async def update(self, model: Transformer) -> None:
        await self._hand_on(model, self._version + 1)
        self._version += 1

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close_sampler()

    def _refill(self, waiting: int, most: int) -> None:
        """Begins groups until so many are under way or wait for their turn; but no more than may
        be drawn for this step, and those of later ones."""
        later = self._settings.staleness * self._settings.groups
        while self._fault is None and len(self._tasks) < min(
            waiting - len(self._ready), most + later - len(self._news)
        ):
            self._begin(self._draws.next())

    def _begin(self, draw: Draw) -> None:
        task = asyncio.create_task(self._group(draw))
        self._tasks[task] = draw, self._version
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task) -> None:
        del self._tasks[task]
        self._ended.set()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON): the groups that wait, and the draws that are under way."""
        tensors, groups = pack(self._ready)
        under_way = [draw.mark for draw, _ in self._tasks.values()]
        return tensors, {"ready": groups, "under_way": sorted(under_way)}

    def restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Goes on from a state: what was under way begins again, with the weights of now."""
        self._ready = unpack(tensors, state["ready"])
        for mark in state["under_way"]:
            self._begin(self._draws.again(mark))

    async def _group(self, draw: Draw) -> None:
        group = new_group(draw)
        try:
            async with asyncio.TaskGroup() as tasks:
                for attempt in self._rollouts.attempts(draw, group):
                    tasks.create_task(attempt())
        except* Exception as errors:
            self._fault = errors.exceptions[0]
        settle(group, draw, self._draws)
        self._news.append(group)
        if wanted(group, self._settings):
            self._ready.append(group)


class Asynchronous(Continuous):
    """The engine in this process samples, on a thread of its own."""

    def __init__(
        self,
        recipe: Recipe,
        model: Transformer,
        tokenizer: Tokenizer,
        draws: Draws,
        rewards: dict[str, Rewards],
        version: int,
    ) -> None:
        self.core: Core = sampler_core(model, recipe.rollout, version)
        self._engine = Engine(self.core, threads=half_of_the_cores())
        sampler = EmbeddedSampler(self._engine, tokenizer=tokenizer)
        super().__init__(recipe, sampler, draws, rewards, version)

    @property
    def busy(self) -> float:
        return self._engine.busy

    async def _hand_on(self, model: Transformer, version: int) -> None:
        tensors = {name: t.clone() for name, t in sampler_weights(model, self._settings).items()}
        await self._engine.update_weights(tensors, self._settings.recompute)

    async def _close_sampler(self) -> None:
        await self._engine.close()


def oldest(group: Group) -> int:
    """The version of the weights behind its oldest token."""
    return min(rollout.oldest for rollout in group.rollouts)
