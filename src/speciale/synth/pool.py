"""A pool of processes on this machine, each with a sandbox of its own that stays open.

A worker leads a session of its own: Ctrl-C is for the command alone, which then ends its workers;
where the command is killed instead, they see that it is gone and end too.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from speciale.errors import SpecialeError
from speciale.synth.schedule import Died, Pool
from speciale.synth.work import JUDGE, Item, Result, Workman

LIMIT_S = 900.0
END_S = 5.0  # for a worker to close its sandbox; then it is killed, and the sandbox sees that


class _Worker:
    def __init__(self, judge: str) -> None:
        # Not forked: a copy of a program with threads, an event loop and open databases is broken.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, judge), name="speciale-synth", daemon=True
        )
        # It is born deaf to Ctrl-C, which would else find it before it has left our session.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()


class LocalPool(Pool[_Worker]):
    """`workers`: how many, None for one a core. `judge`: "module:function" of the gates."""

    def __init__(
        self, workers: int | None = None, limit_s: float = LIMIT_S, judge: str = JUDGE
    ) -> None:
        super().__init__(workers or len(os.sched_getaffinity(0)), limit_s)
        self._judge = judge
        self._starting: list[_Worker] = []  # those that import what they need

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for worker in [*self._idle, *self._busy, *self._starting]:
            worker.process.terminate()  # all of them first: they end side by side
        for worker in self._starting:
            self._end(worker)
        self._starting.clear()
        super().close()

    def _start(self, wanted: int, must: bool) -> None:
        while len(self._starting) < wanted:
            self._starting.append(_Worker(self._judge))
        self._ready((), None if must else 0.0)

    def _send(self, worker: _Worker, item: Item, make: str) -> None:
        try:
            worker.pipe.send((item, make))
        except OSError:
            raise Died(_how(worker)) from None

    def _ready(self, workers: Sequence[_Worker], patience: float | None) -> Sequence[_Worker]:
        ready = wait([worker.pipe for worker in (*workers, *self._starting)], patience)
        for worker in [each for each in self._starting if each.pipe in ready]:
            self._starting.remove(worker)
            try:
                worker.pipe.recv()
            except (EOFError, OSError):
                raise SpecialeError(
                    f"a worker process could not start ({_how(worker)}): "
                    "see above for why, or free some memory."
                ) from None
            self._idle.append(worker)
        return [worker for worker in workers if worker.pipe in ready]

    def _receive(self, worker: _Worker) -> Result:
        try:
            return worker.pipe.recv()
        except (EOFError, OSError):
            raise Died(_how(worker)) from None

    def _end(self, worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.terminate()
        worker.process.join(END_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _how(worker: _Worker) -> str:
    worker.process.join(END_S)
    code = worker.process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _serve(pipe: Connection, judge: str) -> None:
    """A worker's life."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # forgets one that came meanwhile
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what it starts can be interrupted
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_outlive_nobody, daemon=True).start()
    workman = Workman(judge)
    try:
        pipe.send("ready")
        while True:
            item, make = pipe.recv()
            pipe.send(workman.work(item, make))
    except (EOFError, OSError):
        pass  # the command closed the pipe, or is gone
    finally:
        workman.close()


def _outlive_nobody() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # as this is a spawned process
    parent.join()
    os._exit(1)
