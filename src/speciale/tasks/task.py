"""What a task is: a prompt, tools over a start state, and a verifier that scores with reasons.

V3.2 report, section 3.2: ⟨environment, tools, task, verifier⟩, hard to solve and easy to verify.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from speciale.tasks.environment import Environment, Message


@dataclass(frozen=True)
class Attempt:
    """What somebody did about a task.

    `answer` is the text of the last answer; `messages` the whole conversation in OpenAI's form
    with every call and result, whatever was dropped from the context on the way.
    """

    answer: str
    messages: Sequence[Message] = ()


@dataclass(frozen=True)
class Verdict:
    """`score` from 0.0 to 1.0, where 1.0 alone means solved; `reasons` in sentences, not empty
    where the score is below 1.0."""

    score: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Turn:
    """Messages of the user's after the agent has ended its turn, and tools that come with them."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Task:
    """One task. The same source, id and seed give the same task, on every machine.

    `verifier` may be asked any number of times, by several at once, about any attempt, whoever made
    it; `open` (None: a task without tools) makes a fresh environment in the start state.
    """

    id: str  # unique within its source
    source: str  # what `load_tasks` takes to draw it again, such as "reasoning-gym/chain_sum"
    prompt: Sequence[Message]
    verifier: Callable[[Attempt], Awaitable[Verdict]]
    open: Callable[[], AbstractAsyncContextManager[Environment]] | None = None
    tools: Sequence[Mapping[str, Any]] = ()  # as they are at the start
    turns: Sequence[Turn] = ()  # user turns after the first, in order
    level: int | None = None  # of difficulty, 1 is the easiest
    answer: str | None = None  # a reference answer, where there is one
    metadata: Mapping[str, Any] = field(default_factory=dict)  # JSON

    async def verify(self, attempt: Attempt | str) -> Verdict:
        """The verdict on an attempt; a text is an attempt without calls."""
        if isinstance(attempt, str):
            attempt = Attempt(attempt)
        return await self.verifier(attempt)
