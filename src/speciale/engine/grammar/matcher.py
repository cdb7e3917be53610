"""One constrained answer, token by token: the tokens that may come next, as a mask.
llguidance runs a lexer of derivatives and an Earley parser over the vocabulary's prefix tree; a
mask takes it microseconds (llguidance README; arXiv:2501.10868 compares it with others)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from speciale.engine.grammar.vocabulary import Vocabulary
from speciale.errors import RequestError


class Matcher:
    """Ask `allowed`, sample one of these tokens, `accept` it, until `finished`."""

    def __init__(self, vocabulary: Vocabulary, machine: Any, dsml: int | None):
        self.finished = False
        self._vocabulary, self._machine, self._dsml = vocabulary, machine, dsml
        self._spellings = vocabulary.in_text
        self._said = b""  # the end of the text since the last mark

    @property
    def can_stop(self) -> bool:
        """Whether the answer is complete as it stands; only then is the end token allowed."""
        return self._machine.is_accepting()

    def allowed(self) -> torch.Tensor:
        """The tokens that may come next: bool [V]. Raises RequestError where the grammar leads
        into a dead end, or to more work than its limits allow."""
        packed = np.frombuffer(self._machine.compute_bitmask(), np.uint8)
        if self._machine.is_error():
            raise stuck(self._machine.get_error())
        bits = np.unpackbits(packed, count=self._vocabulary.size, bitorder="little")
        mask = torch.from_numpy(bits).view(torch.bool)  # [V]
        blocked = self._spellings.completed_by(self._said)
        for ids in blocked:
            mask[ids] = False
        if blocked and not mask.any():
            raise stuck("it can only go on to a mark of the chat format, which text cannot hold")
        return mask

    def accept(self, token: int) -> None:
        """Go on by one token, which must be an allowed one. Raises RequestError where that takes
        more work than the grammar's limits allow."""
        assert not self.finished, "the answer has ended"
        if not self._machine.consume_token(token):
            raise stuck(self._machine.get_error())
        self.finished = token == self._vocabulary.machine.eos_token
        text = self._vocabulary.spelt[token]
        if not text:
            if token == self._dsml:
                self._spellings = self._vocabulary.in_calls
            self._said = b""
        else:
            self._said = (self._said + text)[-self._spellings.longest :]


def stuck(reason: str) -> RequestError:
    reason = reason.splitlines()[0]
    return RequestError(
        f"the constraint cannot be followed any further ({reason}): loosen its schema, or ask "
        "without a constraint."
    )
