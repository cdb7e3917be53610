"""How the choices of one answer end: each once, the last one with the usage that comes after it.

The upstream's usage follows the last finish_reason, so the piece that ends the last open choice
waits for it.
"""

from __future__ import annotations

import logging
from typing import Generic, TypeVar

from speciale.serve.backends.chunks import Usage
from speciale.serve.backends.connection import UNREACHABLE
from speciale.serve.backends.seam import BackendError, Piece, TextPiece

log = logging.getLogger(__name__)

AnyPiece = TypeVar("AnyPiece", Piece, TextPiece)


class Endings(Generic[AnyPiece]):
    """`open` are the choices that have not ended. Usage is the upstream's last word on it."""

    def __init__(self, n: int, name: str) -> None:
        self.open = set(range(n))
        self.usage: Usage | None = None
        self.done = False  # [DONE] came
        self._n, self._name = n, name
        self._last: AnyPiece | None = None
        self._counted = [0] * n

    def takes(self, choice: int) -> bool:
        """False for more of a choice that has ended. Raises BackendError where nobody asked for
        this choice."""
        if choice >= self._n:
            raise self.broken(f"it sends choice {choice}, but {self._n} were asked for")
        return choice in self.open

    def tokens(self, choice: int, so_far: int | None, guess: int) -> int:
        """Tokens of this chunk: from the count so far where the upstream gives one."""
        count = guess if so_far is None else max(0, so_far - self._counted[choice])
        self._counted[choice] += count
        return count

    @property
    def counted(self) -> int:
        return sum(self._counted)

    def end(self, piece: AnyPiece) -> list[AnyPiece]:
        """Takes a choice's last piece; gives it back at once unless it is the last of all."""
        self.open.discard(piece.choice)
        if self.open:
            return [piece]
        self._last = piece
        return []

    def last(self) -> AnyPiece:
        """The last piece of all, when the stream has ended."""
        assert self._last is not None
        return self._last

    def check(self) -> None:
        """Raises BackendError where the stream ended before the answer did."""
        if self.open and not self.done:
            raise self.broken("the stream ended before the answer did")

    def broken(self, what: str) -> BackendError:
        log.warning("upstream %s is broken: %s", self._name, what)
        return BackendError(UNREACHABLE, retriable=True)
