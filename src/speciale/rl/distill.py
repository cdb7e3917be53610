"""Distillation: specialists write the data of one student (V3.2 report, section 3: "Specialist
Distillation").

Each specialist attempts the tasks of its domain; what its verifier accepts, and its reward ranks
highest, becomes supervised data by the very ids that were sampled. The student starts from the
checkpoint that the specialists started from; mixed RL then closes the gap that is left.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import Field
from tokenizers import Tokenizer

from speciale.agents.lockstep import Lockstep
from speciale.chat.tokenizer import fingerprint, load_tokenizer, save_tokenizer
from speciale.engine.llm import model_folder
from speciale.errors import CheckpointError, DataError
from speciale.files import write_atomic
from speciale.model import Transformer, load_model, save_model
from speciale.rl.batches import sampler_core
from speciale.rl.draws import Draws
from speciale.rl.recipe import PACKAGE, Curriculum, Domain, Optimisation, Recipe, Rollout
from speciale.rl.rewards.settings import build
from speciale.rl.rollouts import Rollout as Attempt
from speciale.rl.rollouts import Rollouts, new_group
from speciale.rl.trainer import WORLDS
from speciale.tasks.synthesised.pool import WorldPool
from speciale.train.checkpointing import load_tensors
from speciale.train.conversations import PackedConversations, pack_rows
from speciale.train.folder import RunFolder
from speciale.train.loop import StagePlan, run_stage
from speciale.train.machine import machine_facts, measure_peak_gflops
from speciale.train.objective import Losses, Share, language_losses
from speciale.train.progress import console, task
from speciale.train.recipe import Stage
from speciale.train.tables import Table, read_table

STAGE: Literal["sft"] = "sft"


class Specialist(Domain):
    model: str  # an RL run, or a folder of a model
    tasks: int = Field(200, ge=1)  # attempted
    kept: int = Field(1, ge=1)  # solutions of a task, at most


class DistillRecipe(Table):
    name: str = Field(pattern=r"^\w[\w .-]*$")
    seed: int = Field(0, ge=0)
    student: str  # the checkpoint that the specialists started from
    store: str | None = None  # of synthesised tasks: sources name it as synth:{store}
    context: int = Field(512, ge=16)  # tokens of a training row; longer solutions are left out
    rollout: Rollout = Field(default_factory=Rollout)
    train: Stage
    specialists: dict[str, Specialist] = Field(min_length=1)


class DistillRun(RunFolder):
    """recipe.toml run.json metrics.jsonl; data/NAME.jsonl, one solution a line, and rows.npy;
    stages/sft*.safetensors; model/, the student."""

    recipe: DistillRecipe

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def finished(self, stage: str) -> Path:
        return self.folder / "stages" / f"{stage}.safetensors"

    def partial(self, stage: str) -> Path:
        return self.folder / "stages" / f"{stage}.part.safetensors"

    def forget(self, stage: str, after_step: int) -> None:
        self.keep_metrics(lambda record: record.get("step", 0) <= after_step)

    @classmethod
    def create(cls, folder: Path, recipe: DistillRecipe, command: str) -> DistillRun:
        run = cls(folder, recipe)
        run.enter(("data", "stages"), {"name": recipe.name, **machine_facts(command)})
        return run


def read_distill(name_or_path: str, overrides: list[str] | None = None) -> DistillRecipe:
    return read_table(DistillRecipe, f"{PACKAGE}.distill", name_or_path, overrides)


def distill(run: DistillRun) -> None:
    """Makes what is missing: each specialist's data, the packed rows, the student."""
    tokenizer = load_tokenizer(model_folder(run.recipe.student))
    for name, specialist in run.recipe.specialists.items():
        path = run.data / f"{name}.jsonl"
        if not path.exists():
            solutions = asyncio.run(_solutions(run.recipe, name, specialist, tokenizer))
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in solutions)
            write_atomic(path, lines)
    rows = run.data / "rows.npy"
    if not rows.exists():
        pack_rows(rows, _mixed(run), run.recipe.context)
    _train(run, rows)
    save_tokenizer(tokenizer, run.model)


async def _solutions(
    recipe: DistillRecipe, name: str, specialist: Specialist, tokenizer: Tokenizer
) -> list[dict[str, Any]]:
    """What a specialist solved: ids, which of them it sampled, messages. DataError for nothing."""
    folder = model_folder(specialist.model)
    if fingerprint(load_tokenizer(folder)) != fingerprint(tokenizer):
        raise CheckpointError(
            f"the specialist {name!r} ({specialist.model}) has another tokenizer than the student "
            f"({recipe.student}): its ids mean nothing to it"
        )
    domains = {name: specialist}
    sampling = Recipe(
        name=recipe.name, seed=recipe.seed, model=specialist.model, rollout=recipe.rollout,
        train=Optimisation(steps=1), curriculum=Curriculum(floor=1.0), domains=domains,
        store=recipe.store,
    )  # fmt: skip
    worlds = WorldPool(most=WORLDS)
    draws = Draws(sampling, worlds)
    core = sampler_core(load_model(folder), recipe.rollout, 0)
    sampler = Lockstep(core, tokenizer)
    rewards = build(specialist.rewards, tokenizer=tokenizer)
    rollouts = Rollouts(sampling, sampler, {name: rewards}, sampler.leave)
    found: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(worlds)
        await stack.enter_async_context(rewards)
        progress = stack.enter_context(task(f"specialist {name}", specialist.tasks))
        while progress.done < specialist.tasks:
            some = min(recipe.rollout.groups, specialist.tasks - progress.done)
            pairs = [(draw, new_group(draw)) for draw in (draws.next() for _ in range(some))]
            await sampler.run([a for pair in pairs for a in rollouts.attempts(*pair)])
            for _, group in pairs:
                found += [
                    {"task": group.task, "cell": group.cell, **_data(attempt)}
                    for attempt in best(group.rollouts, specialist.kept)
                ]
            progress.advance(some, f"{len(found)} solutions")
    if not found:
        raise DataError(
            f"the specialist {name!r} solved none of {specialist.tasks} tasks: train it first, or "
            "choose easier sources"
        )
    return found


def best(attempts: list[Attempt], most: int) -> list[Attempt]:
    """The solved attempts of a task with the highest rewards, each text once."""
    solved = sorted(
        (a for a in attempts if a.score == 1 and len(a.sequences) == 1),
        key=lambda attempt: -attempt.reward,
    )
    found: dict[tuple[int, ...], Attempt] = {}
    for attempt in solved:
        found.setdefault(tuple(attempt.sequences[0].ids), attempt)
    return list(found.values())[:most]


def _data(attempt: Attempt) -> dict[str, Any]:
    [sequence] = attempt.sequences
    return {
        "ids": sequence.ids,
        "sampled": [int(sampled) for sampled in sequence.sampled],
        "reward": attempt.reward,
        "messages": attempt.messages,
    }


def _mixed(run: DistillRun) -> Iterator[tuple[list[int], list[bool]]]:
    """All solutions in one order by the seed; a domain's share is what it solved."""
    rows = []
    for name in run.recipe.specialists:
        for line in (run.data / f"{name}.jsonl").read_text("utf-8").split("\n"):
            if line:
                rows.append(json.loads(line))
    Random(run.recipe.seed).shuffle(rows)
    for row in rows:
        yield row["ids"], [bool(sampled) for sampled in row["sampled"]]


def _train(run: DistillRun, rows: Path) -> None:
    """The supervised stage on the solutions, as in the student's own training."""
    settings, seed = run.recipe.train, run.recipe.seed
    student = load_model(model_folder(run.recipe.student))
    packed = PackedConversations(rows)
    packed.check(run.recipe.context, student.config.vocab_size)

    def start(model: Transformer) -> None:
        model.load_state_dict(student.state_dict())

    mtp = settings.mtp_weight if student.mtp is not None else 0.0

    def losses(model: Transformer, share: Share) -> Losses:
        return language_losses(model, share, "sparse", mtp, kl=True)

    plan = StagePlan(
        STAGE, settings, run.recipe.context, start,
        lambda step: packed.batch(step, settings.batch_size, seed), losses,
        lambda _model: {}, settings.steps,
    )  # fmt: skip
    run_stage(run, student.config, plan, measure_peak_gflops())
    model = Transformer(student.config)
    model.load_state_dict(load_tensors(run.finished(STAGE))[0])
    save_model(model.eval(), run.model)
    console.print(f"student: {run.model}")
