"""Token ids to text as they come. A token of a byte-level vocabulary may hold part of a character
only (é is two bytes, 😀 four): such an end waits for the tokens that complete it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_BROKEN = "\N{REPLACEMENT CHARACTER}"
# A character has at most four bytes, so that more tokens than this without a whole one are
# no text: they are given out as they are.
_LONGEST_WAIT = 16


class Detokenizer:
    """The text of a completion, marks included; the pieces, joined, are the whole text."""

    def __init__(self, tokenizer: Any):
        """`tokenizer`: a tokenizers.Tokenizer or a fast tokenizer of transformers."""
        self._tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
        self._pending: list[int] = []
        self._given = 0  # characters of the pending tokens that are out already

    def feed(self, ids: Iterable[int]) -> str:
        """The text that `ids` complete."""
        return "".join([self._add(token) for token in ids])

    def finish(self) -> str:
        """What was held back: a character that never came to its end, as U+FFFD."""
        rest = self._text()[self._given :]
        self._pending, self._given = [], 0
        return rest

    def _add(self, token: int) -> str:
        self._pending.append(token)
        text = self._text()
        ready = text.removesuffix(_BROKEN)
        if ready == text or len(self._pending) > _LONGEST_WAIT:
            return self.finish()
        new = ready[self._given :]
        self._given = len(ready)
        return new

    def _text(self) -> str:
        return self._tokenizer.decode(self._pending, skip_special_tokens=False)
