"""An upstream's chat chunks to pieces. Its parsers are believed until V3.2's own marks show up.

An engine without (or with the wrong) reasoning or tool parser leaves `</think>` and DSML tags in
the text: from the first mark on our parser reads it. Text without marks passes as it is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from speciale.chat import (
    DSML,
    THINK_CLOSE,
    THINK_OPEN,
    ArgumentDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    Finish,
    ReasoningDelta,
    Repair,
    StreamParser,
)
from speciale.serve.backends.chunks import CallDelta, ChatChoice, ChatChunk
from speciale.serve.backends.endings import Endings
from speciale.serve.backends.seam import FinishReason, Job, Piece, TokenLogprob

_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "content_filter": "content_filter",
    "insufficient_system_resource": "insufficient_system_resource",
    "abort": "insufficient_system_resource",
    "error": "insufficient_system_resource",
}  # all others: the model has ended
_MAX_LEADING = 64  # characters, white space in front included, that wait to become <think>


@dataclass
class Habits:
    """What an upstream has shown of itself; shared by its answers.

    `bare_reasoning`: whether its content begins with reasoning, None as long as that is unknown.
    """

    bare_reasoning: bool | None = None


class ChatReader:
    """Reads one answer: `read` for each chunk, then `end`, or `cut` where the stream broke off."""

    def __init__(self, job: Job, habits: Habits, name: str) -> None:
        self._ends: Endings[Piece] = Endings(job.n, name)
        self._choices = [_Choice(job, habits) for _ in range(job.n)]

    def read(self, chunk: ChatChunk | None) -> list[Piece]:
        if chunk is None:
            self._ends.done = True
            return []
        if chunk.usage is not None:
            self._ends.usage = chunk.usage
        pieces: list[Piece] = []
        for choice in chunk.choices:
            if self._ends.takes(choice.index):
                # Counts beside a choice are that choice's own (continuous_usage_stats).
                so_far = chunk.usage.completion_tokens if chunk.usage else None
                pieces += self._piece(choice, so_far if len(chunk.choices) == 1 else None)
        return pieces

    def end(self) -> list[Piece]:
        """The last pieces. Raises BackendError where the stream ended too early."""
        self._ends.check()
        # Some servers end with [DONE] alone.
        pieces = [piece for index in sorted(self._ends.open) for piece in self._end(index, "stop")]
        return [*pieces, self._last()]

    def cut(self) -> list[Piece]:
        reason = "insufficient_system_resource"
        pieces = [piece for index in sorted(self._ends.open) for piece in self._end(index, reason)]
        return [*pieces, self._last()]

    def _piece(self, given: ChatChoice, so_far: int | None) -> list[Piece]:
        choice = self._choices[given.index]
        piece = Piece(given.index, logprobs=_logprobs(given))
        reasoning = given.delta.reasoning_content or given.delta.reasoning or ""
        content = given.delta.content or ""
        if reasoning:
            piece.events += choice.reasoning(reasoning)
        if content:
            piece.events += choice.content(content)
        for call in given.delta.tool_calls or ():
            piece.events += choice.call(call)
        said = bool(reasoning or content or given.delta.tool_calls)
        piece.tokens = self._ends.tokens(given.index, so_far, len(piece.logprobs) or int(said))
        if choice.waiting is not None:
            piece.tokens += choice.waiting.tokens
            piece.logprobs = choice.waiting.logprobs + piece.logprobs
        # What says nothing yet (the role alone, half a mark) waits: another upstream may be asked
        # as long as nothing has gone out.
        choice.waiting = None if piece.events else piece
        if given.finish_reason:
            return self._end(given.index, _REASONS.get(given.finish_reason, "stop"), piece)
        return [_counted(piece)] if piece.events else []

    def _end(self, index: int, reason: FinishReason, piece: Piece | None = None) -> list[Piece]:
        choice = self._choices[index]
        piece = piece or choice.waiting or Piece(index)
        events, called = choice.end(cut=reason != "stop")
        piece.events += events
        piece.finish = "tool_calls" if called and reason == "stop" else reason
        return self._ends.end(_counted(piece))

    def _last(self) -> Piece:
        piece = self._ends.last()
        usage = self._ends.usage
        # The usage of a stream that broke off is the count of one choice at some moment.
        if usage is not None and piece.finish != "insufficient_system_resource":
            piece.prompt_tokens = usage.prompt_tokens
            piece.cached_tokens = usage.cached_tokens
            piece.completion_tokens = usage.completion_tokens
            piece.total_reasoning_tokens = usage.reasoning_tokens
        return piece


def _counted(piece: Piece) -> Piece:
    kinds = {type(event) for event in piece.events}
    piece.reasoning_tokens = piece.tokens if kinds == {ReasoningDelta} else 0
    return piece


class _Choice:
    """One choice: what of it is the upstream's parsers' work, and what ours."""

    def __init__(self, job: Job, habits: Habits) -> None:
        self._habits = habits
        # Not where it is to go on with an answer that is past its reasoning.
        self._thinking = job.prompt is not None and job.prompt.in_reasoning
        self._tools = bool(job.body.get("tools"))
        self._has_reasoned = False  # in the field for it
        self._at_start = True  # of the content
        self._held: list[str] = []  # content that may turn out to be reasoning
        self._held_tail = ""  # its end, where half of a mark may stand
        self._tail: dict[type, str] = {ReasoningDelta: "", ContentDelta: ""}
        self._parser: StreamParser | None = None
        self._calls: dict[tuple[str, int], int] = {}  # (whose, its index) -> our index
        self._open: tuple[int, list[str]] | None = None  # the upstream's call: index, arguments
        self._complete = 0
        self.waiting: Piece | None = None  # without events so far

    def reasoning(self, text: str) -> list[Event]:
        self._has_reasoned, self._habits.bare_reasoning = True, False
        return [*self._release(), *self._watched(text, ReasoningDelta)]

    def content(self, text: str) -> list[Event]:
        bare = self._thinking and not self._has_reasoned and self._at_start
        if self._parser is None and bare and self._habits.bare_reasoning is not False:
            # Reasoning always comes first: this is some, or the model does not think.
            self._held.append(text)
            end = self._held_tail + text
            self._held_tail = end[-len(THINK_CLOSE) :]
            if self._habits.bare_reasoning or THINK_CLOSE in end:
                self._habits.bare_reasoning = True
                text, self._held = "".join(self._held), []
                return self._parse(text, "thinking")
            return []
        return self._watched(text, ContentDelta)

    def call(self, delta: CallDelta) -> list[Event]:
        """The upstream's own call. Its arguments are checked when it ends."""
        events = self._release() + self._flush()
        name, text = delta.function.name, delta.function.arguments or ""
        index = delta.index
        if index is None:  # left out by some: a name begins the next call
            index = len(self._calls) - (0 if name else 1)
        key = ("upstream", index)
        if key not in self._calls:
            if not name:
                return events  # arguments of nothing
            events += self._end_call()
            mine = self._calls[key] = len(self._calls)
            self._open = (mine, [])
            events.append(CallStart(mine, name))
        if text and self._open is not None and self._open[0] == self._calls[key]:
            self._open[1].append(text)
            events.append(ArgumentDelta(self._open[0], text))
        return events

    def end(self, cut: bool) -> tuple[list[Event], bool]:
        """The last events, and whether any call is complete. `cut`: not ended by the model."""
        if self._held and not cut and self._habits.bare_reasoning is None:
            self._habits.bare_reasoning = False  # an answer without reasoning
        events = self._release() + self._flush()
        if self._parser is not None:
            events += self._own(self._parser.finish())
        events += self._end_call()
        return events, self._complete > 0

    def _end_call(self) -> list[Event]:
        """Complete is a call whose arguments are one JSON object, however the answer ended."""
        if self._open is None:
            return []
        (index, parts), self._open = self._open, None
        events: list[Event] = []
        text = "".join(parts)
        if not text.strip():
            text = "{}"
            events.append(ArgumentDelta(index, text))
        try:
            whole = isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            return []
        self._complete += 1
        return [*events, CallEnd(index)]

    def _release(self) -> list[Event]:
        text, self._held = "".join(self._held), []
        return self._watched(text, ContentDelta) if text else []

    def _watched(self, text: str, kind: type[ReasoningDelta | ContentDelta]) -> list[Event]:
        """Text of a field; from its first mark on it is the parser's."""
        if self._parser is not None:
            return self._own(self._parser.feed(text))
        text, self._tail[kind] = self._tail[kind] + text, ""
        return [*self._flush(), *self._split(text, kind)]

    def _split(self, text: str, kind: type[ReasoningDelta | ContentDelta]) -> list[Event]:
        opens = kind is ContentDelta and self._at_start and not self._has_reasoned
        if opens and text.lstrip().startswith(THINK_OPEN):
            return self._parse(text, "chat")
        marks = [f"<{DSML}"]
        if (
            opens
            and len(text) <= _MAX_LEADING
            and THINK_OPEN.startswith(text.lstrip()[: len(THINK_OPEN)])
        ):
            self._tail[kind] = text
            return []
        if kind is ReasoningDelta or (self._thinking and not self._has_reasoned):
            marks.append(THINK_CLOSE)
        places = [place for mark in marks if (place := text.find(mark)) >= 0]
        before, after = text, ""
        if places:
            before, after = text[: min(places)], text[min(places) :]
            stripped = before.removesuffix("\n").removesuffix("\n")
            if after.startswith("<" + DSML):
                before, after = stripped, before[len(stripped) :] + after
        else:
            keep = _unfinished(text, marks, self._tools)
            before, self._tail[kind] = text[: len(text) - keep], text[len(text) - keep :]
        events: list[Event] = [kind(before)] if before else []
        if before and kind is ContentDelta:
            self._at_start = False
        if after:
            if kind is ContentDelta and after.startswith(THINK_CLOSE):
                self._habits.bare_reasoning = True  # for the next answer: this text is out
            events += self._parse(after, "thinking" if kind is ReasoningDelta else "chat")
        return events

    def _parse(self, text: str, mode: str) -> list[Event]:
        self._parser = StreamParser(mode, "lenient")
        return self._own(self._parser.feed(text))

    def _own(self, events: list[Event]) -> list[Event]:
        """Our parser's events, its calls numbered after the upstream's."""
        kept: list[Event] = []
        for event in events:
            if isinstance(event, Finish | Repair):
                continue
            if isinstance(event, CallStart | ArgumentDelta | CallEnd):
                event.index = self._calls.setdefault(("own", event.index), len(self._calls))
                self._complete += isinstance(event, CallEnd)
            kept.append(event)
        return kept

    def _flush(self) -> list[Event]:
        """What waited for the rest of a mark that did not come."""
        events: list[Event] = []
        for kind, text in self._tail.items():
            if text:
                self._tail[kind] = ""
                events.append(kind(text))
        return events


def _unfinished(text: str, marks: list[str], newlines: bool) -> int:
    """How many characters at the end of `text` may begin a mark; newlines in front of a block of
    calls are part of it, so they wait where calls are possible."""
    keep = max(
        (n for mark in marks for n in range(1, len(mark)) if text.endswith(mark[:n])), default=0
    )
    if newlines:
        end = len(text) - keep
        keep += len(re.search(r"\n{0,2}\Z", text[:end]).group())
    return keep


def _logprobs(choice: ChatChoice) -> list[TokenLogprob]:
    if choice.logprobs is None:
        return []
    entries = [*(choice.logprobs.reasoning_content or ()), *(choice.logprobs.content or ())]
    return [
        TokenLogprob(e.token, e.logprob, [(t.token, t.logprob) for t in e.top_logprobs or ()])
        for e in entries
    ]
