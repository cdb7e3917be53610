"""What is mended in a conversation before it is encoded, step by named step.
The template itself keeps the reference's oddities (a missing content reads "None", arguments must
be text, a reasoning that a client did not send back is an error); requests begin with these."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from speciale.chat.errors import ChatFormatError
from speciale.chat.template import json_text

Note = tuple[int, str]  # index of a message, what was mended there


def normalise(
    messages: Sequence[Mapping[str, Any]], steps: Collection[str] | None = None
) -> tuple[list[dict[str, Any]], list[Note]]:
    """A mended copy of checked messages, and what was mended. `steps` names some of STEPS, which
    are taken in STEPS' order; all unless given."""
    for name in steps or ():
        if name not in STEPS:
            raise ChatFormatError(f"there is no step {name!r}: use some of {', '.join(STEPS)}.")
    copies = [dict(message) for message in messages]
    notes: list[Note] = []
    for name, step in STEPS.items():
        if step is not None and (steps is None or name in steps):
            step(copies, notes)
    return copies, notes


def _flatten_content(messages: list[dict], notes: list[Note]) -> None:
    for index, message in enumerate(messages):
        if isinstance(message.get("content"), list | tuple):
            message["content"] = "\n".join(part["text"] for part in message["content"])
            notes.append((index, "its content parts are joined by newlines"))


def _fill_content(messages: list[dict], notes: list[Note]) -> None:
    for index, message in enumerate(messages):
        if message.get("content") is None and message["role"] in ("user", "tool"):
            message["content"] = ""
            notes.append((index, "its missing content is empty text"))


def _rename_reasoning(messages: list[dict], notes: list[Note]) -> None:
    for index, message in enumerate(messages):
        if message.get("reasoning") and not message.get("reasoning_content"):
            message["reasoning_content"] = message["reasoning"]
            notes.append((index, "its reasoning is read as reasoning_content"))


def _arguments_as_text(messages: list[dict], notes: list[Note]) -> None:
    for index, message in enumerate(messages):
        calls = message.get("tool_calls") or ()
        if all(_is_text(call["function"].get("arguments")) for call in calls):
            continue
        message["tool_calls"] = [
            _with_text_arguments(call, index, place) for place, call in enumerate(calls)
        ]
        notes.append((index, "its arguments are written as JSON text"))


def _is_text(arguments: Any) -> bool:
    return isinstance(arguments, str) and bool(arguments.strip())


def _with_text_arguments(call: Mapping[str, Any], index: int, place: int) -> Mapping[str, Any]:
    arguments = call["function"].get("arguments")
    if _is_text(arguments):
        return call
    text = "{}"  # no arguments: some clients send nothing, or ""
    if isinstance(arguments, Mapping):
        field = f"tool_calls[{place}].function.arguments"
        text = json_text(arguments, index=index, role="assistant", field=field)
    return {**call, "function": {**call["function"], "arguments": text}}


def _order_results(messages: list[dict], notes: list[Note]) -> None:
    # The format goes by position alone. Where the ids name the calls in another order, they win.
    for index, message in enumerate(messages):
        ids = [call.get("id") for call in message.get("tool_calls") or ()]
        if not ids:
            continue
        stop = index + 1
        while stop < len(messages) and messages[stop]["role"] == "tool":
            stop += 1
        results = messages[index + 1 : stop]
        given = [result.get("tool_call_id") for result in results]
        if given == ids or len(set(ids)) < len(ids) or None in ids:
            continue
        if len(set(given)) == len(given) and set(given) <= set(ids):
            place = {name: number for number, name in enumerate(ids)}
            ordered = sorted(results, key=lambda result: place[result["tool_call_id"]])
            if ordered != results:
                messages[index + 1 : stop] = ordered
                notes.append((index + 1, "the tool results are put in the order of their calls"))


# The last two are the template's own switches (request.py sets them).
STEPS: dict[str, Callable[[list[dict], list[Note]], None] | None] = {
    "flatten_content": _flatten_content,
    "fill_content": _fill_content,
    "rename_reasoning": _rename_reasoning,
    "arguments_as_text": _arguments_as_text,
    "order_results": _order_results,
    "keep_developers": None,  # a developer turn before the last one is rendered, not refused
    "allow_no_reasoning": None,  # an answer of the current turn may come back without reasoning
}
