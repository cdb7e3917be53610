"""Whether drafting with the MTP layer pays (V3 report, 2.2 and 5.4.3), measured while it runs.

A step with drafts yields up to two tokens a sequence but runs twice the rows and the MTP layer. The
draft is drawn with the very noise of the token it guesses, and kept only if it equals that token:
so the output is the one without drafts, whatever is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

_TRIAL = 12  # drafting steps before the first decision
_PROBE = 24  # every so many steps one without drafts, for comparison
_WEIGHT = 0.1  # of a new measurement in the running mean
_RECONSIDER = 4000  # steps after which a decision against drafts is forgotten


@dataclass
class _Pace:
    """Running means for one size of batch."""

    drafting: float = 0.0  # seconds a token
    plain: float = 0.0
    steps: int = 0
    drafted: int = 0
    refused: int = 0  # steps since drafts were found not to pay


class DraftPolicy:
    """`always`: True and False decide once for all, None measures."""

    def __init__(self, always: bool | None) -> None:
        self._always = always
        self._paces: dict[int, _Pace] = {}
        self.proposed = self.accepted = 0

    def active(self, batch: int) -> bool:
        """Whether the MTP layer keeps up with a step of `batch` sequences, so that it can draft."""
        return self._always if self._always is not None else not self._pace(batch).refused

    def wants(self, batch: int) -> bool:
        """Whether the next step of `batch` decoding sequences verifies drafts."""
        if self._always is not None:
            return self._always
        pace = self._pace(batch)
        return not pace.refused and pace.steps % _PROBE != _PROBE - 1

    def record(self, batch: int, drafted: bool, tokens: int, main: float, mtp: float) -> None:
        """One decoding step: tokens won, seconds of the model and of the MTP layer behind it."""
        pace = self._pace(batch)
        pace.steps += 1
        pace.drafted += drafted
        if pace.refused:
            pace.refused += 1
            if pace.refused > _RECONSIDER:
                self._paces[batch.bit_length()] = _Pace()
        elif drafted:
            pace.drafting = _mean(pace.drafting, (main + mtp) / tokens)
        else:
            pace.plain = _mean(pace.plain, main / tokens)
        if pace.plain and pace.drafted >= _TRIAL and pace.drafting > pace.plain:
            pace.refused = pace.refused or 1

    def _pace(self, batch: int) -> _Pace:
        return self._paces.setdefault(batch.bit_length(), _Pace())


def _mean(old: float, new: float) -> float:
    return new if not old else old + _WEIGHT * (new - old)
