"""Work items go to many workers; results come back in the order of the items, whoever was faster.

So the same seed gives the same store with any number of workers. Here: the scheduling, which a pool
of processes (pool.py) and one on Ray (ray_pool.py) share.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from speciale.synth.work import Item, Result, author_of

TRIES = 2  # a worker that dies is not always its item's fault: another may have taken the memory
AHEAD = 4  # results that may wait for an earlier one, by worker
Worker = TypeVar("Worker")


class Died(Exception):
    """A worker is gone; the text says how."""


class _Job:
    """An item on its way: not started, at a worker since `began`, or with its result."""

    def __init__(self, item: Item) -> None:
        self.item, self.make = item, author_of(item)
        self.tries, self.began = 0, 0.0
        self.result: Result | None = None


class Pool(ABC, Generic[Worker]):
    """Workers that are started at need and replaced when they die or hang. A worker can be the key
    of a dict."""

    def __init__(self, workers: int, limit_s: float) -> None:
        """`limit_s`: seconds of wall time that one item may take; then its worker is killed."""
        self.workers, self.limit_s = workers, limit_s
        self._idle: list[Worker] = []
        self._busy: dict[Worker, _Job] = {}

    def results(
        self, items: Iterator[Item], needed: Callable[[], int] | None = None
    ) -> Iterator[Result]:
        """A result for each item, in their order. Takes no more than AHEAD items a worker beyond
        the one whose result comes next, and no more than are `needed` as far as is known then: an
        item may cost money. Items are taken from the iterator in this thread."""
        jobs: deque[_Job] = deque()
        more = True
        try:
            while True:
                most = AHEAD * self.workers
                if needed is not None:
                    most = min(most, max(1, needed()))
                while more and len(jobs) < most and self._room(jobs):
                    item = next(items, None)
                    if more := item is not None:
                        jobs.append(_Job(item))
                        self._dispatch(jobs)
                if not jobs:
                    return
                self._dispatch(jobs)
                self._collect(0.0 if jobs[0].result else None)
                while jobs and (result := jobs[0].result):
                    jobs.popleft()
                    self._dispatch(jobs)
                    yield result
        finally:
            for worker in list(self._busy):  # what nobody waits for any more
                self._drop(worker)

    def close(self) -> None:
        """Ends all workers, whatever they are doing."""
        for worker in [*self._idle, *self._busy]:
            self._end(worker)
        self._idle.clear()
        self._busy.clear()

    def _room(self, jobs: Sequence[_Job]) -> bool:
        """Whether a worker waits for an item that nobody has yet."""
        waiting = sum(job.result is None for job in jobs) - len(self._busy)
        return waiting < self.workers - len(self._busy)

    def _dispatch(self, jobs: Sequence[_Job]) -> None:
        at_work = {id(job) for job in self._busy.values()}
        waiting = [job for job in jobs if job.result is None and id(job) not in at_work]
        for number, job in enumerate(waiting):
            if len(self._busy) >= self.workers:
                return
            if not self._idle:
                free = self.workers - len(self._busy)
                self._start(min(free, len(waiting) - number), must=not self._busy)
            if not self._idle:
                return
            worker = self._idle.pop()
            job.tries, job.began = job.tries + 1, time.monotonic()
            self._busy[worker] = job
            try:
                self._send(worker, job.item, job.make)
            except Died as death:
                self._died(worker, death)

    def _collect(self, patience: float | None) -> None:
        """Takes in what is ready; waits for the first of it where `patience` is None."""
        if not self._busy:
            return
        if patience is None:
            first = min(job.began for job in self._busy.values())
            patience = max(0.0, first + self.limit_s - time.monotonic())
        for worker in self._ready(list(self._busy), patience):
            try:
                result = self._receive(worker)
            except Died as death:
                self._died(worker, death)
            else:
                self._busy.pop(worker).result = result
                self._idle.append(worker)
        now = time.monotonic()
        for worker, job in list(self._busy.items()):
            if now - job.began >= self.limit_s:
                reason = f"it took more than {self.limit_s:g} s, and its worker was ended"
                job.result = Result(job.item, reason=reason, failed=True, seconds=now - job.began)
                self._drop(worker)

    def _died(self, worker: Worker, death: Died) -> None:
        job = self._busy[worker]
        if job.tries >= TRIES:
            reason = f"its worker died {TRIES} times ({death})"
            job.result = Result(job.item, reason=reason, failed=True)
        self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        del self._busy[worker]
        self._end(worker)

    @abstractmethod
    def _start(self, wanted: int, must: bool) -> None:
        """Sees that so many workers are on their way, and puts those that can work into `_idle`.
        Where it `must` it waits for the first: then nobody is at work to wait for."""

    @abstractmethod
    def _send(self, worker: Worker, item: Item, make: str) -> None:
        """Gives it an item; Died where it is gone."""

    @abstractmethod
    def _ready(self, workers: Sequence[Worker], patience: float) -> Sequence[Worker]:
        """Those that have a result or died; waits up to `patience` seconds for the first, or for a
        worker that can begin, which goes into `_idle`."""

    @abstractmethod
    def _receive(self, worker: Worker) -> Result:
        """The result of one that is ready; Died where it is gone."""

    @abstractmethod
    def _end(self, worker: Worker) -> None:
        """Ends it, whatever it does."""
