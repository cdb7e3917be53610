"""The calls of a completion: blocks, calls and their arguments, as DeepSeek-V3.2 writes them.
`<｜DSML｜invoke name="f">`, a line for each `<｜DSML｜parameter name="k" string="true">v` with its
closing tag; a value ends at its closing tag only, so that it may hold any other."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from json.encoder import encode_basestring as quoted
from typing import Any

from speciale.chat import patterns
from speciale.chat.errors import ChatFormatError
from speciale.chat.events import ArgumentDelta, CallEnd, CallStart, Repair
from speciale.chat.markers import EOS, PARAMETER_CLOSE
from speciale.chat.reader import PENDING, Match, Reader, Reading, kind_of
from speciale.chat.schema import fit_arguments

_KEY_OPEN = ' name="'
_NEVER = sys.maxsize
# Values are checked, not used: numbers stay unread, since Python limits the digits of an int.
_JSON = json.JSONDecoder(parse_int=len, parse_float=len)


class Calls:
    """Reads blocks of calls; `complete` counts the calls that were read to their end."""

    def __init__(self, reader: Reader, tools: Iterable[Mapping[str, Any]] | None):
        self.complete = 0
        self._reader, self._tools = reader, tools
        self._begun = 0
        self._open_call: int | None = None
        self._name = ""
        self._keys: set[str] = set()
        self._unfitted: list[str] = []  # arguments that wait for the end of their call
        # Offsets of the next end and the next beginning of a parameter, as far as known.
        self._next_close = self._next_open = -1

    def block(self, tag: Match | None) -> Reading[None]:
        """From the first tag in free text to where free text goes on, or the completion ends."""
        reader = self._reader
        inside = False  # the block
        while tag is not None:
            offset, kind = reader.base + tag.start(), kind_of(tag)
            if kind == "invoke":
                if not inside:
                    reader.flaw("bare_call", "a call stands outside of any block", offset)
                tag = yield from self._call(offset)
                if tag is not None:
                    continue
            elif kind == "parameter":
                reader.flaw("stray_tag", "a parameter stands outside of any call", offset)
                tag = yield from self._skip_call()
                if tag is not None:
                    continue
            elif kind == ("/function_calls" if inside else "function_calls"):
                inside = not inside
            else:
                reader.flaw("stray_tag", f"{tag.group()!r} has nothing to open or close", offset)
            tag = yield from self._between_tags(inside)
        if inside and not reader.strict:
            end = reader.base + reader.at
            reader.flaw("unclosed_block", "the block of calls is not closed", end)

    def _between_tags(self, inside: bool) -> Reading[Match | None]:
        """Reads the `>` of the last tag and the space to the next tag, which it reads and returns;
        None, with the space left unread, where free text goes on or the completion ends."""
        reader = self._reader
        while reader.at == len(reader.buffer):
            if reader.final:  # the reference takes a block that ends here, but no cut-off end tag
                if not inside:
                    reader.flaw("unclosed_tag", "the last tag is cut off", reader.base + reader.at)
                return None
            yield
        if reader.buffer[reader.at] == ">":
            reader.at += 1
        else:
            reader.flaw("unclosed_tag", "a tag goes on after its name", reader.base + reader.at)
            yield from self._skip_attributes()
        offset = reader.base + reader.at
        spaces = []
        while True:
            space = patterns.SPACE.match(reader.buffer, reader.at)
            spaces.append(space.group())
            reader.at = space.end()
            marker = PENDING if reader.at == len(reader.buffer) else reader.marker_at(reader.at)
            if marker is not PENDING or reader.final:
                break
            yield
        between = "".join(spaces)
        if marker is PENDING or (marker is not None and marker.group() == EOS):
            if inside and reader.strict:
                raise ChatFormatError("the block of calls is not closed", offset=offset)
            if between:
                reader.flaw("spacing", f"{between[:80]!r} follows the calls", offset)
            return None
        if marker is not None and marker["name"] is not None:
            if not inside or between != "\n":
                reader.flaw("spacing", f"{between[:80]!r} stands between two tags", offset)
            reader.at = marker.end()
            return marker
        reader.flaw("text_after_calls", "text follows the calls", offset)
        reader.unread(between)
        return None

    def _skip_attributes(self) -> Reading[None]:
        reader = self._reader
        while True:
            rest = patterns.ATTRIBUTES.match(reader.buffer, reader.at)
            if rest.end() < len(reader.buffer):
                if reader.buffer[rest.end()] == ">":
                    reader.at = rest.end() + 1
                return
            if reader.final or len(rest.group()) == patterns.LONGEST_ATTRIBUTES:
                return
            yield

    def _call(self, offset: int) -> Reading[Match | None]:
        """One call, from after `<｜DSML｜invoke` on. None where its closing tag (or the end of the
        completion) ended it, else the tag that did, read."""
        reader = self._reader
        header, tag = yield from reader.up_to_tag()
        plain = patterns.INVOKE_HEADER.fullmatch(header)
        if plain and (reader.strict or not patterns.NO_NAME.search(plain[1])):
            self._start_call(plain[1])
        else:
            reader.flaw("bad_invoke", f"the tag of a call reads {header[:80]!r}", offset)
            loose = patterns.LOOSE_INVOKE_HEADER.fullmatch(header)
            body = loose["body"].strip() if loose else ""
            inline = tag is not None and kind_of(tag) == "/invoke" and _is_object(body)
            if loose is None or (body and not inline and not loose["closed"]):
                reader.unread_tag(tag)
                return (yield from self._drop_call("its tag or its body is malformed", offset))
            self._start_call(loose["name"])
            if loose["closed"]:
                self._end_call()
                reader.unread_tag(tag)
                reader.unread(">" + loose["body"])  # space up to the next tag, or free text
                return None
            if inline:
                self._end_call(body)
                return None
        while tag is not None and kind_of(tag) == "parameter":
            trouble = yield from self._parameter()
            if trouble:
                return (yield from self._drop_call(trouble, offset))
            after = reader.base + reader.at
            gap, tag = yield from reader.up_to_tag()
            if gap != ">\n" and (gap or reader.strict):
                reader.flaw("spacing", f"{gap[:80]!r} follows a parameter", after)
                if not patterns.LOOSE_GAP.fullmatch(gap):
                    reader.unread_tag(tag)
                    return (yield from self._drop_call("text stands between parameters", offset))
        if tag is None or kind_of(tag) == "/invoke":
            if tag is None and not reader.strict:
                return (yield from self._drop_call("it is cut off", offset))
            self._end_call()
            return None
        if kind_of(tag) not in ("invoke", "function_calls", "/function_calls"):
            return (yield from self._drop_call(f"{tag.group()!r} stands in it", offset))
        reader.flaw("unclosed_call", f"{tag.group()!r} ends a call that is open", offset)
        self._end_call()
        return tag

    def _drop_call(self, why: str, offset: int) -> Reading[Match | None]:
        """Gives up the call that began at `offset`; as `_call` from there on."""
        reader = self._reader
        reader.flaw("dropped_call", f"a call is dropped: {why}", offset, dropped=self._open_call)
        self._open_call = None
        return (yield from self._skip_call())

    def _skip_call(self) -> Reading[Match | None]:
        reader = self._reader
        while True:
            _, tag = yield from reader.up_to_tag()
            if tag is None or kind_of(tag) == "/invoke":
                return None
            if kind_of(tag).endswith(("invoke", "function_calls")):
                return tag

    def _parameter(self) -> Reading[str]:
        """One argument, from after `<｜DSML｜parameter` to after `</｜DSML｜parameter`. Returns why
        the call cannot be kept, or nothing."""
        reader = self._reader
        start = reader.base + reader.at
        while len(reader.buffer) - reader.at < len(_KEY_OPEN) and not reader.final:
            yield
        head, stops = "", patterns.TAG
        if reader.buffer.startswith(_KEY_OPEN, reader.at):
            reader.at += len(_KEY_OPEN)
            head, stops = _KEY_OPEN, reader.stops.after_key
        text, stop = yield from reader.up_to(stops)
        if head and stop is not None and stop["string"]:
            return (yield from self._argument(text, stop["string"] == "true", start))
        head += text
        reader.flaw("bad_parameter", f"the tag of a parameter reads {head[:80]!r}", start)
        loose = patterns.LOOSE_PARAMETER.fullmatch(head)
        if loose is None or stop is None or stop.group() != PARAMETER_CLOSE[:-1]:
            reader.unread_tag(stop)
            return "the tag of a parameter is malformed"
        # Without the attribute it is text, as everything in the format is that is not said to be
        # JSON. The value is read again where it began.
        reader.at = stop.start()
        reader.unread(loose["value"])
        return (yield from self._argument(loose["key"], loose["string"] != "false", start))

    def _argument(self, key: str, is_text: bool, start: int) -> Reading[str]:
        """The value of the argument `key` and its closing tag; returns as `_parameter`."""
        reader = self._reader
        if key in self._keys:
            reader.flaw("repeated_parameter", f"the parameter {key!r} comes twice", start)
            return "a parameter comes twice"
        before = ", " if self._keys else "{"
        self._keys.add(key)
        if is_text:
            self._give(f'{before}{quoted(key)}: "')
            trouble = yield from self._value(lambda text: self._give(quoted(text)[1:-1]))
            if not trouble:
                self._give('"')
            return trouble
        # In parts it would not be known to be JSON, so that it is given whole.
        parts: list[str] = []
        trouble = yield from self._value(parts.append)
        if trouble:
            return trouble
        value = "".join(parts)
        if not reader.strict and not _is_json(value):
            reader.flaw("not_json", f"{value[:80]!r} is not JSON and becomes a string", start)
            value = quoted(value)
        self._give(f"{before}{quoted(key)}: {value}")
        return ""

    def _value(self, give: Callable[[str], None]) -> Reading[str]:
        """Passes a value to `give` as it comes, up to its closing tag; returns as `_parameter`."""
        reader = self._reader
        while True:
            buffer, start = reader.buffer, reader.at
            end = None
            if patterns.BAR.search(buffer, start):  # else no tag can be in it
                end = reader.stops.value_end.search(buffer, start)
            if end is not None and (reader.final or end.end() < len(buffer)):
                if end["end"] is None:
                    trouble = yield from self._tag_in_value(give, end.start())
                    if trouble is not None:
                        return trouble
                    continue
                give(buffer[start : end.start()])
                reader.at = end.end()
                if end["end"][0] == "/":
                    what = f"{end['end']!r} lacks its '<'"
                    reader.flaw("unclosed_parameter", what, reader.base + end.start())
                return ""
            if reader.final:
                give(buffer[start:])
                reader.at = len(buffer)
                return "it is cut off"
            if end is None:
                end = patterns.UNFINISHED_VALUE_END.search(
                    buffer, max(start, len(buffer) - patterns.LONGEST)
                )
            stop = end.start() if end is not None else len(buffer)
            # The newline in front of a tag is not the value's where the closing tag is missing.
            if stop > start and buffer[stop - 1] == "\n":
                stop -= 1
            if stop > start:
                give(buffer[start:stop])
                reader.at = stop
            yield

    def _tag_in_value(self, give: Callable[[str], None], tag_at: int) -> Reading[str | None]:
        """Decides what a tag inside a value means (lenient only; for the reference it is text).

        Text too, if the value is closed further on and no parameter is opened before. Else the
        closing tag is missing: the value ends here in front of the next parameter or the call's
        end, and any other tag leaves the call incomplete. Returns as `_parameter`, None for text.
        """
        reader = self._reader
        newline = tag_at > reader.at and reader.buffer[tag_at - 1] == "\n"
        give(reader.buffer[reader.at : tag_at - newline])
        reader.at = tag_at - newline
        # Each search begins behind the find of the one before, so that all together read once.
        if self._next_close < reader.base + tag_at:
            held, close = yield from reader.up_to(patterns.PARAMETER_CLOSE)
            reader.unread(held + (close.group() if close else ""))
            self._next_close = reader.base + reader.at + len(held) if close else _NEVER
        tag_at = reader.at + newline
        close_at = min(self._next_close - reader.base, len(reader.buffer))
        if self._next_open < reader.base + tag_at:
            found = patterns.PARAMETER_TAG.search(reader.buffer, tag_at, close_at)
            self._next_open = reader.base + found.start() if found else self._next_close
        if self._next_open >= self._next_close < _NEVER:
            give(reader.buffer[reader.at : close_at])
            reader.at = close_at
            return None
        tag = patterns.TAG.match(reader.buffer, tag_at)
        reader.at = tag_at
        if tag and (kind_of(tag) == "/invoke" or self._next_open == reader.base + tag_at):
            what = f"{tag.group()!r} follows a value that is not closed"
            reader.flaw("unclosed_parameter", what, reader.base + tag_at)
            return ""
        return "a value is not closed"

    def _start_call(self, name: str) -> None:
        reader = self._reader
        self._open_call, self._name = self._begun, name
        self._begun += 1
        self._keys.clear()
        self._unfitted.clear()
        reader.events.append(CallStart(self._open_call, name))

    def _end_call(self, inline: str = "") -> None:
        reader = self._reader
        self._give(inline or ("}" if self._keys else "{}"))
        index = self._open_call
        if self._tools is not None:
            text = "".join(self._unfitted)
            fitted, changes = fit_arguments(self._name, text, self._tools)
            for change in changes:
                reader.events.append(Repair("fitted", change, reader.base + reader.at))
            reader.events.append(ArgumentDelta(index, fitted))
        reader.events.append(CallEnd(index))
        self._open_call = None
        self.complete += 1

    def _give(self, text: str) -> None:
        """More of the open call's arguments."""
        reader = self._reader
        if self._tools is not None:
            self._unfitted.append(text)
        elif text:
            reader.events.append(ArgumentDelta(self._open_call, text))


def _is_json(text: str) -> bool:
    try:
        _JSON.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_object(text: str) -> bool:
    return text.startswith("{") and _is_json(text)
