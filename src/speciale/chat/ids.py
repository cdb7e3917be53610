"""Prompts as token ids, in which only the template sets marks: text that spells one stays text.
The tokenizer sees the same stretches as in the reference, cut at the template's marks; a mark that
it finds inside a stretch was written by a user or a tool, and is cut in two for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from speciale.chat.errors import ChatFormatError
from speciale.chat.markers import BOS, SPECIAL_TOKENS
from speciale.chat.template import Message, render

_MARKS = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")


def encode_ids(
    tokenizer: Any,
    messages: Sequence[Message],
    thinking_mode: str = "thinking",
    context: Sequence[Message] | None = None,
    drop_thinking: bool = True,
    add_default_bos_token: bool = True,
    marks_in_text: bool = False,
) -> list[int]:
    """The token ids of `encode(...)` with the same arguments.

    `tokenizer` is a tokenizers.Tokenizer or a fast tokenizer of transformers whose vocabulary has
    the marks that the prompt needs. `marks_in_text=True` is the reference's way: marks that stand
    in a message become marks of the prompt, so whoever writes a message can end it and begin
    another's. Raises ChatFormatError as `encode` does, and where the vocabulary lacks a mark.
    """
    parts = render(messages, thinking_mode, list(context or ()), drop_thinking)
    if add_default_bos_token and not context:
        parts = [BOS, "", *parts]
    return parts_to_ids(tokenizer, parts, marks_in_text)


def parts_to_ids(tokenizer: Any, parts: Sequence[str], marks_in_text: bool = False) -> list[int]:
    """Token ids of `template.render`'s parts: template at even places, messages' text at odd."""
    tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)  # what transformers wraps
    if marks_in_text:
        return _encode(tokenizer, "".join(parts)).ids
    control = {
        token: added.content
        for token, added in tokenizer.get_added_tokens_decoder().items()
        if len(added.content.strip()) > 1  # runs of spaces are added tokens of some vocabularies
    }
    ids: list[int] = []
    stretch: list[str] = []
    for place, part in enumerate(parts):
        if place % 2:
            stretch.append(part)
            continue
        for piece in _MARKS.split(part):
            if not _MARKS.fullmatch(piece):
                stretch.append(piece)
                continue
            ids += _plain(tokenizer, "".join(stretch), control)
            stretch.clear()
            ids.append(mark_id(tokenizer, piece))
    return ids + _plain(tokenizer, "".join(stretch), control)


def mark_id(tokenizer: Any, mark: str) -> int:
    """The id of one of the format's marks; ChatFormatError where the vocabulary has none."""
    token = getattr(tokenizer, "backend_tokenizer", tokenizer).token_to_id(mark)
    if token is None:
        raise ChatFormatError(
            f"the tokenizer has no token {mark!r}: take DeepSeek-V3.2's, or one that was trained "
            "with the marks of speciale.chat.SPECIAL_TOKENS."
        )
    return token


def _plain(tokenizer: Any, text: str, control: dict[int, str]) -> list[int]:
    """The ids of text that holds no mark of the template, without any control token."""
    if not text:
        return []
    encoding = _encode(tokenizer, text)
    if control.keys().isdisjoint(encoding.ids):
        return encoding.ids
    cuts = [
        start + 1 for token, (start, _) in zip(encoding.ids, encoding.offsets) if token in control
    ]
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)])]
    return [token for piece in pieces for token in _plain(tokenizer, piece, control)]


def _encode(tokenizer: Any, text: str) -> Any:
    try:
        return tokenizer.encode(text, add_special_tokens=False)
    except TypeError:  # half of a surrogate pair, which JSON may hold but no vocabulary
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return tokenizer.encode(text, add_special_tokens=False)
