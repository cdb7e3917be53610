"""When the context fills: the report's strategies of search agents, each a function.

Summary (summarise, go on), Discard-75% (drop the oldest three quarters of the tool rounds),
Discard-all (start afresh with the question), at 80% of the window (V3.2 report, 3.2.3 and 4.3);
or several runs side by side, of which the one with the fewest steps is taken.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from speciale.agents.trajectory import Trajectory
from speciale.engine.params import SamplingParams

SHARE = 0.8  # of the window, from where on the context is managed

_ASK = (
    "The conversation is about to outgrow the context window: all tool calls and results above "
    "will be removed. Do not call a tool now. Write down what will be needed to go on with the "
    "task: what was found so far with its sources, what was tried without success, what is left "
    "to do."
)
_SUMMARY = "\n\nWork on this has begun. A summary of what was done so far:\n{}"


class Managed(Protocol):
    """What both kinds of conversation offer (conversation.py, chat_server.py)."""

    @property
    def rounds(self) -> int: ...

    def drop_rounds(self, count: int) -> None: ...

    def append_to_question(self, text: str) -> None: ...

    async def aside(self, ask: str, params: SamplingParams) -> Any: ...


Strategy = Callable[[Managed, SamplingParams], Awaitable[None]]


async def summary(conversation: Managed, params: SamplingParams) -> None:
    """The model writes a summary, which goes on behind the question in place of all rounds."""
    reply = await conversation.aside(_ASK, params)
    conversation.drop_rounds(conversation.rounds)
    conversation.append_to_question(_SUMMARY.format(reply.message["content"].strip()))


async def discard_75(conversation: Managed, params: SamplingParams) -> None:
    """The oldest three quarters of the rounds go, and at least one."""
    conversation.drop_rounds(math.ceil(0.75 * conversation.rounds))


async def discard_all(conversation: Managed, params: SamplingParams) -> None:
    """All rounds go; the question is asked afresh."""
    conversation.drop_rounds(conversation.rounds)


STRATEGIES: dict[str, Strategy] = {
    "summary": summary,
    "discard-75": discard_75,
    "discard-all": discard_all,
}


async def fewest_steps(
    run: Callable[[int], Awaitable[Trajectory]], count: int
) -> tuple[Trajectory, list[Trajectory]]:
    """`count` runs side by side (`run` gets their numbers): the one that answered in the fewest
    steps, the first of equals, or where none answered the first; and all of them."""
    done = list(await asyncio.gather(*map(run, range(count))))
    answered = [one for one in done if one.stop == "answer"]
    return min(answered or done[:1], key=lambda one: len(one.steps)), done
