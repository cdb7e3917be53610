"""Attempts at a suite's questions: side by side, kept on the disk, gone on with where they stopped.

An attempt that the target or a verifier broke is "not measured": it is no attempt that failed, and
it is made again the next time. One JSON line an attempt; the same question under the same settings
is not asked twice, whichever run asks.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from speciale.agents.loop import Budget, Plan, judge, work_on_task
from speciale.agents.trajectory import Trajectory
from speciale.engine.params import SamplingParams
from speciale.errors import ConfigError, SpecialeError
from speciale.evals.target import Target
from speciale.tasks.task import Task

ANSWER = 4000  # characters of an answer that are kept


@dataclass(frozen=True)
class Question:
    """A task and how it is asked; rows of results are by `cell`."""

    cell: str
    task: Task
    thinking: bool = True
    max_tokens: int | None = None  # of a completion, below the settings'
    tools: str | None = None  # our own, as `--tools` names them, where the task brings none
    wrap: Callable[[Any], Any] = lambda model: model  # what stands between; not of a script


@dataclass(frozen=True)
class Settings:
    """Of a whole evaluation; all of it decides what an attempt gives."""

    seed: int = 0
    samples: int = 4  # attempts at each task
    temperature: float = 1.0
    max_tokens: int = 1024  # of a completion
    turns: int = 16  # completions of an attempt
    thinking_tokens: int | None = None  # then the thinking is ended (budget.py)


@dataclass(frozen=True)
class Record:
    """What came of one attempt. `score` is None where it was not measured, and `error` says why."""

    key: str
    cell: str
    task: str
    sample: int
    score: float | None
    tokens: int | None  # sampled; None where a server does not tell
    prompt_tokens: int | None
    seconds: float
    stop: str
    error: str | None = None
    answer: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def solved(self) -> bool:
        return self.score == 1


def key_of(digest: str, suite: str, question: Question, settings: Settings, sample: int) -> str:
    """What decides an attempt, as a hash."""
    asked = asdict(replace(settings, samples=0))  # more samples are more attempts, not others
    words = [
        digest, suite, question.cell, question.task.id, list(question.task.prompt),
        list(question.task.tools), question.thinking, question.max_tokens, asked, sample,
    ]  # fmt: skip
    text = json.dumps(words, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def seed_of(suite: str, question: Question, settings: Settings, sample: int) -> int:
    """Of an attempt's draws: the same for all targets, so that a comparison is of them alone."""
    words = f"{suite}/{question.cell}/{question.task.id}/{settings.seed}/{sample}"
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=6).digest(), "big")


async def attempts(
    target: Target,
    suite: str,
    questions: Sequence[Question],
    settings: Settings,
    path: Path,
    on_done: Callable[[int, str], None] = lambda _count, _text: None,
) -> list[Record]:
    """The records of all attempts, in order; `path` keeps them. ConfigError where the first batch
    could not be measured at all: then the target is at fault, and nothing would come of the rest.
    """
    known = read_records(path)
    jobs = [
        (key_of(target.digest, suite, question, settings, sample), question, sample)
        for question in questions
        for sample in range(settings.samples)
    ]
    measured = sum(key in known for key, *_ in jobs)
    on_done(measured, "kept from before" if measured else "")
    for start in range(0, len(jobs), target.batch):
        batch = jobs[start : start + target.batch]
        missing = [job for job in batch if job[0] not in known]
        if not missing:
            continue
        # Who shares a batch decides last bits: an exact target is asked a whole batch or none.
        made = await target.run(
            [_work(target, suite, *job, settings) for job in (batch if target.exact else missing)]
        )
        wanted = {key for key, *_ in missing}
        fresh = [record for record in made if record.key in wanted]
        if fresh and not measured and all(record.score is None for record in fresh):
            raise ConfigError(f"nothing could be measured of {target.name}: {fresh[0].error}")
        append_records(path, [record for record in fresh if record.score is not None])
        known |= {record.key: record for record in fresh}
        measured += len(fresh)
        on_done(len(fresh), fresh[-1].cell)
    return [known[key] for key, *_ in jobs]


def _work(
    target: Target, suite: str, key: str, question: Question, sample: int, settings: Settings
) -> Callable[[], Awaitable[Record]]:
    async def work() -> Record:
        limit = min(filter(None, (settings.max_tokens, question.max_tokens)))
        limit = None if target.scripted else limit  # a script's tokens are bytes
        seed = seed_of(suite, question, settings, sample)
        params = SamplingParams(max_tokens=limit, temperature=settings.temperature, seed=seed)
        plan = Plan(
            params=params,
            budget=Budget(settings.turns),
            thinking=question.thinking,
        )
        trajectory, error = Trajectory(), None
        try:
            model = target.model(question) if target.scripted else question.wrap(target.model)
            trajectory = await work_on_task(model, question.task, plan, tools=question.tools)
            target.leave()
            error = trajectory.error
            if error is None:
                await judge(question.task, trajectory)
        except SpecialeError as failure:
            error = str(failure)
        except Exception as failure:  # a verifier or an environment that breaks
            error = f"{type(failure).__name__}: {failure}"
        return _record(key, question, sample, trajectory, error)

    return work


def _record(
    key: str, question: Question, sample: int, done: Trajectory, error: str | None
) -> Record:
    tokens, prompts = used(done)
    return Record(
        key=key,
        cell=question.cell,
        task=question.task.id,
        sample=sample,
        score=None if error is not None else done.score,
        tokens=tokens,
        prompt_tokens=prompts,
        seconds=round(done.seconds, 3),
        stop=done.stop,
        error=error,
        answer=done.answer[:ANSWER],
        reasons=tuple(done.reasons[:3]),
    )


def used(done: Trajectory) -> tuple[int | None, int | None]:
    """Tokens sampled, and of all prompts; None where a server did not tell."""
    sampled, prompts = 0, 0
    for number, step in enumerate(done.steps):
        usage = step.extras.get("usage")
        if usage is None and not step.ids:
            return None, None
        if usage is None:
            sampled += len(step.ids)
            prompts += len(done.prompt(number))
        else:
            sampled += usage.get("completion_tokens") or 0
            prompts += usage.get("prompt_tokens") or 0
    return sampled, prompts


def read_records(path: Path) -> dict[str, Record]:
    """By key. Lines of another version are left out."""
    found: dict[str, Record] = {}
    for values in read_lines(path):
        try:
            record = Record(**{**values, "reasons": tuple(values.get("reasons", ()))})
        except TypeError:
            continue
        found[record.key] = record
    return found


def append_records(path: Path, records: Sequence[Record]) -> None:
    """On the disk when it returns."""
    append_lines(path, [asdict(record) for record in records])


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file; a line whose writer was killed is left out."""
    found: list[dict[str, Any]] = []
    if not path.exists():
        return found
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict):
            found.append(values)
    return found


def append_lines(path: Path, values: Sequence[dict[str, Any]]) -> None:
    """On the disk when it returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab+") as file:
        # A line that was cut off must not swallow the next one.
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            file.write(b"" if file.read() == b"\n" else b"\n")
        for each in values:
            file.write(json.dumps(each, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
