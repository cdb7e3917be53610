"""Groups of attempts at a task: sampled, judged, and ready to learn from.

V3.2 report, 3.1: G outputs a prompt, several turns with tools, rewards composed per domain. What
goes wrong with one attempt costs that attempt: it is dropped and counted, and the run goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from speciale.agents.loop import Budget, Plan, judge, work_on_task
from speciale.agents.sampler import Sampler
from speciale.agents.trajectory import Trajectory
from speciale.chat import EOS
from speciale.chat.ids import mark_id
from speciale.errors import ConfigError
from speciale.rl.draws import Draw
from speciale.rl.recipe import Recipe, no_tools
from speciale.rl.rewards.component import RewardError, Rewards
from speciale.rl.sequences import Sequence, sequences_of
from speciale.sandbox import SandboxError
from speciale.tasks.task import Attempt, Task

Failure = str  # "sampler", "environment", "reward" or "verifier"


@dataclass
class Rollout:
    """One attempt that can be learnt from."""

    sequences: list[Sequence]
    score: float  # the verifier's
    reward: float
    parts: dict[str, float]  # of the reward
    tokens: int  # sampled
    turns: int
    truncated: bool  # it ended at a limit and not by an answer
    messages: list[dict[str, Any]]

    @property
    def oldest(self) -> int:
        """The version of the weights behind its oldest token."""
        return min(
            version
            for one in self.sequences
            for version, sampled in zip(one.versions, one.sampled)
            if sampled
        )


@dataclass
class Group:
    """What came of a draw. Fewer than two rollouts are no group: there is nothing to compare."""

    number: int
    domain: str
    cell: str
    task: str
    rollouts: list[Rollout] = field(default_factory=list)
    failures: Counter[Failure] = field(default_factory=Counter)
    distrusted: bool = False  # its verifier said one thing, then another
    errors: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        return len(self.rollouts) >= 2 and not self.distrusted

    @property
    def rewards(self) -> list[float]:
        return [rollout.reward for rollout in self.rollouts]

    @property
    def all_right(self) -> bool:
        return all(rollout.score == 1 for rollout in self.rollouts)

    @property
    def all_wrong(self) -> bool:
        return all(rollout.score < 1 for rollout in self.rollouts)

    @property
    def informative(self) -> bool:
        """Whether the attempts tell of something to learn: some right and some wrong, or, where no
        outcome is part of the reward, rewards that differ."""
        if not self.usable:
            return False
        if "outcome" in self.rollouts[0].parts:
            return not self.all_right and not self.all_wrong
        return max(self.rewards) - min(self.rewards) > 1e-6


class Rollouts:
    """Makes groups out of draws with a sampler."""

    def __init__(
        self,
        recipe: Recipe,
        sampler: Sampler,
        rewards: Mapping[str, Rewards],
        leave: Callable[[], None] | None = None,
    ) -> None:
        """leave: called by an attempt that will not sample any more."""
        self.recipe, self.sampler, self._rewards, self._leave = recipe, sampler, rewards, leave
        self._end = mark_id(sampler.tokenizer, EOS)

    def attempts(self, draw: Draw, group: Group) -> list[Callable[[], Any]]:
        """The attempts of a draw; each adds what comes of it to the group when it is awaited."""
        self.check(draw)
        rows: list[Rollout | None] = [None] * self.recipe.rollout.group_size
        left = [len(rows)]

        def ended() -> None:
            left[0] -= 1
            if not left[0]:  # in the order of the samples, whoever ended first
                group.rollouts = [row for row in rows if row is not None]

        def attempt(index: int) -> Callable[[], Any]:
            async def work() -> None:
                seed = seed_of(self.recipe.seed, draw.number, index)
                try:
                    rows[index] = await self._attempt(draw, group, seed, index)
                finally:
                    ended()

            return work

        return [attempt(index) for index in range(len(rows))]

    def check(self, draw: Draw) -> None:
        """ConfigError for a task with tools in a Speciale recipe."""
        task = draw.task
        if self.recipe.variant == "speciale" and (task.tools or task.open is not None):
            raise ConfigError(no_tools(draw.domain, f"task {task.source}#{task.id}"))

    async def _attempt(self, draw: Draw, group: Group, seed: int, index: int) -> Rollout | None:
        try:
            trajectory = await self.work(draw, seed)
            if trajectory.error is not None:
                return _failed(group, "sampler", trajectory.error)
            async with asyncio.timeout(self.recipe.rollout.attempt_seconds):
                await judge(draw.task, trajectory)
                if index == 0 and self._rechecks(draw) and await _changes(draw.task, trajectory):
                    group.distrusted = True
                    return _failed(
                        group, "verifier", f"{group.task}: another score the second time"
                    )
            reward = await self._rewards[draw.domain].judge(draw.task, trajectory)
        except RewardError as error:
            return _failed(group, "reward", str(error))
        except SandboxError as error:
            return _failed(group, "environment", str(error))
        except TimeoutError:
            return _failed(group, "reward", f"{group.task}: the verifier gave no score in time")
        except ConfigError:
            raise
        except Exception as error:  # a verifier that somebody wrote
            return _failed(group, "reward", f"{group.task}: {type(error).__name__}: {error}")
        sequences = sequences_of(trajectory)
        if not sequences:
            why = f"{group.task}: what was sampled begins with a mark that only the format sets"
            return _failed(group, "sampler", why)
        return Rollout(
            sequences, trajectory.score, reward.total, reward.parts, trajectory.sampled_tokens,
            len(trajectory.steps), trajectory.stop != "answer", trajectory.messages,
        )  # fmt: skip

    async def work(self, draw: Draw, seed: int) -> Trajectory:
        """One attempt, not judged."""
        settings = self.recipe.rollout
        domain = self.recipe.domains[draw.domain]
        params = settings.params(seed, self._end, domain.max_tokens)
        budget = Budget(turns=settings.turns, seconds=settings.attempt_seconds)
        plan = Plan(params=params, budget=budget, thinking=draw.thinking)
        try:
            return await work_on_task(self.sampler, draw.task, plan, tools=domain.tools)
        finally:
            if self._leave is not None:
                self._leave()

    def _rechecks(self, draw: Draw) -> bool:
        share = self.recipe.rollout.recheck_share
        return seed_of(self.recipe.seed, draw.number, -1) % 10_000 < share * 10_000


def new_group(draw: Draw) -> Group:
    return Group(draw.number, draw.domain, draw.cell, f"{draw.task.source}#{draw.task.id}")


def seed_of(*parts: int) -> int:
    """A seed of 48 bits for an attempt, far from that of its neighbours."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=6).digest()
    return int.from_bytes(digest)


def _failed(group: Group, kind: Failure, why: str) -> None:
    group.failures[kind] += 1
    group.errors.append(why)


async def _changes(task: Task, trajectory: Trajectory) -> bool:
    again = await task.verify(Attempt(trajectory.answer, trajectory.messages))
    return again.score != trajectory.score
