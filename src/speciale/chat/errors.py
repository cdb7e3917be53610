"""The one error of the chat format: messages that have no prompt text, text that is no message."""

from __future__ import annotations

from typing import Any

from speciale.errors import SpecialeError


class ChatFormatError(SpecialeError, ValueError):
    """Messages that cannot be encoded, or a completion that strict parsing refuses.

    `index`, `role` and `field` say where among the messages (index counts `context` too);
    `offset` says where in a completion, in characters. Each is None where it does not apply.
    """

    def __init__(
        self,
        problem: str,
        *,
        index: int | None = None,
        role: str | None = None,
        field: str | None = None,
        offset: int | None = None,
    ):
        place = ""
        if index is not None:
            place = f"message {index} ({role})" if isinstance(role, str) else f"message {index}"
        if field is not None:
            place = f"{place}, {field}" if place else field
        if offset is not None:
            place = f"at character {offset}"
        super().__init__(f"{place}: {problem}" if place else problem)
        self.index, self.role, self.field, self.offset = index, role, field, offset


def article(value: Any) -> str:
    """What was given in place of the right thing: "a list", "an int", "null"."""
    if value is None:
        return "null"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
