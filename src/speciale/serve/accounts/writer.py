"""One thread writes everything: it takes all jobs that wait into one transaction (group commit).

While one batch is on its way to the disk the next ones gather, so that hundreds of streams that
end at once share an fsync, and nothing waits when there is only one.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from speciale.serve.accounts import metering
from speciale.serve.accounts.database import AccountsError, Database
from speciale.serve.accounts.instances import Instance
from speciale.serve.accounts.metering import Admit, Job, Settle

log = logging.getLogger(__name__)

_LARGEST_BATCH = 256
_TICK_S = 5  # between heartbeats, and tries to write what could not be written


class Writer:
    """Runs `metering` for one server process, on its own thread until `close`."""

    def __init__(
        self, database: Database, instance: Instance, clock: Callable[[], float], tick_s: float
    ) -> None:
        self._database, self._instance, self._clock = database, instance, clock
        self._tick_s = tick_s
        self._jobs: queue.SimpleQueue[tuple[Job, Future] | None] = queue.SimpleQueue()
        # Settlements that a full or absent database did not take, by request id. They are tried
        # again at every tick: a row that is there already makes that harmless.
        self._unwritten: dict[str, Settle] = {}
        self._open: set[str] = set()  # request ids admitted and not settled
        # After a commit that failed nobody knows whether it took place, as when the connection
        # broke just then: holds that this process does not know of may be there.
        self._in_doubt = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="accounts-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Future:
        """The job's outcome, once its transaction has ended. Cannot be cancelled."""
        if self._closed:
            raise AccountsError("The accounts are closed: open them again.")
        future: Future = Future()
        future.set_running_or_notify_cancel()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Writes what waits, gives back what was never settled, and ends the thread."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        next_tick = time.monotonic() + self._tick_s
        going = True
        while going:
            batch, going = self._gather(next_tick - time.monotonic())
            if batch:
                self._work(batch)
            if time.monotonic() >= next_tick:
                self._tick()
                next_tick = time.monotonic() + self._tick_s
        self._write_again()
        if self._unwritten:
            log.error("%d requests could not be written to the ledger", len(self._unwritten))
        self._quietly(self._instance.leave)

    def _gather(self, patience_s: float) -> tuple[list[tuple[Job, Future]], bool]:
        """The jobs that wait, after waiting for a first one; False with the last ones."""
        batch: list[tuple[Job, Future]] = []
        try:
            entry = self._jobs.get(timeout=max(0.0, patience_s))
            while entry is not None:
                batch.append(entry)
                if len(batch) == _LARGEST_BATCH:
                    return batch, True
                entry = self._jobs.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _work(self, batch: list[tuple[Job, Future]]) -> None:
        try:
            results = self._apply([job for job, _ in batch])
        except AccountsError as error:  # it would refuse each of them alone, too
            results = [error] * len(batch)
            self._in_doubt = True
            self._unwritten |= {job.request_id: job for job, _ in batch if isinstance(job, Settle)}
        except Exception as error:
            if len(batch) > 1:  # one of them is at fault, and the others shall not suffer
                for entry in batch:
                    self._work([entry])
                return
            results = [_explained(error, batch[0][0])]
        for (job, future), result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                future.set_exception(result)
                continue
            if isinstance(job, Admit):
                self._open.add(job.request_id)
            else:
                self._open.discard(job.request_id)
            future.set_result(result)

    def _apply(self, jobs: list[Job]) -> list[Any]:
        for job in jobs:
            self._unwritten.pop(job.request_id, None)  # a newer word on the same request
        durable = any(isinstance(job, Settle) and job.spent is not None for job in jobs)
        with self._database.writing(durable) as connection:
            return metering.apply(connection, jobs, self._now())

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def _tick(self) -> None:
        self._write_again()
        if self._in_doubt and self._quietly(lambda: self._instance.give_back_all_but(self._open)):
            self._in_doubt = False
        self._quietly(self._instance.beat)

    def _write_again(self) -> None:
        waiting = list(self._unwritten.values())
        for first in range(0, len(waiting), _LARGEST_BATCH):
            self._work([(job, Future()) for job in waiting[first : first + _LARGEST_BATCH]])
            if waiting[first].request_id in self._unwritten:
                return  # still full or gone; the others would only wait for it, too

    def _quietly(self, action: Callable[[], None]) -> bool:
        """Whether `action` went well; if not, the next tick is another chance."""
        try:
            action()
        except Exception as error:
            log.warning("%s", error, exc_info=not isinstance(error, AccountsError))
            return False
        return True


def _explained(error: Exception, job: Job) -> Exception:
    """Errors of the database about one job become a sentence; our own mistakes stay what they are.

    A mistake must not end the thread, or the whole server would hang.
    """
    if isinstance(error, sa.exc.SQLAlchemyError | OverflowError):
        what = "admitted" if isinstance(job, Admit) else "settled"
        words = str(getattr(error, "orig", None) or error).splitlines()[0]
        return AccountsError(f"Request {job.request_id!r} cannot be {what}: {words}.")
    return error
