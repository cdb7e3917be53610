"""A command that runs beside others, with asyncio's streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from speciale.sandbox import wire
from speciale.sandbox.ends import Ends
from speciale.sandbox.limits import SandboxError
from speciale.sandbox.place import Place

END_S = 10.0  # for a supervisor to kill everything and say so, on a machine under load


class Process:
    """Made by Session.spawn. A command that fills a pipe which nobody reads waits: what is not
    wanted is best sent to /dev/null."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._transports: list[asyncio.BaseTransport] = []
        self._said = asyncio.ensure_future(_everything(ends))

    async def send(self, value: Any) -> None:
        """Writes a frame to its stdin: four bytes of length, then JSON."""
        data = json.dumps(value).encode()
        self.stdin.write(len(data).to_bytes(4, "big") + data)
        await self.stdin.drain()

    async def receive(self, most: int) -> Any:
        """The next frame on its stdout. ValueError where that is longer than `most` bytes or no
        JSON: what comes out of the sandbox is believed no further. EOFError at the end."""
        size = int.from_bytes(await self.stdout.readexactly(4), "big")
        if size > most:
            raise ValueError(f"it is {size:,} bytes long")
        try:
            return json.loads(await self.stdout.readexactly(size))
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    async def wait(self) -> int:
        """The exit code, once the command and all that it started are gone."""
        return (await self.report())["exit_code"]

    async def report(self) -> dict[str, Any]:
        """With "exit_code" and "stopped"; SandboxError where the sandbox broke."""
        return wire.report(await asyncio.shield(self._said))

    def kill(self) -> None:
        """Ends the command and all that it started, at once."""
        self._ends.kill()

    async def close(self) -> None:
        """Kills what still runs and lets go of the streams. SandboxError where it does not die."""
        self.kill()
        for transport in self._transports:
            transport.close()
        try:
            await asyncio.wait([self._said], timeout=END_S)
            if not self._said.done():
                raise SandboxError(f"a command did not end within {END_S:.0f} s of being killed")
        finally:
            self._said.cancel()
            self._ends.close()


async def start(
    place: Place, request: Mapping[str, Any], files: Mapping[str, bytes], longest: int
) -> Process:
    """`longest`: bytes of the longest line that its streams give."""
    loop = asyncio.get_running_loop()
    ends = await wire.begin(place, request, files)
    process = Process(ends)
    try:
        transport, protocol = await loop.connect_write_pipe(
            asyncio.streams.FlowControlMixin, ends.stdin
        )
        process._transports.append(transport)
        process.stdin = asyncio.StreamWriter(transport, protocol, None, loop)
        for name, end in (("stdout", ends.stdout), ("stderr", ends.stderr)):
            reader = asyncio.StreamReader(limit=longest)
            reading = asyncio.StreamReaderProtocol(reader)
            transport, _ = await loop.connect_read_pipe(lambda r=reading: r, end)
            process._transports.append(transport)
            setattr(process, name, reader)
    except BaseException:
        await process.close()
        raise
    return process


async def _everything(ends: Ends) -> bytes:
    loop = asyncio.get_running_loop()
    said = b""
    with contextlib.suppress(OSError):
        while piece := await loop.sock_recv(ends.control, 65536):
            said += piece
    return said
