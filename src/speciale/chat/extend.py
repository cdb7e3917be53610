"""A conversation continued at the level of ids: what was sampled is never encoded again.
Results of tools are appended. A new user turn hides the reasoning of the turn before it (V3.2
report, section 3): its openers `<think>` become `</think>`, and the ids between go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from speciale.chat.errors import ChatFormatError
from speciale.chat.ids import mark_id, parts_to_ids
from speciale.chat.markers import ASSISTANT, BOS, EOS, THINK_CLOSE, THINK_OPEN, USER
from speciale.chat.messages import check_messages
from speciale.chat.normalise import normalise
from speciale.chat.parser import parse
from speciale.chat.template import Message, render

_TURNS = ("user", "developer")


@dataclass(frozen=True, slots=True)
class Extension:
    """The ids to go on from.

    The first `kept` are those of history and completion: a cache of them stays good that far.
    `added` is how many at the end are new (never sampled); between them, where the reasoning was
    hidden, stand ids of the old turn in a new place. `in_reasoning` says how the prompt ends.
    """

    ids: list[int]
    kept: int
    added: int
    rerendered: bool
    in_reasoning: bool


def extend(
    tokenizer: Any,
    history_ids: Sequence[int],
    completion_ids: Sequence[int],
    new_messages: Sequence[Message],
    thinking_mode: str = "thinking",
) -> Extension:
    """The prompt after `new_messages`, given the prompt `history_ids` and what was sampled on it.

    `new_messages` are the results of the completion's tool calls, one for each call that lenient
    parsing finds, or a user (system, developer) message, or both. Appending is enough in chat
    mode and while only results follow; a new user or developer turn in thinking mode re-renders
    the last turn (`rerendered`), from `kept` on. An end mark that was not sampled is added; content
    parts and missing content of `new_messages` are mended as in a request.

    Raises ChatFormatError for other roles, for results that do not match the calls, and for a
    completion that holds marks which only the template may set.
    """
    if thinking_mode not in ("thinking", "chat"):
        raise ChatFormatError(f'thinking_mode is {thinking_mode!r}: use "thinking" or "chat".')
    marks = _Marks(tokenizer)
    sampled = list(completion_ids)
    forbidden = {mark_id(tokenizer, mark): mark for mark in (BOS, USER, ASSISTANT)}
    for token in sampled:
        if token in forbidden:
            raise ChatFormatError(
                f"the completion holds {forbidden[token]!r}, which only the template may set: "
                "leave out that token and what follows it, or end the conversation."
            )
    if marks.eos in sampled[:-1]:
        raise ChatFormatError(f"the completion goes on after {EOS!r}: leave out what follows it.")
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    text = backend.decode(sampled, skip_special_tokens=False)
    mode = "thinking" if marks.in_reasoning(history_ids) else "chat"
    calls = parse(text, mode, "lenient")["tool_calls"]
    check_messages(new_messages)
    _check(new_messages, len(calls))
    new_messages, _ = normalise(new_messages, ("flatten_content", "fill_content"))

    # A stand-in for the turn: only its roles and the number of its calls decide what is rendered.
    stub = {"function": {"name": "f", "arguments": "{}"}}
    before = [
        {"role": "user", "content": ""},
        {"role": "assistant", "content": "", "tool_calls": [stub] * len(calls)},
    ]
    added = parts_to_ids(tokenizer, render(new_messages, thinking_mode, before, False))
    closing = [] if sampled[-1:] == [marks.eos] else [marks.eos]
    old = [*history_ids, *sampled]
    turn = [*old, *closing]
    new_turn = any(message["role"] in _TURNS for message in new_messages)
    if new_turn and thinking_mode == "thinking":
        turn = marks.hide_reasoning(turn, len(history_ids))
    kept = next((n for n, (a, b) in enumerate(zip(old, turn)) if a != b), len(old))
    ids = turn + added
    return Extension(ids, kept, len(closing) + len(added), kept < len(old), marks.in_reasoning(ids))


def _check(messages: Sequence[Message], calls: int) -> None:
    results = 0
    for index, message in enumerate(messages):
        role = message["role"]
        if role == "tool" and results == index:
            results += 1
        elif role not in ("system", *_TURNS):
            raise ChatFormatError(
                f"it is {role!r}: a completion is followed by the results of its tool calls, then "
                "by user, developer or system messages.",
                index=index,
                field="role",
            )
    if messages[-1]["role"] == "system":
        raise ChatFormatError(
            "nothing asks for an answer: add tool results or a user message.", field="new_messages"
        )
    if results != calls and (results or messages[-1]["role"] not in _TURNS):
        raise ChatFormatError(
            f"{results} tool results follow a completion with {calls} tool calls: give one for "
            "each call.",
            field="new_messages",
        )


class _Marks:
    """What the ids of a prompt say about reasoning."""

    def __init__(self, tokenizer: Any):
        self.eos = mark_id(tokenizer, EOS)
        self._user, self._assistant = mark_id(tokenizer, USER), mark_id(tokenizer, ASSISTANT)
        self._open, self._close = mark_id(tokenizer, THINK_OPEN), mark_id(tokenizer, THINK_CLOSE)

    def in_reasoning(self, ids: Sequence[int]) -> bool:
        """Whether `ids` end inside the reasoning."""
        ends = (self._close, self.eos, self._user, self._assistant)
        last = next((token for token in reversed(ids) if token == self._open or token in ends), -1)
        return last == self._open

    def hide_reasoning(self, ids: list[int], prompt: int) -> list[int]:
        """`ids` with the reasoning of the last turn taken out; its user is in the first `prompt`.

        The template's opener is the first mark of an answer, and answers end with the end mark.
        Until the opener come results of tools, which hold no marks.
        """
        start = next((n for n in range(prompt - 1, -1, -1) if ids[n] == self._assistant), -1) + 1
        kept = ids[:start]
        place = "before"
        for token in ids[start:]:
            if place == "before" and token == self._open:
                place = "inside"
            elif place == "inside":
                if token in (self._close, self.eos):
                    kept.append(self._close)
                    place = "after"
                if token == self.eos:
                    kept.append(token)
                    place = "before"
            else:
                kept.append(token)
                if token == self._close:
                    place = "after"
                elif token == self.eos:
                    place = "before"
        return kept
