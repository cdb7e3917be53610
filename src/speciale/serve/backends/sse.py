"""Server-sent events out of an HTTP response: the `data` of each event, as text.

An event ends at an empty line; comments (`: keep-alive`) are skipped. Size and silence are bounded.
Source: the event stream format of the HTML standard, section 9.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

MAX_EVENT_BYTES = 4 * 2**20


class BrokenStreamError(Exception):
    """What came is no event stream, or it stopped coming. The text is for the operator's log."""


async def read_events(
    chunks: AsyncIterator[bytes], patience_s: Callable[[], float]
) -> AsyncIterator[str]:
    """The data of each event of `chunks`, up to the end of the stream.

    Raises BrokenStreamError: nothing for `patience_s()` seconds, bytes that are no UTF-8, an event
    above MAX_EVENT_BYTES. Comments count as signs of life.
    """
    lines = _Lines()
    data: list[bytes] = []
    size = 0
    while (chunk := await _next(chunks, patience_s())) is not None:
        for line in lines.add(chunk):
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
                size += len(line)
                if size > MAX_EVENT_BYTES:
                    raise BrokenStreamError(f"an event is larger than {MAX_EVENT_BYTES:,} bytes")
            elif not line and data:
                yield _text(b"\n".join(data))
                data, size = [], 0
    # A server may leave out the last empty line; half a line is no event.
    if data:
        yield _text(b"\n".join(data))


async def _next(chunks: AsyncIterator[bytes], seconds: float) -> bytes | None:
    try:
        async with asyncio.timeout(seconds):
            return await anext(chunks, None)
    except TimeoutError:
        raise BrokenStreamError(f"nothing came for {seconds:g} seconds") from None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BrokenStreamError(f"an event is no UTF-8 at its byte {error.start}") from None


class _Lines:
    """Cuts bytes into lines; LF, CR LF and CR all end one."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of the line that has not ended
        self._size = 0
        self._after_cr = False

    def add(self, chunk: bytes) -> list[bytes]:
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
        if not chunk:
            return []
        self._after_cr = chunk[-1:] == b"\r"
        # bytes.splitlines cuts at CR, LF and CR LF only, unlike that of str.
        lines = chunk.splitlines()
        ended = chunk[-1:] in (b"\n", b"\r")
        last = b"" if ended else lines.pop()
        if lines:
            lines[0] = b"".join([*self._parts, lines[0]])
            self._parts, self._size = [], 0
        if last:
            self._parts.append(last)
            self._size += len(last)
            if self._size > MAX_EVENT_BYTES:
                raise BrokenStreamError(f"a line is longer than {MAX_EVENT_BYTES:,} bytes")
        return lines
