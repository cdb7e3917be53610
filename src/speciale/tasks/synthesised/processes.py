"""The processes of inside.py in the sandbox, one for each role, and what they are asked.

What comes out of them is believed no further than its form: replies are checked, bound in size and
in time, and a process that hangs or breaks the protocol is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from speciale.sandbox import Limits, Process, Sandbox, SandboxError, default_sandbox

SCRIPT = Path(__file__).with_name("inside.py")
CALL_S, WORK_S = 10.0, 20.0  # the longest that a tool, and a solution or verifier, may take
LONGEST = 64 << 20  # bytes of one reply
LIMITS = Limits(memory_mb=1024, cpu_s=3600, processes=8, disk_mb=1024, file_mb=512, wall_s=3600)

Role = Literal["world", "solution", "verifier"]


class Broke(SandboxError):
    """Generated code hung, ended its process or broke the protocol; the text says which."""


class Roleplayer:
    """One process of inside.py. After Broke it is gone for good."""

    def __init__(self, process: Process, role: Role) -> None:
        self._process, self.role = process, role
        self.alive = True
        self.open = False  # a fork serves

    async def send(self, request: Mapping[str, Any]) -> None:
        if not self.alive:
            raise Broke(f"the {self.role}'s process is gone")
        try:
            await self._process.send(request)
        except OSError:
            raise self.gone("ended its process") from None

    async def receive(self, seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                reply = await self._process.receive(LONGEST)
        except TimeoutError:
            raise self.gone(f"did not end within {seconds:g} s") from None
        except (EOFError, OSError):
            raise self.gone("ended its process") from None
        except ValueError as error:
            raise self.gone(f"broke the protocol: {error}") from None
        if not isinstance(reply, dict):
            raise self.gone("broke the protocol")
        if "died" in reply:
            self.open = False
            raise Broke(f"the {self.role} ended its process with {reply['died']}")
        return reply

    async def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        await self.send(request)
        return await self.receive(seconds)

    def gone(self, why: str) -> Broke:
        """The error to raise, once the process is killed."""
        self.alive = self.open = False
        self._process.kill()
        return Broke(f"the {self.role} {why}")


@asynccontextmanager
async def roleplayer(
    role: Role,
    files: Mapping[str, bytes],
    sandbox: Sandbox | None = None,
    *,
    clock_s: float = 0,
    hash_seed: int = 0,
) -> AsyncIterator[Roleplayer]:
    """A process in a cell of its own, with `files` in it and nothing else of the family."""
    async with (sandbox or default_sandbox()).session(limits=LIMITS) as session:
        process = await session.spawn(
            # -I without -E, with which the hash seed would be ignored.
            ["python3", "-P", "-s", "-S", "inside.py", role],
            env={
                "PYTHONPATH": "",
                "TZ": "UTC",
                "PYTHONHASHSEED": str(hash_seed),
                "CLOCK_SHIFT_S": str(clock_s),
            },
            files={"inside.py": SCRIPT.read_bytes(), **files},
        )
        player = Roleplayer(process, role)
        hello = await player.receive(WORK_S)
        if not hello.get("ready"):
            raise Broke(f"the {role} did not start: {hello.get('fault')}")
        yield player
