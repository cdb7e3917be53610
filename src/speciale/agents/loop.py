"""The agent's loop: think, call, read the results, go on; until an answer or the end of a budget.

Calls of one message run side by side; what goes wrong with them comes back as their results (V3.2
report, 3.2.1: several rounds of calls inside one stretch of thinking).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from speciale.agents.calls import CallLimits, CallRecord, answer_calls
from speciale.agents.context import SHARE, Strategy
from speciale.agents.conversation import Conversation, Message, OnEvent, Reply, tool_message
from speciale.agents.sampler import Sampler, SamplerError
from speciale.agents.trajectory import Step, Stop, Trajectory
from speciale.chat import Event
from speciale.engine.params import SamplingParams
from speciale.errors import RequestError
from speciale.tasks.environment import Environment
from speciale.tasks.task import Attempt, Task, Turn

_UNREAD = "The tool call could not be read ({}). Write it again in full."


@dataclass(frozen=True)
class Budget:
    """What an agent may spend; None: no limit but the window."""

    turns: int = 50  # completions
    tokens: int | None = None  # sampled, all steps together
    seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """How an agent works, whatever the task."""

    params: SamplingParams = field(default_factory=SamplingParams)  # of each step
    budget: Budget = field(default_factory=Budget)
    limits: CallLimits = field(default_factory=CallLimits)  # of each call
    thinking: bool = True
    strategy: Strategy | None = None  # of context management; None: the run ends there
    share: float = SHARE  # of the window from where on it acts


@dataclass
class Called:
    """A call was answered (an event beside those of chat.events)."""

    record: CallRecord


@dataclass
class ContextManaged:
    """The context was over its share of the window: tokens before and after."""

    before: int
    after: int


AgentEvent = Event | Called | ContextManaged
OnAgentEvent = Callable[[AgentEvent], None]


class Talk(Protocol):
    """A conversation as the loop uses it; over ids or with a chat server."""

    messages: list[Message]
    tools: list[Mapping[str, Any]]  # declared so far
    window: int

    @property
    def size(self) -> int: ...

    @property
    def rounds(self) -> int: ...

    async def reply(self, params: SamplingParams, on_event: OnEvent | None = None) -> Reply: ...

    def add(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> None: ...


async def run_agent(
    model: Sampler | Callable[..., Talk],
    messages: Sequence[Message],
    environment: Environment | None = None,
    plan: Plan | None = None,
    *,
    turns: Sequence[Turn] = (),
    on_event: OnAgentEvent | None = None,
    trajectory: Trajectory | None = None,
) -> Trajectory:
    """Works on `messages` with the environment's tools until an answer follows the last of `turns`.

    model: a Sampler, or what makes a conversation of (messages, tools, thinking). trajectory: one
    to fill, for who wants to hold it if the task is cancelled. The end of a budget and a model
    that fails are in `stop` and `error`, never raised; ChatFormatError is for messages that cannot
    be asked at all.
    """
    plan = plan or Plan()
    record = trajectory if trajectory is not None else Trajectory()
    tools = [dict(tool) for tool in environment.tools] if environment else []
    if callable(model):
        talk: Talk = model(messages, tools, plan.thinking)
    else:
        talk = Conversation(model, messages, tools, plan.thinking)
    # The lists themselves: what comes later is in the record too.
    record.tools, record.thinking, record.messages = talk.tools, plan.thinking, talk.messages
    record.started = datetime.now(UTC).isoformat(timespec="milliseconds")
    begun = time.monotonic()
    try:
        async with asyncio.timeout(plan.budget.seconds):
            record.stop = await _work(talk, environment, plan, list(turns), on_event, record)
    except TimeoutError:
        record.stop = "seconds"
    except asyncio.CancelledError:
        record.stop = "cancelled"
        raise
    except (SamplerError, RequestError) as error:
        record.stop, record.error = "error", str(error)
    finally:
        record.seconds = time.monotonic() - begun
    return record


async def work_on_task(
    model: Sampler | Callable[..., Talk],
    task: Task,
    plan: Plan | None = None,
    on_event: OnAgentEvent | None = None,
    tools: str | None = None,
) -> Trajectory:
    """Works on a task in a fresh environment; nothing is scored.

    tools: our own, as `--tools` names them, for a task that brings none; its files
    (`metadata["files"]`) lie in their /work. ConfigError for files without such tools.
    """
    record = Trajectory(task=f"{task.source}#{task.id}")
    files = task.metadata.get("files")
    if task.open is not None:
        opened = task.open()
    elif tools or files:
        from speciale.agents.tools.open_tools import open_tools

        opened = open_tools(tools or (), files=files)
    else:
        opened = nullcontext()
    async with opened as environment:
        return await run_agent(
            model, task.prompt, environment, plan,
            turns=task.turns, on_event=on_event, trajectory=record,
        )  # fmt: skip


async def judge(task: Task, record: Trajectory) -> Trajectory:
    """Has the task's verifier score what an agent did, into the record."""
    verdict = await task.verify(Attempt(record.answer, record.messages))
    record.score, record.reasons = verdict.score, list(verdict.reasons)
    return record


async def attempt_task(
    model: Sampler | Callable[..., Talk],
    task: Task,
    plan: Plan | None = None,
    on_event: OnAgentEvent | None = None,
    tools: str | None = None,
) -> Trajectory:
    """Works on a task, and has its verifier score what came of it. Arguments as `work_on_task`."""
    return await judge(task, await work_on_task(model, task, plan, on_event, tools))


async def _work(
    talk: Talk,
    environment: Environment | None,
    plan: Plan,
    turns: list[Turn],
    on_event: OnAgentEvent | None,
    record: Trajectory,
) -> Stop:
    managed = None
    while True:
        if len(record.steps) >= plan.budget.turns:
            return "turns"
        params = _within(plan, record)
        if params is None:
            return "tokens"
        reply = await talk.reply(params, on_event)
        sample = reply.sample
        record.record(
            reply.prompt,
            Step(
                0, [], sample.ids, sample.logprobs, sample.finish, reply.seconds, reply.message,
                cached_tokens=sample.cached_tokens, versions=sample.versions, managed=managed,
                extras=sample.extras,
            ),
        )  # fmt: skip
        if sample.finish == "length":
            return "length"
        calls = reply.message.get("tool_calls") or []
        if calls:
            results = await answer_calls(environment, talk.tools, calls, plan.limits)
            record.steps[-1].calls = results
            for result in results if on_event else ():
                on_event(Called(result))
            talk.add([tool_message(call, r.result) for call, r in zip(calls, results)])
        elif reply.unread:
            talk.add([{"role": "user", "content": _UNREAD.format("; ".join(reply.unread))}])
        elif turns:
            turn = turns.pop(0)
            talk.add(turn.messages, turn.tools)
        else:
            return "answer"
        managed = None
        full = talk.size >= plan.share * talk.window
        if full and plan.strategy is not None and talk.rounds:
            before = talk.size
            await plan.strategy(talk, params)
            if talk.size < before:
                managed = f"{plan.strategy.__name__}: {before} to {talk.size} tokens"
            if on_event:
                on_event(ContextManaged(before, talk.size))
        if talk.size >= talk.window:
            return "context"


def _within(plan: Plan, record: Trajectory) -> SamplingParams | None:
    """The step's settings with what is left of the tokens; None where nothing is left."""
    if plan.budget.tokens is None:
        return plan.params
    left = plan.budget.tokens - record.sampled_tokens
    if left < 1:
        return None
    return replace(plan.params, max_tokens=min(plan.params.max_tokens or left, left))
