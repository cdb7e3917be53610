"""Calls share one jail, and each runs in a cell of its own, or in its session's.

A jail that died is made again by the next call. Nothing here belongs to an event loop: a Sandbox
may serve several, in turn or in threads.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence

from speciale.sandbox import forms as all_forms
from speciale.sandbox.call import Command, call, command_line
from speciale.sandbox.jail import Jail
from speciale.sandbox.limits import DEFAULT, Limits, Outcome
from speciale.sandbox.place import Place
from speciale.sandbox.session import Session, make_last

WARNING = """
WARNING: NO SANDBOX. What runs now can read, change and delete all that you can, and use the
network. Limits on time and memory are all that holds it.
"""


class Sandbox:
    def __init__(
        self,
        limits: Limits = DEFAULT,
        warm: int = 2,
        *,
        forms: Sequence[str] = all_forms.FORMS,
        unsafe: bool = False,
    ) -> None:
        """`limits` are those of calls that name none; `warm` cells are kept ready.

        The first of `forms` that works is used; if none does, SandboxError, or with `unsafe` a
        plain folder and a warning on stderr.
        """
        self.limits = limits
        self._forms, self._unsafe, self._warm = forms, unsafe, warm
        self._jail: Jail | None = None
        self._lock = threading.Lock()

    async def __aenter__(self) -> Sandbox:
        await self.jail()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Kills all that runs in it. A later call opens it again."""
        with self._lock:
            if self._jail is not None:
                self._jail.close()
                self._jail = None

    async def run(
        self,
        command: Command,
        *,
        stdin: bytes = b"",
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Outcome:
        """Runs one command in a fresh cell: a text is bash's, a list a program and its words.

        `files` are laid into /work before, by their path in it; `env` adds to a small set of
        variables. A command that cannot be found or started is an Outcome as well, with a shell's
        exit codes; SandboxError is for a sandbox that cannot be had or broke.
        """
        limits = limits or self.limits
        async with fresh_place(await self.jail()) as place:
            request = place.request(command_line(command), limits, env)
            return await call(place, request, limits, stdin, files)

    @contextlib.asynccontextmanager
    async def session(self, limits: Limits | None = None) -> AsyncIterator[Session]:
        """A cell whose /work, /tmp and network of its own last until the block ends."""
        limits = limits or self.limits
        async with fresh_place(await self.jail()) as place:
            await make_last(place, limits)
            session = Session(place, limits)
            try:
                yield session
            finally:
                await session.close()

    async def jail(self) -> Jail:
        """The one that is there, or a new one."""
        if self._jail is not None and self._jail.alive():
            return self._jail
        return await asyncio.to_thread(self._make)

    def _make(self) -> Jail:
        with self._lock:
            if self._jail is not None and not self._jail.alive():
                self._jail.close()
                self._jail = None
            if self._jail is None:
                self._jail = all_forms.make(self._forms, self._unsafe, self._warm)
                if self._jail.form == "unsafe":
                    print(WARNING, file=sys.stderr, flush=True)
            return self._jail


@contextlib.asynccontextmanager
async def fresh_place(jail: Jail) -> AsyncIterator[Place]:
    place = Place(jail)
    try:
        yield place
    finally:
        await asyncio.to_thread(place.close) if place.has_files else place.close()


_default: Sandbox | None = None
_default_lock = threading.Lock()


def default_sandbox() -> Sandbox:
    """The program's own, made at first use and closed at exit."""
    global _default
    with _default_lock:
        if _default is None:
            _default = Sandbox()
            atexit.register(_default.close)
        return _default
