"""The tool rounds that stand in a prompt, read off its marks: a completion with calls, the results
that follow it, and the mark that opens the next completion.

Rounds are what context management drops (V3.2 report, 3.2.3). Each begins right behind an opener
and ends with one, so that any of them can be taken out and the rest is still the format.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer

from speciale.chat import ASSISTANT, EOS, THINK_CLOSE, THINK_OPEN, USER
from speciale.chat.ids import mark_id

Round = tuple[int, int]  # from the first id to behind the last one


def find_rounds(tokenizer: Tokenizer, ids: Sequence[int]) -> list[Round]:
    """The rounds of a prompt, oldest first. A completion without calls is in none: it is followed
    by a user's turn, or by nothing."""
    end, user, assistant = (mark_id(tokenizer, mark) for mark in (EOS, USER, ASSISTANT))
    openers = {mark_id(tokenizer, mark) for mark in (THINK_OPEN, THINK_CLOSE)}
    rounds = []
    start = 0
    place = "outside"  # then before an opener, inside a completion, among its results
    for index, token in enumerate(ids):
        if token == user:
            place = "outside"
        elif token == assistant:
            place = "before"
        elif token in openers and place in ("before", "results"):
            if place == "results":
                rounds.append((start, index + 1))
            start, place = index + 1, "inside"
        elif token == end and place == "inside":
            place = "results"
    return rounds


def token_roles(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    """Who wrote each id, as far as the marks say: system, user, assistant or tool.

    The template's own marks count for the part that they open; the end mark is the assistant's.
    """
    end, user, assistant = (mark_id(tokenizer, mark) for mark in (EOS, USER, ASSISTANT))
    openers = {mark_id(tokenizer, mark) for mark in (THINK_OPEN, THINK_CLOSE)}
    roles = []
    role = "system"
    for token in ids:
        if token == user:
            role = "user"
        elif token == assistant or (token in openers and role == "tool"):
            role = "assistant"
        roles.append(role)
        if token == end:
            role = "tool"
    return roles
