"""A command from start to Outcome: feeds it, reads it up to the limit, waits for its end.

It has its readers on the loop itself: asyncio's streams would cost more than a short command.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from speciale.errors import ConfigError
from speciale.sandbox import wire
from speciale.sandbox.ends import Ends
from speciale.sandbox.limits import Limits, Outcome, SandboxError
from speciale.sandbox.place import Place

Command = str | Sequence[str]

LATE_S = 30.0  # after the wall limit; by then a supervisor that lives has long ended the command
END_S = 10.0  # for it to do so when it is asked
PIECE = 65536


def command_line(command: Command) -> list[str]:
    words = ["bash", "-c", command] if isinstance(command, str) else list(command)
    if not words:
        raise ConfigError("the sandbox was given no command: name a program, or a line for bash")
    return words


async def call(
    place: Place,
    request: Mapping[str, Any],
    limits: Limits,
    stdin: bytes = b"",
    files: Mapping[str, bytes] | None = None,
) -> Outcome:
    begun = time.perf_counter()
    ends = await wire.begin(place, request, files or {})
    reading = _Reading(ends, int(limits.output_kb * 1024))
    _feed(ends, stdin)
    try:
        await asyncio.wait([reading.over], timeout=limits.wall_s + LATE_S)
        if not reading.over.done():
            await asyncio.to_thread(place.jail.close)
            raise SandboxError("a command did not end at its limit, so the sandbox was closed")
    except asyncio.CancelledError:
        ends.kill()
        # So that nothing of it is left when the caller goes on.
        await asyncio.wait([reading.over], timeout=END_S)
        raise
    finally:
        reading.close()
    report = wire.report(bytes(reading.control))
    return Outcome(
        report["exit_code"],
        bytes(reading.stdout),
        bytes(reading.stderr),
        time.perf_counter() - begun,
        "output" if reading.too_much else report["stopped"],
    )


class _Reading:
    """All that comes out of a cell, until its end. `over` is done then."""

    def __init__(self, ends: Ends, most: int) -> None:
        self.stdout, self.stderr, self.control = bytearray(), bytearray(), bytearray()
        self.too_much = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends, self._left = ends, most
        self._loop = asyncio.get_running_loop()
        self._open: set[int] = set()
        self._add(ends.stdout.fileno(), lambda piece: self._take(self.stdout, piece))
        self._add(ends.stderr.fileno(), lambda piece: self._take(self.stderr, piece))
        self._add(ends.control.fileno(), self.control.extend)

    def _add(self, end: int, take: Callable[[bytes], None]) -> None:
        def readable() -> None:
            try:
                piece = os.read(end, PIECE)
            except BlockingIOError:
                return
            except OSError:
                piece = b""
            if piece:
                take(piece)
                return
            self._loop.remove_reader(end)
            self._open.discard(end)
            if not self._open and not self.over.done():
                self.over.set_result(None)

        self._open.add(end)
        self._loop.add_reader(end, readable)

    def _take(self, data: bytearray, piece: bytes) -> None:
        """What is beyond the limit is dropped, and so is the command."""
        data += piece[: self._left]
        if len(piece) > self._left:
            self.too_much = True
            self._ends.kill()
        self._left -= min(len(piece), self._left)

    def close(self) -> None:
        for end in self._open:
            self._loop.remove_reader(end)
        if not self._ends.stdin.closed:
            self._loop.remove_writer(self._ends.stdin.fileno())
        self._ends.close()


def _feed(ends: Ends, data: bytes) -> None:
    """Writes `data` as the command takes it, then closes its input."""
    loop, end, rest = asyncio.get_running_loop(), ends.stdin.fileno(), memoryview(data)

    def writable() -> None:
        nonlocal rest
        try:
            rest = rest[os.write(end, rest) :]
        except BlockingIOError:
            return
        except OSError:  # a command need not read its input
            rest = rest[:0]
        if not rest:
            loop.remove_writer(end)
            ends.stdin.close()

    if rest:
        loop.add_writer(end, writable)
    else:
        ends.stdin.close()
