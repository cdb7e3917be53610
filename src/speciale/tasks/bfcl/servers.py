"""Processes in the sandbox that run world.py, started when needed and used again.

One serves one case at a time. Each event loop has its own, which end with it or after a while
without a case; one that was left in the middle of a request, or did not answer in time, is not used
again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Limits, Process, Sandbox, SandboxError, default_sandbox
from speciale.tasks.bfcl.data import MEND

SCRIPT = Path(__file__).with_name("world.py")
# A server lives as long as its loop: what a case may use is bounded by the time for an answer.
YEAR_S = 366 * 86_400
LIMITS = Limits(memory_mb=512, cpu_s=YEAR_S, processes=8, file_mb=1, disk_mb=8)
ANSWER_S = 60.0  # the longest that a call or a check may take
LONGEST = 64_000_000  # bytes of one reply
KEPT = 4  # idle ones, in each event loop
REST_S = 10.0  # then an idle one ends
# Nothing may depend on the machine's clock or on the order of sets.
ENVIRONMENT = {"TZ": "UTC", "PYTHONHASHSEED": "0"}


class WorldError(SandboxError):
    """The process of a case ended, or did not answer in time."""


class Server:
    """A process that runs world.py. `good` says whether it can be asked."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.good = False
        self._rest: asyncio.TimerHandle | None = None
        self._process: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(sandbox))

    async def _live(self, sandbox: Sandbox) -> None:
        """Holds the session until the process ends or this task is cancelled, by `stop` or by the
        end of the event loop."""
        try:
            async with sandbox.session(limits=LIMITS) as session:
                process = await session.spawn(
                    ["python3", "-P", "-s", "world.py"],  # with -I the hash seed is ignored
                    env=ENVIRONMENT,
                    files={"world.py": SCRIPT.read_bytes()},
                )
                self._process.set_result(process)
                await process.wait()
        except Exception as error:
            if self._process.done():
                raise
            self._process.set_exception(error)

    async def start(self) -> None:
        process = await self._process
        try:
            async with asyncio.timeout(ANSWER_S):
                hello = await self._reply()
        except (OSError, EOFError, ValueError, TimeoutError):
            process.kill()
            said = (await process.stderr.read()).decode(errors="replace").strip()
            raise SandboxError(f"BFCL's classes did not start in the sandbox: {said}") from None
        if "missing" in hello:
            raise DataError(
                f"BFCL's classes cannot be imported in the sandbox ({hello['missing']}): "
                f"run `pip install 'speciale[agents]'` and `{MEND}`."
            )
        self.good = True

    @property
    def alive(self) -> bool:
        return self.good and not self._life.done()

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply. WorldError where the case's process died or did not answer in time."""
        self.good = False  # until the reply is there
        try:
            async with asyncio.timeout(ANSWER_S):
                await (await self._process).send(request)
                reply = await self._reply()
        except TimeoutError:
            raise WorldError(f"it did not end within {ANSWER_S:.0f} s") from None
        except (OSError, EOFError, ValueError):
            raise WorldError("the process ended") from None
        self.good = True
        if "died" in reply:
            raise WorldError(f"the process ended with {reply['died']}")
        return reply

    async def _reply(self) -> dict[str, Any]:
        return await (await self._process).receive(LONGEST)

    def rest(self) -> None:
        """Ends after a while, unless `wake` comes first."""
        self._rest = asyncio.get_running_loop().call_later(REST_S, self._end)

    def wake(self) -> None:
        if self._rest is not None:
            self._rest.cancel()

    async def stop(self) -> None:
        self._end()
        await asyncio.wait([self._life])

    def _end(self) -> None:
        self.good = False
        self._life.cancel()


@dataclass
class _Loop:
    """What one event loop has."""

    idle: list[Server] = field(default_factory=list)
    checks: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(2 * (os.cpu_count() or 1))
    )


class Servers:
    """Servers in `sandbox`, by default the process's shared one."""

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self._sandbox = sandbox
        self._loops: dict[asyncio.AbstractEventLoop, _Loop] = {}

    def _here(self) -> _Loop:
        for ended in [loop for loop in list(self._loops) if loop.is_closed()]:
            self._loops.pop(ended, None)
        return self._loops.setdefault(asyncio.get_running_loop(), _Loop())

    @asynccontextmanager
    async def one(self, fresh: bool = False) -> AsyncIterator[Server]:
        """A server for one case. SandboxError or DataError where none can be had."""
        idle = self._here().idle
        server = None
        while idle and server is None and not fresh:
            rested = idle.pop()
            server = rested if rested.alive else None
        try:
            if server is None:
                server = Server(self._sandbox or default_sandbox())
                await server.start()
            server.wake()
            yield server
        except BaseException:
            if server is not None:
                await server.stop()
            raise
        idle[:] = [rested for rested in idle if rested.alive]
        if server.alive and len(idle) < KEPT:
            idle.append(server)
            server.rest()
        else:
            await server.stop()

    async def check(self, request: Mapping[str, Any]) -> str | None:
        """What is wrong with the calls of `request`, one for `compare` or `replay` of world.py.

        At most two at a time for each processor. Where the process died a fresh one is asked: it
        may have died of something else. Then it was the calls.
        """
        async with self._here().checks:
            try:
                async with self.one() as server:
                    return (await server.ask(request))["fault"]
            except WorldError:
                pass
            try:
                async with self.one(fresh=True) as server:
                    return (await server.ask(request))["fault"]
            except WorldError as error:
                return f"The calls could not be run: {error}."


SHARED = Servers()  # of all who name no sandbox
