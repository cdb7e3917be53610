"""Trajectories of BFCL tasks for tests and benchmarks: right ones, and wrong ones made of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from speciale.agents.calls import CallLimits
from speciale.agents.loop import Plan, attempt_task
from speciale.agents.scripted import ScriptedSampler, replay
from speciale.tasks.bfcl.calls import Call
from speciale.tasks.bfcl.data import cases
from speciale.tasks.bfcl.schemas import tool_name
from speciale.tasks.environment import Environment, Message
from speciale.tasks.task import Attempt, Task

Turns = list[list[Call]]


def gold(task: Task) -> Turns:
    """The right calls; any call where the task names none, since there any call is right."""
    if "gold" not in task.metadata:
        return [[any_call(task)]]
    return [list(calls) for calls in task.metadata["gold"]]


def any_call(task: Task) -> Call:
    names = [one["function"]["name"] for one in task.tools]
    return {"name": names[0] if names else "made_up", "arguments": {}}


def said(calls: list[Call]) -> Message:
    """An assistant message with these calls."""
    made = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
        for number, call in enumerate(calls)
    ]
    return {"role": "assistant", "content": "", "tool_calls": made}


DONE = {"role": "assistant", "content": "Done."}


def attempt(task: Task, turns: Turns) -> Attempt:
    """What a model leaves that makes all calls of a turn at once, without their results."""
    messages: list[Message] = []
    users = [task.prompt, *(turn.messages for turn in task.turns)]
    for user, calls in zip(users, turns, strict=True):
        messages += [*user, *([said(calls)] if calls else []), DONE]
    return Attempt("Done.", messages)


async def live(task: Task, turns: Turns, environment: Environment) -> Attempt:
    """What a model leaves that makes one call after the other, with their results."""
    messages: list[Message] = []
    users = [task.prompt, *(turn.messages for turn in task.turns)]
    for user, calls in zip(users, turns, strict=True):
        messages += user
        for call in calls:
            result = await environment.call(call["name"], call["arguments"])
            answer = {"role": "tool", "tool_call_id": "call_0", "content": result.text}
            messages += [said([call]), answer]
        messages.append(DONE)
    return Attempt("Done.", messages)


# No trajectory may end for want of room: a token is a byte here.
WINDOW = 10_000_000
PLAN = Plan(thinking=False, limits=CallLimits(characters=WINDOW))


async def through_the_loop(task: Task) -> float:
    """The score of the right calls as an agent's, those of a turn in one message; 0.0 where the
    loop refused one of them."""
    script = []
    for calls in gold(task):
        script += [said(calls), DONE] if calls else [DONE]
    trajectory = await attempt_task(ScriptedSampler(replay(script), window=WINDOW), task, PLAN)
    results = [call.result for step in trajectory.steps for call in step.calls]
    if any(result.startswith("Error: ") for result in results):
        return 0.0
    return trajectory.score or 0.0


@dataclass(frozen=True)
class Wrong:
    """Calls with one mistake. `what`: the call that was dropped, or the argument changed."""

    kind: str  # "dropped", "changed", or "added" where no call is right
    what: str
    turns: Turns


def wrong_ones(task: Task) -> Iterator[Wrong]:
    """Each call dropped in turn, and each argument of each call changed; or a call added."""
    turns = gold(task)
    if turns == [[]]:
        call = any_call(task)
        yield Wrong("added", call["name"], [[call]])
    for at, calls in enumerate(turns):
        for place, call in enumerate(calls):
            before, after = calls[:place], calls[place + 1 :]

            def having(*instead: Call) -> Turns:
                return [*turns[:at], [*before, *instead, *after], *turns[at + 1 :]]  # noqa: B023

            yield Wrong("dropped", call["name"], having())
            for name, value in call["arguments"].items():
                changed = {**call, "arguments": call["arguments"] | {name: other(value)}}
                yield Wrong("changed", f"{call['name']}({name})", having(changed))


def other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return _other_text(value)
    if isinstance(value, list):
        return [*value, "x"]
    if isinstance(value, dict) and value:
        first = next(iter(value))
        return value | {first: other(value[first])}
    return "x"


def _other_text(text: str) -> str:
    """The last letter or digit is the next one: inside of a literal too, where the text is one."""
    for place in range(len(text) - 1, -1, -1):
        for row in ("0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
            if text[place] in row:
                following = row[(row.index(text[place]) + 1) % len(row)]
                return text[:place] + following + text[place + 1 :]
    return "x"


async def accepted(task: Task, wrong: list[Wrong]) -> list[tuple[Wrong, str]]:
    """Those that the verifier takes for right, and why it may: `excuse`, or "" where none is known.

    A verdict that is neither 0 nor 1 is a fault of its own.
    """
    verdicts = await asyncio.gather(*(task.verify(attempt(task, one.turns)) for one in wrong))
    assert all(verdict.score in (0.0, 1.0) for verdict in verdicts)
    assert all(verdict.reasons for verdict in verdicts if not verdict.score)
    passed = [one for one, verdict in zip(wrong, verdicts) if verdict.score]
    return [(one, await excuse(task, one)) for one in passed]


ALLOWED = "BFCL's answer allows the other value too"
IGNORED = "it changes nothing here: every result and state stays the same"
EARLIER = "an earlier turn's call had given the wanted result"


async def excuse(task: Task, wrong: Wrong) -> str:
    """Why a wrong trajectory is none by BFCL's rules, found without its checkers."""
    if not task.metadata["category"].startswith("multi_turn"):
        return ALLOWED if _allows(task, wrong) else ""
    async with task.open() as environment:
        right = _results(await live(task, gold(task), environment))
    async with task.open() as environment:
        got = _results(await live(task, wrong.turns, environment))
    if wrong.kind == "changed" and got == right:
        return IGNORED
    at = next(at for at, (one, two) in enumerate(zip(gold(task), wrong.turns)) if one != two)
    before = [text for results in got[:at] for text in results]
    missing = [text for text in right[at] if text not in got[at]]
    return EARLIER if all(text in before for text in missing) else ""


def _results(attempt: Attempt) -> list[list[str]]:
    turns: list[list[str]] = []
    for message in attempt.messages:
        if message["role"] == "user":
            turns.append([])
        elif message["role"] == "tool":
            turns[-1].append(message["content"])
    return turns


def _allows(task: Task, wrong: Wrong) -> bool:
    """Whether each argument of each call is literally one of the values that BFCL lists."""
    category = task.metadata["category"]
    answer = next(case for case in cases(category) if case["id"] == task.id)["ground_truth"]
    calls = [(tool_name(name), values) for one in answer for name, values in one.items()]
    return len(calls) == len(wrong.turns[0]) and all(
        any(
            call["name"] == name
            and all(value in values.get(key, []) for key, value in call["arguments"].items())
            for name, values in calls
        )
        for call in wrong.turns[0]
    )
