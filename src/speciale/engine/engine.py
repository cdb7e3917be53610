"""`Engine`: the core on a thread of its own, for a server's event loop.

One thread steps as long as there is work; requests, cancellations and new weights reach it through
a queue and take effect between two steps.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import aclosing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speciale.engine.core import Core, EngineOptions
from speciale.engine.llm import load_core
from speciale.engine.params import SamplingParams
from speciale.engine.request import Completion, Update
from speciale.errors import RequestError

Listener = Callable[[Update | Exception], None]


class Engine:
    """Use as `async with Engine(core)`, or `Engine.open(folder, **options)`."""

    def __init__(self, core: Core, threads: int | None = None) -> None:
        """threads: that PyTorch uses for a step, whatever others use; None: its own choice."""
        self.core, self._threads = core, threads
        self.busy = 0.0  # seconds of steps so far
        self._jobs: deque[tuple[Callable[[], Any], Future]] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._listeners: dict[int, Listener] = {}
        self._thread = threading.Thread(target=self._loop, name="speciale-engine", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, folder: str | Path, **options) -> Engine:
        """An engine for a run or an HF-layout folder; options: those of `EngineOptions`."""
        return cls(load_core(folder, EngineOptions(**options)))

    async def __aenter__(self) -> Engine:
        return self

    async def __aexit__(self, *_exception) -> None:
        await self.close()

    async def generate(
        self, prompt: list[int], params: SamplingParams | None = None
    ) -> AsyncIterator[Update]:
        """The updates of a prompt's samples as they come; leaving the loop cancels them.

        Raises RequestError for what can never be served, OverloadedError where the queue is full.
        """
        async with aclosing(self._updates(prompt, params, lambda _update: True)) as updates:
            async for update in updates:
                yield update

    async def complete(
        self, prompt: list[int], params: SamplingParams | None = None
    ) -> list[Completion]:
        """The samples of a prompt, all at their end: nobody is woken for what comes before.
        Raises as `generate`; cancelling it cancels them."""
        found: list[Completion] = []
        ended = self._updates(prompt, params, lambda update: update.completion is not None)
        async with aclosing(ended) as updates:
            async for update in updates:
                found.append(update.completion)
        return sorted(found, key=lambda completion: completion.index)

    async def _updates(
        self,
        prompt: list[int],
        params: SamplingParams | None,
        heard: Callable[[Update], bool],
    ) -> AsyncIterator[Update]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[Update | Exception] = asyncio.Queue()

        def listener(update: Update | Exception) -> None:
            if isinstance(update, Exception) or heard(update):
                loop.call_soon_threadsafe(arrived.put_nowait, update)

        def add() -> list[int]:
            numbers = self.core.add(prompt, params or SamplingParams())
            self._listeners.update(dict.fromkeys(numbers, listener))
            return numbers

        adding = self._post(add)
        open_: set[int] = set()
        try:
            open_ = set(await asyncio.wrap_future(adding))
            while open_:
                update = await arrived.get()
                if isinstance(update, Exception):
                    raise update
                if update.completion is not None:
                    open_.discard(update.request)
                yield update
        finally:
            # Also where the caller was cancelled while the request was being added.
            if open_ or not adding.done() or adding.cancelled():
                self._post(lambda: self._cancel(open_ or _numbers(adding)))

    async def update_weights(self, tensors: dict[str, Tensor], recompute: bool = False) -> int:
        """As `Core.update_weights`, between two steps; no request is dropped."""
        job = self._post(lambda: self.core.update_weights(tensors, recompute))
        return await asyncio.wrap_future(job)

    async def close(self) -> None:
        """Cancels what is under way and ends the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    # ---- the engine's thread --------------------------------------------------------------------

    def _post(self, job: Callable[[], Any]) -> Future:
        future: Future = Future()
        with self._wake:
            if self._closed:
                raise RequestError("the engine is closed: open another one")
            self._jobs.append((job, future))
            self._wake.notify()
        return future

    def _loop(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)  # of this thread alone
        while True:
            with self._wake:
                while not self._jobs and self.core.idle and not self._closed:
                    self._wake.wait()
                jobs, closed = list(self._jobs), self._closed
                self._jobs.clear()
            for job, future in jobs:
                self._run(job, future)
            if closed:
                self._cancel(set(self.core.requests))
                return
            begun = time.perf_counter()
            try:
                updates = self.core.step()
            except Exception as error:  # our own fault: whoever waits must hear of it
                listeners = set(self._listeners.values())
                self._listeners.clear()  # of the error they hear, not of the cancellation
                self._cancel(set(self.core.requests))
                for listener in listeners:
                    self._send(listener, error)
                continue
            self.busy += time.perf_counter() - begun
            for update in updates:
                self._tell(update)

    def _run(self, job: Callable[[], Any], future: Future) -> None:
        try:
            result = job()
        except Exception as error:
            if not future.cancelled():
                future.set_exception(error)
        else:
            # Cancelled meanwhile: nobody hears of the numbers, so the samples end here.
            if not future.cancelled():
                future.set_result(result)
            elif isinstance(result, list):
                self._cancel(set(result))

    def _cancel(self, numbers: set[int]) -> None:
        for number in numbers:
            update = self.core.cancel(number)
            if update is not None:
                self._tell(update)
            self._listeners.pop(number, None)

    def _tell(self, update: Update) -> None:
        listener = self._listeners.get(update.request)
        if listener is not None and not self._send(listener, update):
            self._cancel({update.request})
        if update.completion is not None:
            self._listeners.pop(update.request, None)

    @staticmethod
    def _send(listener: Listener, update: Update | Exception) -> bool:
        """False where the listener's event loop is gone."""
        try:
            listener(update)
        except RuntimeError:
            return False
        return True


def _numbers(adding: Future) -> set[int]:
    """The samples that a request became, which nobody awaited any more."""
    done = adding.done() and not adding.cancelled() and adding.exception() is None
    return set(adding.result()) if done else set()
