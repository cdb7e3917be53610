"""A server in the sandbox, for what a model's answer must not be near: see worker_server.

It has a thread and an event loop of its own, so that any event loop, and code without one, can ask.
Frames are a length in four bytes and JSON.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import os
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Any

from speciale.errors import SpecialeError
from speciale.sandbox import Limits, Process, Sandbox, default_sandbox

LATE_S = 60  # beyond a request's own time without any reply: then the server itself hangs
MOST_BYTES = 64 << 20  # of a reply
LIMITS = Limits(memory_mb=4096, cpu_s=10**7, processes=256)


@dataclass(frozen=True)
class Reply:
    """What an operation gave, or the trouble it had with what it was given."""

    value: Any = None
    trouble: str | None = None


async def ask(sandbox: Sandbox | None, operation: str, seconds: float = 10, **fields: Any) -> Reply:
    """Runs an operation of worker_server on `fields`, for at most `seconds`.

    What fails on account of the fields is a Reply with `trouble`. SandboxError where there is no
    sandbox, SpecialeError where the operation itself cannot work, such as a missing package.
    """
    return await asyncio.wrap_future(_worker(sandbox).submit(operation, seconds, fields))


def ask_now(sandbox: Sandbox | None, operation: str, seconds: float = 10, **fields: Any) -> Reply:
    """As `ask`, for code without an event loop."""
    return _worker(sandbox).submit(operation, seconds, fields).result()


_lock = threading.Lock()
_workers: weakref.WeakKeyDictionary[Sandbox, Worker] = weakref.WeakKeyDictionary()


def _forget() -> None:
    """In a fork of this process: its threads are not there."""
    global _lock
    _lock = threading.Lock()
    _workers.clear()


os.register_at_fork(after_in_child=_forget)


def _worker(sandbox: Sandbox | None) -> Worker:
    sandbox = sandbox or default_sandbox()
    with _lock:
        if sandbox not in _workers:
            _workers[sandbox] = Worker(sandbox)
        return _workers[sandbox]


class _Gone(Exception):
    """The server died, or was ended because it hung."""


class Worker:
    """The server of one sandbox; started by the first request, and again after it died."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = weakref.ref(sandbox)
        self._link: _Link | None = None
        self._loop = asyncio.new_event_loop()
        self._starting = asyncio.Lock()
        # A daemon: at exit it is not waited for, and the server's pipes close, which ends it.
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        end = weakref.finalize(sandbox, self._loop.call_soon_threadsafe, self._loop.stop)
        end.atexit = False

    def submit(
        self, operation: str, seconds: float, fields: dict[str, Any]
    ) -> concurrent.futures.Future[Reply]:
        request = {"operation": operation, "seconds": seconds, "fields": fields}
        return asyncio.run_coroutine_threadsafe(self._ask(request), self._loop)

    async def _ask(self, request: dict[str, Any]) -> Reply:
        for _ in range(2):  # it may have died of another request
            async with self._starting:
                if self._link is None or not self._link.alive:
                    self._link = await self._start()
                link = self._link
            try:
                reply = await link.ask(request)
            except _Gone:
                continue
            if fault := reply.get("fault"):
                raise SpecialeError(f"{request['operation']!r} cannot run in the sandbox: {fault}.")
            return Reply(reply.get("value"), reply.get("trouble"))
        return Reply(trouble="it killed the server twice")

    async def _start(self) -> _Link:
        sandbox = self._sandbox()
        assert sandbox is not None  # whoever asks holds it
        stack = contextlib.AsyncExitStack()
        session = await stack.enter_async_context(sandbox.session(limits=LIMITS))
        # Sets of strings have an order of their own in each process unless this is given.
        process = await session.spawn(
            ["python3", "-m", "speciale.tasks.worker_server"], env={"PYTHONHASHSEED": "0"}
        )
        return _Link(process, stack)


class _Link:
    """One server process and the requests that it has not answered yet."""

    def __init__(self, process: Process, stack: contextlib.AsyncExitStack) -> None:
        self.alive = True
        self._process, self._stack = process, stack
        self._numbers = itertools.count()
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._heard = time.monotonic()
        self._reader = asyncio.ensure_future(self._read())

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        silence = request["seconds"] + LATE_S
        try:
            with contextlib.suppress(OSError):  # it is gone, as the reader will see
                await self._process.send({"id": number, **request})
            while not future.done():
                await asyncio.wait([future], timeout=silence)
                if not future.done() and time.monotonic() - self._heard > silence:
                    self._process.kill()
            return await future
        finally:
            del self._pending[number]

    async def _read(self) -> None:
        try:
            while True:
                reply = await self._process.receive(MOST_BYTES)
                self._heard = time.monotonic()
                if future := self._pending.get(reply["id"]):
                    future.set_result(reply)
        except (asyncio.IncompleteReadError, ValueError, OSError):
            pass
        finally:
            self.alive = False
            for future in self._pending.values():
                if not future.done():
                    future.set_exception(_Gone())
            with contextlib.suppress(SpecialeError, OSError):  # it is gone in any case
                await self._stack.aclose()
