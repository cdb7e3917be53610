"""A cell that lasts: its commands find each other's files, but each one's processes end with it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import replace

from speciale.sandbox import process, wire
from speciale.sandbox.call import Command, call, command_line
from speciale.sandbox.limits import Limits, Outcome, SandboxError, limit_named
from speciale.sandbox.place import Place
from speciale.sandbox.process import Process


async def make_last(place: Place, limits: Limits) -> None:
    """Without this each command finds a fresh /work, /tmp and network."""
    if not place.jail.namespaces:
        return  # its folder lasts anyway
    ends = await wire.begin(place, place.request([], limits, kind="open"), {})
    try:
        readable = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(ends.control.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(ends.control.fileno())
        said, place.shared, _, _ = socket.recv_fds(ends.control, 65536, 2)
        if not place.shared:
            wire.report(said)
    finally:
        ends.close()


class Session:
    """Made by Sandbox.session."""

    def __init__(self, place: Place, limits: Limits) -> None:
        self._place, self._limits = place, limits
        self._spawned: list[Process] = []

    async def run(
        self,
        command: Command,
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Outcome:
        """As Sandbox.run. What the command left running is killed; its files stay, and the
        session's disk_mb holds whatever `limits` say here."""
        limits = limits or self._limits
        request = self._place.request(command_line(command), limits, env)
        return await call(self._place, request, limits, stdin, files)

    async def spawn(
        self,
        command: Command,
        *,
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Process:
        """Starts a command that runs beside others until it ends, is killed or the session closes.

        It has no wall limit; its output has no bound, but output_kb is that of a line.
        """
        limits = limits or self._limits
        request = self._place.request(command_line(command), limits, env)
        request["limits"]["wall_s"] = None
        spawned = await process.start(self._place, request, files or {}, limits.output_kb * 1024)
        self._spawned.append(spawned)
        return spawned

    async def write(self, path: str, data: bytes) -> None:
        """Writes a file, and its folders, by its path in /work. SandboxError says why it cannot."""
        request = self._place.request([], self._limits)
        outcome = await call(self._place, request, self._limits, files={path: data})
        _check(outcome, self._limits, f"write {path!r}")

    async def read(self, path: str, most: int = 1_000_000) -> bytes:
        """A file's content. SandboxError where it cannot be read or is longer than `most` bytes."""
        limits = replace(self._limits, output_kb=most // 1024 + 64)
        request = self._place.request([], limits, kind="read", path=path, most=most)
        outcome = await call(self._place, request, limits)
        _check(outcome, limits, f"read {path!r}")
        if len(outcome.stdout) > most:
            raise SandboxError(f"could not read {path!r}: it is longer than {most} bytes")
        return outcome.stdout

    async def close(self) -> None:
        await asyncio.gather(*(spawned.close() for spawned in self._spawned))
        self._spawned.clear()


def _check(outcome: Outcome, limits: Limits, what: str) -> None:
    if outcome.stopped:
        limit = limit_named(outcome.stopped, limits)
        raise SandboxError(f"could not {what}: it went beyond the limit on {limit}")
    if outcome.exit_code:
        said = outcome.stderr.decode(errors="replace").strip()
        raise SandboxError(f"could not {what}: {said or f'exit code {outcome.exit_code}'}")
