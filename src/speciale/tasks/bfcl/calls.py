"""The calls that a conversation in OpenAI's form holds, read so that no message can break it.

BFCL scores calls alone: what a model says beside them counts for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from speciale.tasks.environment import Message

Call = dict[str, Any]  # {"name": str, "arguments": dict, or None where they are no JSON object}


def calls_of(message: Message) -> list[Call]:
    """The calls of one message."""
    calls = message.get("tool_calls") if message.get("role") == "assistant" else None
    return [_call(call) for call in calls] if isinstance(calls, Sequence) else []


def _call(call: Any) -> Call:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return {"name": "", "arguments": None}
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            arguments = None
    return {
        "name": str(function.get("name", "")),
        "arguments": arguments if isinstance(arguments, dict) else None,
    }


def turns_of(messages: Iterable[Message], openings: Sequence[Message]) -> list[list[Call]]:
    """The calls of each turn that was reached; a turn begins with its opening message.

    Other user messages, such as a loop's own about a call that it could not read, begin none.
    """
    turns: list[list[Call]] = []
    for message in messages:
        opening = openings[len(turns)] if len(turns) < len(openings) else None
        if opening and all(message.get(key) == opening[key] for key in ("role", "content")):
            turns.append([])
        elif turns:
            turns[-1] += calls_of(message)
    return turns


def first_answer(messages: Iterable[Message], users: int) -> Message | None:
    """The first assistant message after as many user messages."""
    for message in messages:
        users -= message.get("role") == "user"
        if users <= 0 and message.get("role") == "assistant":
            return message
    return None
