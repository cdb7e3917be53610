"""The grammar of a completion: reasoning, `</think>`, content, a block of calls, the end mark.
Every departure from it is a flaw: strict raises there, lenient reports it and reads on. Source:
`encoding/` of deepseek-ai/DeepSeek-V3.2; strict equals its parser, oddities included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from speciale.chat import patterns
from speciale.chat.calls import Calls
from speciale.chat.errors import ChatFormatError
from speciale.chat.events import ContentDelta, Finish, ReasoningDelta
from speciale.chat.markers import CALLS_OPEN, EOS, THINK_CLOSE, THINK_OPEN
from speciale.chat.reader import PENDING, Match, Reader, Reading

_BLOCK_NEWLINES = 2  # in front of the block of calls, as part of its opening


class Grammar:
    """One completion; `message` reads it to its end."""

    def __init__(
        self, reader: Reader, in_reasoning: bool, tools: Iterable[Mapping[str, Any]] | None
    ):
        self._reader, self._in_reasoning = reader, in_reasoning
        self._calls = Calls(reader, tools)
        self._said_something = False  # other than white space
        self._last = {ReasoningDelta: "", ContentDelta: ""}  # the end of what was given of each
        self._newlines = 0  # in front of the tag that was found last

    def message(self) -> Reading[None]:
        reader = self._reader
        after_calls = eos = False
        while (marker := (yield from self._free_text())) is not None:
            offset, text = reader.base + marker.start(), marker.group()
            if marker["name"] is not None:
                if self._in_reasoning:
                    reader.flaw("calls_in_reasoning", "calls begin inside the reasoning", offset)
                    self._in_reasoning = False
                if text != CALLS_OPEN[:-1] or self._newlines != _BLOCK_NEWLINES:
                    what = f"{text!r} is not the opening of a block after a blank line"
                    reader.flaw("misplaced_tag", what, offset)
                yield from self._calls.block(marker)
                after_calls = True
            elif text == EOS:
                eos = True
                if self._in_reasoning:
                    reader.flaw(
                        "unclosed_reasoning", f"the end comes without {THINK_CLOSE}", offset
                    )
                yield from self._rest()
                break
            elif text == THINK_CLOSE and self._in_reasoning:
                self._in_reasoning, self._said_something = False, True
            else:
                reader.flaw("special_token", f"{text!r} stands in the text", offset)
                # A model that was told not to think may begin with it all the same.
                if text == THINK_OPEN and not self._said_something:
                    self._in_reasoning = True
        else:
            end = reader.base + reader.at
            if self._in_reasoning:
                reader.flaw("unclosed_reasoning", f"the text ends without {THINK_CLOSE}", end)
            elif reader.strict and not after_calls:
                raise ChatFormatError(f"the answer ends without {EOS}", offset=end)
        reader.events.append(Finish("tool_calls" if self._calls.complete else "stop", eos))

    def _free_text(self) -> Reading[Match | None]:
        """Gives out reasoning or content up to the next marker, which it reads; None at the end."""
        reader = self._reader
        find = patterns.CANDIDATE.search
        delta = ReasoningDelta if self._in_reasoning else ContentDelta
        if self._last[delta]:
            yield from self._mend_seam(delta)
        while True:
            buffer, start = reader.buffer, reader.at
            place, marker = start, None
            while candidate := find(buffer, place):
                place = candidate.start()
                marker = reader.marker_at(place)
                if marker is not None:
                    break
                place += 1
            else:
                place = len(buffer)
            found = marker is not None and marker is not PENDING
            stop = place
            # Newlines in front of a tag are the tag's, so they wait with what may become one.
            if marker["name"] is not None if found else not reader.final:
                while stop > start and place - stop < _BLOCK_NEWLINES and buffer[stop - 1] == "\n":
                    stop -= 1
            if stop > start:
                text = buffer[start:stop]
                reader.events.append(delta(text))
                self._last[delta] = (self._last[delta] + text)[-patterns.LONGEST :]
                self._said_something = self._said_something or not text.isspace()
            if found:
                self._newlines, reader.at = place - stop, marker.end()
                return marker
            reader.at = stop
            if reader.final:
                return None
            yield

    def _mend_seam(self, delta: type[ReasoningDelta | ContentDelta]) -> Reading[None]:
        """Where a marker was taken out, what stands before and after may be another together:
        then the part of it that is still to come is taken out too."""
        reader = self._reader
        last = self._last[delta]
        while before := patterns.UNFINISHED_MARKER.search(last, max(0, last.rfind("<"))):
            known = before.group()
            joint = known + reader.buffer[reader.at : reader.at + patterns.LONGEST]
            whole = reader.final or len(joint) == len(known) + patterns.LONGEST
            marks = (reader.marker_in(joint, n, whole) for n in range(len(known)))
            marker = next((mark for mark in marks if mark is not None), None)
            if marker is PENDING:
                yield
            elif marker is None:
                return
            else:
                what = f"{marker.group()!r} stands in the text, in parts"
                reader.flaw("special_token", what, reader.base + reader.at)
                reader.at += marker.end() - len(known)

    def _rest(self) -> Reading[None]:
        """Reads what follows the end mark, to nothing."""
        reader = self._reader
        said = False
        while True:
            if reader.at < len(reader.buffer) and not said:
                reader.flaw("text_after_end", f"text follows {EOS}", reader.base + reader.at)
                said = True
            reader.at = len(reader.buffer)
            if reader.final:
                return
            yield
