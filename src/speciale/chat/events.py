"""What a completion says, piece by piece as it arrives, and the message that the pieces make.
The pieces are those of a V3.2 completion: reasoning, content, calls with their arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class ReasoningDelta:
    """More of the reasoning."""

    text: str


@dataclass(slots=True)
class ContentDelta:
    """More of the answer."""

    text: str


@dataclass(slots=True)
class CallStart:
    """A tool call begins; `index` counts the calls begun in this completion from 0."""

    index: int
    name: str


@dataclass(slots=True)
class ArgumentDelta:
    """More of a call's arguments: all of them, joined, are the text of one JSON object."""

    index: int
    text: str


@dataclass(slots=True)
class CallEnd:
    """The call is complete. Without this event it is none: it was cut off, or dropped."""

    index: int


@dataclass(slots=True)
class Repair:
    """Something that strict parsing refuses, and what lenient parsing made of it.

    `offset` is the place in the completion, in characters. `dropped` is the index of a begun call
    that this ends without a CallEnd: whoever showed the call must take it back.
    """

    kind: str
    detail: str
    offset: int
    dropped: int | None = None


@dataclass(slots=True)
class Finish:
    """The end: `reason` is OpenAI's finish_reason, "tool_calls" if any call is complete, else
    "stop". `eos` says whether the completion held the end mark; engines often leave it out."""

    reason: str
    eos: bool


Event = ReasoningDelta | ContentDelta | CallStart | ArgumentDelta | CallEnd | Repair | Finish


def join(events: Iterable[Event]) -> dict:
    """The assistant message of a completion's events: role, content, reasoning_content (empty
    where there is none, never None) and tool_calls (the complete ones, without ids)."""
    reasoning: list[str] = []
    content: list[str] = []
    names: dict[int, str] = {}
    arguments: dict[int, list[str]] = {}
    complete: list[int] = []
    for event in events:
        match event:
            case ReasoningDelta(text):
                reasoning.append(text)
            case ContentDelta(text):
                content.append(text)
            case CallStart(index, name):
                names[index], arguments[index] = name, []
            case ArgumentDelta(index, text):
                arguments[index].append(text)
            case CallEnd(index):
                complete.append(index)
    calls = [{"name": names[i], "arguments": "".join(arguments[i])} for i in complete]
    return {
        "role": "assistant",
        "content": "".join(content),
        "reasoning_content": "".join(reasoning),
        "tool_calls": [{"type": "function", "function": call} for call in calls],
    }
