"""The text of a completion as far as it has come, for generators that wait for more of it.
Each generator of the grammar (grammar.py, calls.py) reads on from `Reader.at`, and yields where it
needs more text; it goes on when the buffer has grown or is final."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any, TypeVar

from speciale.chat import patterns
from speciale.chat.errors import ChatFormatError
from speciale.chat.events import Event, Repair
from speciale.chat.markers import DSML

T = TypeVar("T")
Match = re.Match[str]
# A place in the buffer, a match too, does not outlive a yield: the buffer loses what was read.
Reading = Generator[None, None, T]

PENDING = object()  # more text decides whether this is a marker


class Reader:
    """The buffer, the place in it, and the events so far."""

    def __init__(self, strict: bool):
        self.strict = strict
        self.stops = patterns.Strict if strict else patterns.Lenient
        self.buffer, self.at, self.base = "", 0, 0  # text, place in it, offset of its start
        self.final = False
        self.events: list[Event] = []

    def add(self, chunk: str, final: bool) -> None:
        self.base += self.at
        self.buffer, self.at = self.buffer[self.at :] + chunk, 0
        self.final = final

    def flaw(self, kind: str, detail: str, offset: int, dropped: int | None = None) -> None:
        """Something that the reference refuses: raises (strict) or reports it (lenient)."""
        if self.strict:
            raise ChatFormatError(detail, offset=offset)
        self.events.append(Repair(kind, detail, offset, dropped))

    def marker_at(self, place: int) -> Any:
        """The marker that begins at `place`, None, or PENDING where more text decides."""
        return self.marker_in(self.buffer, place, self.final)

    def marker_in(self, text: str, place: int, final: bool) -> Any:
        marker = patterns.MARKER.match(text, place)
        if marker is None:
            broken = None if self.strict else patterns.BROKEN_MARKER.match(text, place)
            if broken and text[broken.end() : broken.end() + 1] == "<":
                return broken  # a shortcut: no marker goes on over that
            if not final and patterns.UNFINISHED_MARKER.match(text, place):
                return PENDING
            marker = broken
            if marker is None:
                return None
        if marker.end() == len(text) and not final and text[-1] != ">":
            return PENDING
        if self.strict and not patterns.STRICT_MARKER.fullmatch(marker.group()):
            if DSML in marker.group():
                self.flaw("special_token", f"{DSML!r} stands alone", self.base + place)
            return None
        return marker

    def up_to_tag(self) -> Reading[tuple[str, Match | None]]:
        """As `up_to`, for the tags that matter inside a call. The end mark is left unread."""
        text, tag = yield from self.up_to(self.stops.in_call)
        if tag is not None and tag["name"] is None:
            self.unread_tag(tag)
            tag = None
        return text, tag

    def up_to(self, pattern: re.Pattern[str]) -> Reading[tuple[str, Match | None]]:
        """Reads through the next match: the text before it, and the match (None at the end)."""
        parts = []
        while True:
            buffer, start = self.buffer, self.at
            match = pattern.search(buffer, start)
            if match is not None and (self.final or match.end() < len(buffer)):
                parts.append(buffer[start : match.start()])
                self.at = match.end()
                return "".join(parts), match
            if self.final:
                parts.append(buffer[start:])
                self.at = len(buffer)
                return "".join(parts), None
            # A match may grow with more text, or have begun without being seen yet.
            keep = match.start() if match else max(start, len(buffer) - patterns.LONGEST)
            parts.append(buffer[start:keep])
            self.at = keep
            yield

    def unread(self, text: str) -> None:
        """Puts back text that was read last."""
        if self.at >= len(text):
            self.at -= len(text)  # it is still in the buffer
        else:
            self.base += self.at - len(text)
            self.buffer, self.at = text + self.buffer[self.at :], 0

    def unread_tag(self, tag: Match | None) -> None:
        if tag is not None:
            self.at = tag.start()


def kind_of(tag: Match) -> str:
    """Such as "invoke" and "/invoke"."""
    return tag["close"] + tag["name"]
