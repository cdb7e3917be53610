"""Token buckets that hold one minute's worth, counted so that refilling is exact in integers.

A level counts in 1/60,000 of a token: at N tokens a minute, N of these come in each millisecond.
A bucket may go below zero: an answer's length is known only after it, and delays what follows.
"""

from __future__ import annotations

UNIT = 60_000  # milliseconds in a minute


def refill(level: int | None, per_minute: int | None, elapsed_ms: int) -> int | None:
    """The level after `elapsed_ms`. A bucket that never was used (None) is full; no rate: None."""
    if per_minute is None:
        return None
    full = per_minute * UNIT
    return full if level is None else min(full, level + elapsed_ms * per_minute)


def wait_ms(level: int, per_minute: int, amount: int) -> int:
    """Milliseconds until `amount` may be taken, 0 if now.

    More than the bucket can hold may be taken from a full one, or it never could be.
    """
    needed = min(amount, per_minute) * UNIT
    return max(0, -((level - needed) // per_minute))


def take(level: int | None, amount: int) -> int | None:
    """The level without `amount`, which may be negative: what was taken too much comes back."""
    return None if level is None else level - amount * UNIT
