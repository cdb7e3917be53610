"""How good the policy is on tasks it was not trained on: pass@1 and pass@k by source and level.

Always synchronous, with the same tasks and seeds at every step, so that two steps differ by their
weights alone. pass@k is the share of tasks that one of k attempts solves.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from tokenizers import Tokenizer

from speciale.agents.lockstep import Lockstep
from speciale.agents.loop import judge
from speciale.agents.trajectory import Trajectory
from speciale.engine.core import Core
from speciale.errors import ConfigError
from speciale.rl.draws import Cell, Draw, cells_of
from speciale.rl.recipe import Recipe
from speciale.rl.rewards.component import Reward, RewardError, Rewards
from speciale.rl.rollouts import Rollouts, seed_of
from speciale.tasks.synthesised.pool import WorldPool
from speciale.tasks.task import Task


@dataclass
class _Subject:
    cell: Cell
    trained: bool  # on other tasks of this source
    draws: list[Draw]


class Evaluator:
    """Holds the tasks, drawn once."""

    def __init__(
        self, recipe: Recipe, rewards: dict[str, Rewards], pool: WorldPool | None = None
    ) -> None:
        self.recipe, self._rewards, self._pool = recipe, rewards, pool
        self._subjects = [
            self._subject(cell, trained)
            for name in recipe.domains
            for trained in (True, False)
            for cell in cells_of(name, recipe.sources(name, heldout=not trained))
        ]

    def _subject(self, cell: Cell, trained: bool) -> _Subject:
        """Held-out tasks of a source. An environment that its author holds out whole (`unseen` in
        its tasks' metadata) stands among those that are never trained on."""

        def belongs(task: Task) -> bool:
            return "unseen" not in task.metadata or bool(task.metadata["unseen"]) != trained

        found = cell.tasks(self.recipe.seed, "heldout", self._pool)
        tasks = islice(filter(belongs, found), self.recipe.evaluation.tasks)
        mode = self.recipe.domains[cell.domain].thinking
        draws = []
        for number, task in enumerate(tasks):
            thinks = mode == "on" or (mode == "mixed" and number % 2 == 0)
            draws.append(Draw(-1 - number, cell.domain, cell.name, task, thinks))
        return _Subject(cell, trained, draws)

    async def run(
        self, core: Core, tokenizer: Tokenizer, step: int
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """(rows of the evaluation's record, samples to show) with the core's weights."""
        sampler = Lockstep(core, tokenizer)
        rollouts = Rollouts(self.recipe, sampler, self._rewards, sampler.leave)
        count = self.recipe.evaluation.samples
        jobs = [(s, draw, k) for s in self._subjects for draw in s.draws for k in range(count)]

        def attempt(draw: Draw, index: int):
            async def work() -> Trajectory:
                trajectory = await rollouts.work(
                    draw, seed_of(self.recipe.seed, draw.number, index)
                )
                return await _judged(draw, trajectory)

            return work

        work = [attempt(draw, k) for _, draw, k in jobs]
        # A few at a time: their limit in seconds counts from their beginning, the queue included.
        size = 2 * self.recipe.rollout.running
        done: list[Trajectory] = []
        for start in range(0, len(work), size):
            done += await sampler.run(work[start : start + size])
        found: dict[int, list[tuple[Draw, int, Trajectory]]] = {}
        for (subject, draw, k), trajectory in zip(jobs, done):
            found.setdefault(id(subject), []).append((draw, k, trajectory))
        rows = [_row(s, count, [t for *_, t in found.get(id(s), [])]) for s in self._subjects]
        return rows, await self._samples(found, step)

    async def _samples(self, found: dict, step: int) -> list[dict[str, Any]]:
        """The first attempt at the first tasks of each domain, those of its sources in turn."""
        shown: dict[str, list[dict[str, Any]]] = {name: [] for name in self.recipe.domains}
        for place in range(self.recipe.evaluation.shown):
            for subject in self._subjects:
                rows = [row for row in found.get(id(subject), []) if row[1] == 0]
                name = subject.cell.domain
                if place < len(rows) and len(shown[name]) < self.recipe.evaluation.shown:
                    draw, _, trajectory = rows[place]
                    reward = await self._reward(draw, trajectory)
                    shown[name].append(
                        {
                            "step": step,
                            "task": f"{draw.cell}#{draw.task.id}",
                            "domain": name,
                            "messages": trajectory.messages,
                            "score": trajectory.score,
                            "reward": reward.total,
                            "parts": reward.parts,
                            "tokens": trajectory.sampled_tokens,
                        }
                    )
        return [sample for samples in shown.values() for sample in samples]

    async def _reward(self, draw: Draw, trajectory: Trajectory) -> Reward:
        try:
            return await self._rewards[draw.domain].judge(draw.task, trajectory)
        except RewardError:
            return Reward(0.0)


async def _judged(draw: Draw, trajectory: Trajectory) -> Trajectory:
    """An attempt that cannot be scored has not solved its task."""
    try:
        return await judge(draw.task, trajectory)
    except ConfigError:
        raise
    except Exception as error:
        trajectory.score, trajectory.reasons = 0.0, [str(error)]
        return trajectory


def _row(subject: _Subject, samples: int, done: list[Trajectory]) -> dict[str, Any]:
    solved = [trajectory.score == 1 for trajectory in done]
    tasks = [solved[n : n + samples] for n in range(0, len(solved), samples)]
    count = max(1, len(solved))
    return {
        "domain": subject.cell.domain,
        "source": subject.cell.source,
        "level": subject.cell.level,
        "split": "heldout",
        "trained": subject.trained,
        "n": len(tasks),
        "k": samples,
        "pass1": sum(solved) / count,
        "passk": sum(map(any, tasks)) / max(1, len(tasks)),
        "tokens": sum(trajectory.sampled_tokens for trajectory in done) / count,
    }
