"""The RL loop: collect, learn, hand the weights on, write it all down; evaluate now and then.

V3.2 report, 3.1. A step's state is on the disk before the next one begins: weights, optimiser,
tasks drawn, curriculum. Killed at any moment a run loses at most the step in flight, and a
synchronous one then goes on to the same bits.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import torch

from speciale.chat.tokenizer import load_tokenizer, save_tokenizer
from speciale.engine.llm import model_folder
from speciale.errors import NoSignalError, TrainingError
from speciale.model import load_model, save_model
from speciale.rl.asynchronous import Asynchronous, half_of_the_cores
from speciale.rl.batches import Batch, Source, Synchronous, sampler_core
from speciale.rl.buffer import PREFIX
from speciale.rl.draws import Draws
from speciale.rl.evaluation import Evaluator
from speciale.rl.live import Live
from speciale.rl.metrics import Metrics
from speciale.rl.recipe import Recipe
from speciale.rl.report import write_report
from speciale.rl.rewards.settings import build
from speciale.rl.run import RlRun
from speciale.rl.servers import Served
from speciale.rl.team import Team
from speciale.tasks.synthesised.pool import WorldPool
from speciale.train.checkpointing import load_tensors, save_tensors
from speciale.train.parallel.ranks import Layout, Ranks

WORLDS = 64  # processes of synthesised environments: two a family
_EMPTY_STEPS = 3  # in a row without a group to learn from: then something is wrong


class Trainer:
    def __init__(self, run: RlRun, ranks: Ranks = Ranks()) -> None:  # noqa: B008
        """Loads the model of the recipe, or the state of a run that was begun. On the leader of
        `ranks`; the others `follow`."""
        self.run, self.recipe = run, run.recipe
        folder = model_folder(self.recipe.model)
        self.tokenizer = load_tokenizer(folder)
        self.model = load_model(folder)
        self.rewards = {
            name: build(domain.rewards, tokenizer=self.tokenizer)
            for name, domain in self.recipe.domains.items()
        }
        self.worlds = WorldPool(most=WORLDS)
        self.draws = Draws(self.recipe, self.worlds)
        self.evaluator = Evaluator(self.recipe, self.rewards, self.worlds)
        self.team = Team(self.recipe, self.model, ranks)  # whose reference is the model by now
        self.step, self.seconds = 0, 0.0
        self.crossings: dict[int, int] | None = None  # of the sampler's ways of attention
        if run.state.exists():
            self._restore()

    def train(self) -> None:
        """Runs what is left of the run. TrainingError, ConfigError for what cannot go on."""
        torch.manual_seed(self.recipe.seed)
        asyncio.run(self._train())
        self.team.close()

    async def _train(self) -> None:
        run, settings = self.run, self.recipe.train
        source = self.make_source()
        with Metrics(run.folder) as metrics, Live(settings.steps) as live:
            metrics.forget(self.step)
            evaluated = run.evaluated()
            run.forget_samples(evaluated)
            empty = 0
            try:
                if run.state.exists():
                    source.restore(*self._waiting)
                else:
                    self._save(source)
                if self._due() and self.step not in evaluated:
                    await self._evaluate(metrics, live)
                while not self._finished():
                    begun = time.perf_counter()
                    batch = await source.collect()
                    # On a thread of its own, so that sampling may go on meanwhile.
                    record = await asyncio.to_thread(self._learn, batch)
                    mark = time.perf_counter()
                    await source.update(self.model)
                    record["phases"]["update"] = time.perf_counter() - mark
                    self.step += 1
                    spent = time.perf_counter() - begun
                    self.seconds += spent
                    record |= {"step": self.step, "seconds": self.seconds}
                    record["busy"] = batch.busy / max(spent, 1e-9)
                    metrics.step(record)
                    self._save(source)
                    live.update(record)
                    for why in batch.errors:
                        live.say(why)
                    empty = 0 if batch.kept else empty + 1
                    self._check_empty(empty, batch)
                    if self._due():
                        await self._evaluate(metrics, live)
            finally:
                await source.close()
                await self.worlds.aclose()
                for rewards in self.rewards.values():
                    await rewards.close()
        self.finish()

    def make_source(self) -> Source:
        parts = (self.recipe, self.model, self.tokenizer, self.draws, self.rewards, self.step)
        if self.recipe.rollout.server is not None:
            return Served(*parts)
        kind = Asynchronous if self.recipe.rollout.staleness else Synchronous
        source = kind(*parts)
        paths = source.core.runner.paths
        if self.crossings is None:
            self.crossings = paths.crossings
        paths.crossings = self.crossings
        return source

    def _finished(self) -> bool:
        minutes = self.recipe.train.minutes
        late = minutes is not None and self.seconds >= 60 * minutes
        return late or self.step >= self.recipe.train.steps

    def _due(self) -> bool:
        return self.step % self.recipe.evaluation.every == 0 or self._finished()

    def _learn(self, batch: Batch) -> dict[str, Any]:
        """Trains on a batch; its record, without what only the caller knows."""
        if self.recipe.rollout.staleness and self.recipe.rollout.server is None:
            torch.set_num_threads(half_of_the_cores())  # of this thread alone
        mark = time.perf_counter()
        figures = self.team.step(batch.kept, self.step) if batch.kept else {}
        seconds = time.perf_counter() - mark
        record = {**batch_figures(batch, self.step), **figures}
        sampled = sum(r.tokens for g in batch.drawn for r in g.rollouts)
        record["rate"] = {
            "sampled": sampled / max(batch.seconds, batch.busy, 1e-9),  # it also works in training
            "trained": record.pop("computed", 0) / max(seconds, 1e-9),
        }
        record["curriculum"] = self.draws.weights()
        record["phases"] = {"rollout": batch.seconds, "train": seconds}
        return record

    def _check_empty(self, empty: int, batch: Batch) -> None:
        if empty < _EMPTY_STEPS:
            return
        failures = dict(batch.failures)
        unusable = sum(not group.usable for group in batch.drawn)
        if 2 * unusable > len(batch.drawn):
            raise TrainingError(
                f"{empty} steps in a row gave nothing to learn from; of the last one's attempts "
                f"failed {failures}: {batch.errors[0]}. The run goes on from here when the same "
                "command is run again"
            )
        right = sum(group.all_right for group in batch.drawn)
        raise NoSignalError(
            f"{empty} steps in a row gave nothing to learn from: of the last {len(batch.drawn)} "
            f"groups {right} were all right and the others all wrong: choose other levels"
        )

    async def _evaluate(self, metrics: Metrics, live: Live) -> None:
        live.say(f"evaluating after {self.step} steps")
        mark = time.perf_counter()
        core = sampler_core(self.model, self.recipe.rollout, self.step)
        paths = core.runner.paths
        if not self.crossings:  # the rollouts are on servers
            self.crossings = paths.crossings
        paths.crossings = self.crossings
        rows, samples = await self.evaluator.run(core, self.tokenizer, self.step)
        self.run.add_samples(samples)
        seconds = time.perf_counter() - mark
        record = {"step": self.step, "seconds": self.seconds, "evaluation_seconds": seconds}
        record = {"kind": "eval", **record, "rows": rows}
        metrics.evaluation(record)
        live.update(record)

    def _save(self, source: Source) -> None:
        buffer, waiting = source.state()
        about = {
            "step": self.step,
            "seconds": self.seconds,
            "draws": self.draws.state(),
            "waiting": waiting,
            "crossings": list((self.crossings or {}).items()),
        }
        save_tensors(self.run.state, {**self.team.state(), **buffer}, about)

    def _restore(self) -> None:
        tensors, about = load_tensors(self.run.state)
        buffer = {n: t for n, t in tensors.items() if n.startswith(PREFIX)}
        self._waiting = (buffer, about["waiting"])
        self.team.restore(self.run.state)
        self.step, self.seconds = about["step"], about["seconds"]
        self.draws.restore(about["draws"])
        self.crossings = {int(piece): total for piece, total in about["crossings"]}

    def finish(self) -> None:
        """Writes the model, as it is by now, and the report."""
        save_tokenizer(self.tokenizer, self.run.model)
        save_model(self.model, self.run.model)
        write_report(self.run.folder)


def train_on_ranks(folder: Path, recipe: Recipe, layout: Layout, command: str) -> RlRun | None:
    """A run by every process of a job alike; the run, for the leader to tell of."""
    ranks = Ranks.join(layout)
    try:
        if not ranks.leads:
            ranks.wait()
            Team(recipe, load_model(model_folder(recipe.model)), ranks).follow()
            return None
        run = RlRun.create(folder, recipe, command)
        with run.locked():
            ranks.wait()
            Trainer(run, ranks).train()
        return run
    finally:
        ranks.leave()


def batch_figures(batch: Batch, version: int) -> dict[str, Any]:
    """What a batch says of itself: rewards, lengths, groups, failures, staleness."""
    rollouts = [rollout for group in batch.drawn for rollout in group.rollouts]
    parts: dict[str, list[float]] = defaultdict(list)
    domains: dict[str, list] = defaultdict(list)
    for group in batch.drawn:
        for rollout in group.rollouts:
            domains[group.domain].append(rollout)
            for name, value in rollout.parts.items():
                parts[name].append(value)
    counts = Counter(group.domain for group in batch.drawn)
    ages = [version - rollout.oldest for group in batch.kept for rollout in group.rollouts]
    tokens = [rollout.tokens for rollout in rollouts]
    return {
        "reward": {
            "mean": _mean([rollout.reward for rollout in rollouts]),
            **{name: _mean(values) for name, values in sorted(parts.items())},
        },
        "score": _mean([rollout.score for rollout in rollouts]),
        "domains": {
            name: {
                "reward": _mean([rollout.reward for rollout in found]),
                "score": _mean([rollout.score for rollout in found]),
                "tokens": _mean([rollout.tokens for rollout in found]),
                "groups": counts[name],
            }
            for name, found in sorted(domains.items())
        },
        "length": {
            "mean": _mean(tokens),
            "max": max(tokens, default=0),
            "truncated": _mean([rollout.truncated for rollout in rollouts]),
        },
        "groups": {
            "drawn": len(batch.drawn),
            "kept": len(batch.kept),
            "all_right": sum(g.usable and g.all_right for g in batch.drawn),
            "all_wrong": sum(g.usable and g.all_wrong for g in batch.drawn),
            "failed": sum(not g.usable for g in batch.drawn),
            "stale": batch.stale,
        },
        "failures": {
            kind: batch.failures[kind] for kind in ("reward", "sampler", "environment", "verifier")
        },
        "staleness": {"mean": _mean(ages), "max": max(ages, default=0)},
    }


def _mean(values: list) -> float:
    return sum(values) / len(values) if values else 0.0
