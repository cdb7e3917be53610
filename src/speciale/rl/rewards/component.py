"""A reward: the weighted sum of components, each judged on its own, side by side, in bounded time.

V3.2 report (arXiv 2512.02556), section 3: each domain has its own mixture of rule-based outcome,
length, language, rubric and proof. A component that fails costs the sample, never the run.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Protocol

from speciale.agents.trajectory import Trajectory
from speciale.errors import ConfigError, SpecialeError
from speciale.tasks.task import Task


class RewardError(SpecialeError):
    """An attempt that could not be judged: `component` names who could not, `why` is a sentence.
    Whoever asked drops the sample, and counts it."""

    def __init__(self, component: str, why: str) -> None:
        super().__init__(component, why)
        self.component, self.why = component, why

    def __str__(self) -> str:
        return f"the reward {self.component!r} could not be had: {self.why}"


class Component(Protocol):
    """One part of a reward. `value` may raise anything: that is a RewardError to the caller. What
    computes for long does so outside of the event loop, where time limits reach it."""

    name: str

    async def value(self, task: Task, trajectory: Trajectory) -> float: ...


class Detailed(float):
    """A component's value that also says what it is made of; `details` are logged beside it."""

    details: Mapping[str, float]

    def __new__(cls, value: float, details: Mapping[str, float]) -> Detailed:
        self = super().__new__(cls, value)
        self.details = dict(details)
        return self


@dataclass(frozen=True)
class Reward:
    """`parts`: the value of each component before its weight, and as "component/detail" what it
    was made of."""

    total: float
    parts: dict[str, float] = field(default_factory=dict)


class Rewards:
    """The reward of one domain: the sum of weight x value over its components."""

    def __init__(self, weighted: Sequence[tuple[float, Component]], timeout_s: float = 60) -> None:
        """timeout_s: of each component, a wait for a busy grader included. ConfigError for no
        component, two of one name, or a weight that is no number."""
        names = [component.name for _, component in weighted]
        if not names:
            raise ConfigError("no reward has a weight above 0: give one, such as outcome = 1.0")
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"the reward {name!r} is there twice: add up its weights")
        for weight, component in weighted:
            if not math.isfinite(weight):
                raise ConfigError(f"the weight of {component.name!r} is {weight}: give a number")
        self.weighted, self.timeout_s = tuple(weighted), timeout_s

    async def __aenter__(self) -> Rewards:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes what the components hold open, such as connections to a grader."""
        for _, component in self.weighted:
            await close_if_open(component)

    async def judge(self, task: Task, trajectory: Trajectory) -> Reward:
        """The reward of an attempt. RewardError where a component raises, gives no finite number
        or takes longer than `timeout_s`; the others are stopped then.

        A component that does not let itself be stopped is left to itself, so that this ends in
        time in any case.
        """
        jobs = [
            asyncio.ensure_future(_value(component, task, trajectory))
            for _, component in self.weighted
        ]
        try:
            await asyncio.wait(jobs, timeout=self.timeout_s, return_when=asyncio.FIRST_EXCEPTION)
            values = self._values(jobs)
        finally:
            for job in jobs:
                job.add_done_callback(_look_at)
                job.cancel()  # nothing happens to those that are done
        parts: dict[str, float] = {}
        for (_, component), value in zip(self.weighted, values):
            parts[component.name] = float(value)
            for key, detail in getattr(value, "details", {}).items():
                parts[f"{component.name}/{key}"] = float(detail)
        total = sum(weight * float(value) for (weight, _), value in zip(self.weighted, values))
        return Reward(total, parts)

    def _values(self, jobs: Sequence[asyncio.Future[float]]) -> list[float]:
        """What the components gave; RewardError of the first that failed, else of a late one."""
        named = [(component.name, job) for (_, component), job in zip(self.weighted, jobs)]
        for name, job in named:
            if not job.done():
                continue
            if job.cancelled():
                raise RewardError(name, "it was stopped before it had a value")
            error = job.exception()
            if isinstance(error, RewardError):
                raise error
            if isinstance(error, SpecialeError):  # its text is a sentence
                raise RewardError(name, str(error)) from error
            if error is not None:
                raise RewardError(name, f"{type(error).__name__}: {error}") from error
            value = job.result()
            if isinstance(value, bool) or not isinstance(value, Real):
                raise RewardError(name, f"it gave {value!r}, which is no number")
            if not _is_finite(value):
                raise RewardError(name, f"it gave {value}, which is not finite")
        for name, job in named:
            if not job.done():
                raise RewardError(
                    name, f"it took longer than {self.timeout_s:g} s: raise timeout_s, or mend it"
                )
        return [job.result() for job in jobs]


async def _value(component: Component, task: Task, trajectory: Trajectory) -> float:
    return await component.value(task, trajectory)  # raises in here, also what is no coroutine


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:  # a whole number beyond all floats
        return False


def _look_at(job: asyncio.Future[float]) -> None:
    """So that nothing is logged about the end of a job that nobody waits for."""
    if not job.cancelled():
        job.exception()


async def close_if_open(thing: object) -> None:
    """Closes what has something to close."""
    close = getattr(thing, "close", None)
    if close is not None:
        await close()


def question_of(task: Task) -> str:
    """All that the user said in a task, turn after turn."""
    messages = [*task.prompt, *(message for turn in task.turns for message in turn.messages)]
    return "\n\n".join(text_of(m.get("content")) for m in messages if m["role"] == "user")


def text_of(content: object) -> str:
    """The text of a message's content: a string, parts, or nothing."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    return "\n".join(part.get("text", "") for part in content if isinstance(part, Mapping))
