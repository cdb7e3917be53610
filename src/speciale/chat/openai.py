"""Messages and events as OpenAI's chat completions, whole and in chunks.
Reasoning goes beside the content as `reasoning_content`, as DeepSeek's API has it; a call's first
chunk has its id and name, the next ones its arguments as they come."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any

from speciale.chat.events import (
    ArgumentDelta,
    CallStart,
    ContentDelta,
    Event,
    Finish,
    ReasoningDelta,
)


def to_completion(
    message: Mapping[str, Any],
    model: str,
    finish_reason: str | None = None,
    usage: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The `chat.completion` object of a message that `parse` or `join` gave.

    `finish_reason` is "tool_calls" or "stop", as the message has calls or not, unless it is given
    ("length" is for the engine to know). Calls get ids of their own.
    """
    calls = [{"id": _call_id(), **call} for call in message["tool_calls"]]
    answer: dict[str, Any] = {
        "role": "assistant",
        "content": message["content"] or (None if calls else ""),
    }
    if message["reasoning_content"]:
        answer["reasoning_content"] = message["reasoning_content"]
    if calls:
        answer["tool_calls"] = calls
    reason = finish_reason or ("tool_calls" if calls else "stop")
    choice = {"index": 0, "message": answer, "finish_reason": reason, "logprobs": None}
    completion = {**_header("chat.completion", model), "choices": [choice]}
    return {**completion, "usage": dict(usage)} if usage is not None else completion


class ChunkWriter:
    """The `chat.completion.chunk` objects of one choice's events; all of one id, which several
    choices of an answer share.

    A call that is begun and then dropped (Repair.dropped) cannot be taken back in this protocol:
    its arguments stay incomplete, and it does not make the finish_reason "tool_calls".
    """

    def __init__(self, model: str, index: int = 0, id: str | None = None):
        self._header = _header("chat.completion.chunk", model)
        if id is not None:
            self._header["id"] = id
        self._index = index
        self._begun = False

    def chunks(
        self, events: Iterable[Event], finish_reason: str | None = None
    ) -> list[dict[str, Any]]:
        """The chunks of `events`; the first of all has the role. `finish_reason` replaces that of
        a Finish."""
        return [chunk for event in events if (chunk := self._chunk(event, finish_reason))]

    def last(self, finish_reason: str) -> dict[str, Any]:
        """The chunk that ends the choice, for whoever has no Finish event."""
        return self._of({}, finish_reason)

    def empty(self) -> dict[str, Any]:
        """A chunk that says nothing, to be written onto."""
        return self._of({}, None)

    def _chunk(self, event: Event, finish_reason: str | None) -> dict[str, Any] | None:
        delta: dict[str, Any]
        reason = None
        match event:
            case ReasoningDelta(text):
                delta = {"reasoning_content": text}
            case ContentDelta(text):
                delta = {"content": text}
            case CallStart(index, name):
                function = {"name": name, "arguments": ""}
                call = {"index": index, "id": _call_id(), "type": "function", "function": function}
                delta = {"tool_calls": [call]}
            case ArgumentDelta(index, text):
                delta = {"tool_calls": [{"index": index, "function": {"arguments": text}}]}
            case Finish(finished):
                delta, reason = {}, finish_reason or finished
            case _:
                return None
        return self._of(delta, reason)

    def _of(self, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        if not self._begun:
            delta, self._begun = {"role": "assistant", **delta}, True
        choice = {"index": self._index, "delta": delta, "finish_reason": reason}
        return {**self._header, "choices": [choice]}


def _header(kind: str, model: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def _call_id() -> str:
    return f"call_{secrets.token_hex(12)}"
