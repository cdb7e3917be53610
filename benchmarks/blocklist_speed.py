"""Block lists of 1,000 phrases and 5 patterns judge 1,000 characters in a millisecond, disguises
included; the streaming gate adds microseconds to an item. One core; medians of 300 rounds."""

from __future__ import annotations

import asyncio
import base64
import random
import statistics
import string
import time
from collections.abc import AsyncIterator, Callable

from _results import Row, write
from speciale.safety.blocklists import Blocklists
from speciale.safety.filter import ContentFilter
from speciale.safety.gate import Held, Passed, vet
from speciale.safety.policy import Blocklist, Policy

ROUNDS = 300
ITEMS = 20_000  # of one character to eight, as tokens are
PROSE = (
    "The committee of ministers discussed the international situation on Tuesday; it didn't agree "
    "on much, but the chair (who'd come from Lisbon) promised a report by 14 June 2026. "
)
PATTERNS = (
    r"\d{3}-\d{2}-\d{4}",
    r"proj-[a-z]{2,8}",
    "secret.{0,20}plan",
    r"v\d{1,3}x",
    "(cat|ox)q",
)


def main() -> None:
    rng = random.Random(0)
    phrases = [
        "".join(rng.choices(string.ascii_lowercase, k=rng.randint(4, 12))) for _ in "." * 1000
    ]
    mine = Blocklist(name="mine", phrases=tuple(phrases), patterns=PATTERNS)
    lists = Blocklists([mine])
    texts = {
        "English prose": (PROSE * 10)[:1000],
        "with letters as digits": (PROSE.replace("it", "1t") * 10)[:1000],
        "Cyrillic": ("Министры обсудили положение в четверг, но решения пока нет. " * 20)[:1000],
        "all base64": base64.b64encode((PROSE * 10).encode()).decode()[:1000],
    }
    rows: list[Row] = []
    for name, text in texts.items():
        find, hold = (
            _median_us(lambda t=text: lists.find(t)),
            _median_us(lambda t=text: lists.hold(t)),
        )
        rows.append({"text of 1,000 characters": name, "find [µs]": find, "hold [µs]": hold})
    alone = asyncio.run(_stream_us(Policy(enabled=False), mine))
    gated = asyncio.run(_stream_us(Policy(classifier="none", blocklists=(mine,)), mine))
    rows.append(
        {"text of 1,000 characters": "a stream: µs an item, filter off", "find [µs]": alone}
    )
    rows.append({"text of 1,000 characters": "a stream: µs an item, vetted", "find [µs]": gated})
    write("blocklist_speed", rows)


def _median_us(function: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS + 10):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times[10:]) * 1e6


async def _stream_us(policy: Policy, mine: Blocklist) -> float:
    """µs an item of a source that never waits, block lists in their thread included."""
    words = (PROSE * (ITEMS // 20)).split(" ")[:ITEMS]

    async def source() -> AsyncIterator[Held]:
        for i, word in enumerate(words):
            if i % 50 == 0:
                await asyncio.sleep(0)
            yield Held(0, "content", word + " ", i)

    times = []
    for _ in range(5):
        content_filter = ContentFilter(policy)
        start, passed = time.perf_counter(), 0
        async for event in vet(source(), content_filter):
            assert isinstance(event, Passed)
            passed += len(event.items)
        times.append(time.perf_counter() - start)
        assert passed == ITEMS
        await content_filter.close()
    return statistics.median(times) / ITEMS * 1e6


if __name__ == "__main__":
    main()
