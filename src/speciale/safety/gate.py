"""The streaming gate: a completion's text leaves only when vetted, in small buffers that grow.

One task reads the source and never waits; one task a choice checks what has come, each check with
the end of what was released before, while decoding goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from speciale.safety.filter import ContentFilter
from speciale.safety.verdict import Results, Verdict, merge_results

OVERLAP = 400  # characters of vetted text that each check sees again, for the sense of the rest
FIRST, LARGEST = 80, 640  # characters that make a check due: the first one, doubling up to
IDLE, LONGEST_IDLE = 0.05, 0.4  # seconds without text that make one due, likewise
AGE, LONGEST_AGE = 0.3, 2.0  # seconds that text may wait for more
SENTENCE_ENDS = frozenset(".!?\n。！？")

Offsets = dict[str, int]


@dataclass(slots=True)
class Held:
    """One `item` of a stream and the text that it carries. `last`: the choice ends with it.

    Channel "none" is for items without text; they keep their place among the others.
    """

    choice: int
    channel: Literal["content", "reasoning", "arguments", "none"]
    text: str
    item: object
    last: bool = False


@dataclass(slots=True)
class Passed:
    """Items that may go out. `results`, `offsets`: of the check behind them, if there was one."""

    choice: int
    items: list[Any]
    results: Results | None = None
    offsets: Offsets | None = None


@dataclass(slots=True)
class Annotated:
    """What an asynchronous check said of text that went out before."""

    choice: int
    results: Results
    offsets: Offsets


@dataclass(slots=True)
class Blocked:
    """The choice ends here, nothing more of it comes.

    Offsets count the characters of the choice's channel: all before `check_offset` was vetted,
    start_offset:end_offset is what this check saw.
    """

    choice: int
    verdict: Verdict
    offsets: Offsets


Event = Passed | Annotated | Blocked


async def vet(
    source: AsyncIterator[Held],
    content_filter: ContentFilter,
    choices: int = 1,
    before: Mapping[str, str] | None = None,
    buffered: bool = False,
) -> AsyncIterator[Event]:
    """The events of a stream of `choices` choices, in the order of the source for each choice.

    `before`: by channel, the end of a text that the stream goes on from, so that what begins
    there and ends here is seen. `buffered` holds text back even where the policy is asynchronous.

    The source is closed when it ends, when all choices are blocked, and when this generator is
    closed or cancelled; no task outlives it. What the source raises is raised here after all that
    came before was vetted.
    """
    if not content_filter.active:
        try:
            async for held in source:
                yield Passed(held.choice, [held.item])
        finally:
            await _close(source)
        return
    gate = _Gate(source, content_filter, choices, before or {}, buffered)
    try:
        while (event := await gate.out.get()) is not None:
            yield event
        await gate.finisher
    finally:
        tasks = [gate.reader, gate.finisher, *(lane.task for lane in gate.lanes.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _close(source)  # a reader that was cancelled before its first step has not


class _Gate:
    """The reader, the lanes that it fills, and the queue of what comes out of them."""

    def __init__(
        self,
        source: AsyncIterator[Held],
        content_filter: ContentFilter,
        n: int,
        before: Mapping[str, str],
        buffered: bool,
    ) -> None:
        self.source, self.filter, self.running, self.before = source, content_filter, n, before
        self.at_once = content_filter.policy.streaming == "asynchronous" and not buffered
        self.out: asyncio.Queue[Event | None] = asyncio.Queue()
        self.lanes: dict[int, _Lane] = {}
        self.reader = asyncio.create_task(self._read())
        self.finisher = asyncio.create_task(self._finish())

    async def _read(self) -> None:
        lanes = self.lanes
        try:
            async for held in self.source:
                lane = lanes.get(held.choice)
                if lane is None:
                    lane = lanes[held.choice] = _Lane(held.choice, self)
                lane.push(held)
        finally:
            for lane in lanes.values():
                lane.end()
            await _close(self.source)

    async def _finish(self) -> None:
        try:
            await asyncio.wait((self.reader,))
            await asyncio.gather(*(lane.task for lane in self.lanes.values()))
            if not self.reader.cancelled():
                self.reader.result()  # raises what the source raised
        finally:
            self.out.put_nowait(None)

    def blocked(self) -> None:
        self.running -= 1
        if self.running <= 0:
            self.reader.cancel()


class _Lane:
    """One choice: its items that wait, and the task that checks them."""

    def __init__(self, choice: int, gate: _Gate) -> None:
        self.choice, self.gate = choice, gate
        self.items: deque[Held] = deque()
        self.done = 0  # characters at the head of `items` that are vetted
        self.pending = 0  # characters of `items` that are not
        self.checks = 0
        self.context: dict[str, str] = dict(gate.before)  # the end of what was vetted, by channel
        self.offset: dict[str, int] = {}  # characters vetted, by channel
        self.results: Results | None = None  # of checks that have let nothing go yet
        self.due = self.ended = self.blocked = self.stuck = False
        self.armed = False  # the task looks again by itself
        self.wake = asyncio.Event()
        self.clock = asyncio.get_running_loop().time
        self.newest = self.oldest = self.clock()
        self.channel = "none"  # of the newest text
        self.task = asyncio.create_task(self._run())

    def push(self, held: Held) -> None:
        """Takes the next item, in a few microseconds."""
        if self.blocked:
            return
        if self.gate.at_once:
            self.gate.out.put_nowait(Passed(self.choice, [held.item]))
        text = held.text if held.channel != "none" else ""
        if not text:
            if self.items:
                self.items.append(held)
                self.due |= held.last
            elif not self.gate.at_once:
                self.gate.out.put_nowait(Passed(self.choice, [held.item]))
            if self.due:
                self.wake.set()
            return
        self.newest = self.clock()
        if not self.pending:
            self.oldest = self.newest
        self.items.append(held)
        self.pending += len(text)
        self.stuck = False
        size = self._paced(FIRST, LARGEST)
        if (
            self.pending >= size
            or (self.pending >= size // 4 and not SENTENCE_ENDS.isdisjoint(text))
            or held.channel != self.channel
            or held.last
        ):
            self.due = True
        self.channel = held.channel
        if self.due or not self.armed:
            self.wake.set()

    def end(self) -> None:
        self.ended = self.due = True
        self.wake.set()

    def _paced(self, first: float, largest: float) -> float:
        return min(first * 2 ** min(self.checks, 8), largest)

    async def _run(self) -> None:
        while await self._until_due():
            channel, text, complete = self._segment()
            self.due = False
            context = self.context.get(channel, "")
            cut = seen = len(text)
            if not complete:
                free, seen = self.gate.filter.hold(context + text)
                cut, seen = free - len(context), seen - len(context)
            if cut <= 0:
                self.stuck = True
                continue
            verdict = await self.gate.filter.check_completion(context + text[:seen], channel)
            self.checks += 1
            before = self.offset.get(channel, 0)
            offsets = {
                "check_offset": before if verdict.filtered else before + cut,
                "start_offset": before - len(context),
                "end_offset": before + seen,
            }
            if verdict.filtered:
                self.blocked = True
                self.items.clear()
                self.gate.out.put_nowait(Blocked(self.choice, verdict, offsets))
                self.gate.blocked()
                return
            self.offset[channel] = before + cut
            self.context[channel] = _overlap(context + text[:cut])
            self._release(cut, verdict, offsets)

    async def _until_due(self) -> bool:
        """Waits until a check is due; False when there is nothing left to check."""
        while True:
            if self.ended and not self.items:
                return False
            if self.items and (self.due or self.ended):
                return True
            wait = None
            if self.items and not self.stuck:
                idle = self.newest + self._paced(IDLE, LONGEST_IDLE)
                age = self.oldest + self._paced(AGE, LONGEST_AGE)
                wait = min(idle, age) - self.clock()
                if wait <= 0:
                    return True
            self.wake.clear()
            self.armed = wait is not None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.wake.wait()
            self.armed = False

    def _segment(self) -> tuple[str, str, bool]:
        """The channel of the first items, their text that is not vetted, and whether it is whole:
        followed by another channel's, or by the end."""
        parts: list[str] = []
        channel = ""
        complete = self.ended
        for held in self.items:
            if held.channel != "none" and held.text:
                if channel and held.channel != channel:
                    complete = True
                    break
                channel = held.channel
                parts.append(held.text)
            complete = complete or held.last
        return channel, "".join(parts)[self.done :], complete

    def _release(self, vetted: int, verdict: Verdict, offsets: Offsets) -> None:
        """Lets the items go of which all characters are vetted now."""
        self.pending -= vetted
        self.done += vetted
        self.oldest = self.clock()
        out: list[Any] = []
        while self.items:
            length = len(self.items[0].text) if self.items[0].channel != "none" else 0
            if length > self.done:
                break
            self.done -= length
            out.append(self.items.popleft().item)
        results = verdict.results()
        if self.gate.at_once:
            self.gate.out.put_nowait(Annotated(self.choice, results, offsets))
        else:
            if self.results is not None:
                results = merge_results((self.results, results))
            self.results = None if out else results
            if out:
                self.gate.out.put_nowait(Passed(self.choice, out, results, offsets))
        # What came meanwhile may be due at once: another channel's text, or enough of this one's.
        self.due = self.pending >= self._paced(FIRST, LARGEST) or (
            bool(self.items) and self._segment()[2]
        )


def _overlap(text: str) -> str:
    """The end of a text, from the start of a word on."""
    if len(text) <= OVERLAP:
        return text
    tail = text[-OVERLAP:]
    space = max(tail.find(" ", 0, 64), tail.find("\n", 0, 64))
    return tail[space + 1 :]


async def _close(source: AsyncIterator[Held]) -> None:
    if close := getattr(source, "aclose", None):
        await close()
