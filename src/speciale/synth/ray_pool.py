"""The same pool on a Ray cluster: work items go to as many actors as it has CPUs.

Each actor is a process with a sandbox of its own on some machine; folders are written by the
command alone, so that the cluster needs no shared disk and the store is the same as a local one.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from typing import Any

from speciale import __version__
from speciale.errors import ConfigError
from speciale.synth.pool import LIMIT_S
from speciale.synth.schedule import Died, Pool
from speciale.synth.work import JUDGE, Item, Result, Workman

KNOCK_S = 10.0
START_S = 120.0  # for an actor to import what it needs, on a machine that may be cold


class _Actor:
    """What runs on the cluster."""

    def __init__(self, judge: str) -> None:
        self._workman = Workman(judge)

    def version(self) -> str:
        return __version__

    def work(self, item: Item, make: str) -> Result:
        return self._workman.work(item, make)


class _Worker:
    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.result: Any = None  # a reference to it


class RayPool(Pool[_Worker]):
    """`address`: as `ray.init` takes it: "auto", "HOST:PORT", "ray://HOST:PORT", "local"; a Ray
    that the program has begun is used as it is. `workers`: how many, None for one a CPU of the
    cluster. `judge`: "module:function" of the gates. ConfigError where there is no Ray there."""

    def __init__(
        self,
        address: str = "auto",
        workers: int | None = None,
        limit_s: float = LIMIT_S,
        judge: str = JUDGE,
    ) -> None:
        try:
            import ray
        except ImportError:
            raise ConfigError(
                "a pool on Ray needs the package ray: run `pip install 'speciale[cluster]'`."
            ) from None
        self._ray, self._judge = ray, judge
        self._starting: dict[Any, Any] = {}  # actors that have yet to say their version
        self._ours = not ray.is_initialized()
        if self._ours:
            _knock(address)
            try:
                ray.init(address=address, logging_level="ERROR", log_to_driver=False)
            except Exception as error:  # Ray's own, of many kinds
                raise _none_at(address, error) from error
        cpus = int(ray.cluster_resources().get("CPU", 1))
        super().__init__(workers or max(1, cpus), limit_s)
        # An actor is not started again by Ray: the schedule decides who does what once more.
        self._class = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Actor)

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for actor in self._starting.values():
            self._end(_Worker(actor))
        self._starting.clear()
        super().close()
        if self._ours:
            self._ray.shutdown()

    def _start(self, wanted: int, must: bool) -> None:
        while len(self._starting) < wanted:
            actor = self._class.remote(self._judge)
            self._starting[actor.version.remote()] = actor
        if not self._begin(self._wait([], START_S if must else 0.0)) and must:
            raise ConfigError(
                f"the Ray cluster started no worker within {START_S:g} s: "
                "see with `ray status` whether it has CPUs that are free."
            )

    def _begin(self, ready: Sequence[Any]) -> int:
        """Takes in the actors that have said their version; gives their number."""
        begun = [reference for reference in ready if reference in self._starting]
        for reference in begun:
            actor = self._starting.pop(reference)
            try:
                version = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                said = (str(error).strip() or type(error).__name__).splitlines()[-1]
                raise ConfigError(
                    f"the Ray cluster could not start a worker ({said}): "
                    f"install speciale {__version__} on each of its machines."
                ) from error
            if version != __version__:
                raise ConfigError(
                    f"the Ray cluster has speciale {version}, and this is {__version__}: the same "
                    "items could give other tasks there; install one version everywhere."
                )
            self._idle.append(_Worker(actor))
        return len(begun)

    def _wait(self, results: Sequence[Any], patience: float) -> Sequence[Any]:
        """The references that are ready, of results and of actors that start."""
        every = [*results, *self._starting]
        ready, _ = self._ray.wait(every, num_returns=1, timeout=patience)
        if ready:  # and whoever else is, without waiting
            ready, _ = self._ray.wait(every, num_returns=len(every), timeout=0)
        return ready

    def _send(self, worker: _Worker, item: Item, make: str) -> None:
        worker.result = worker.actor.work.remote(item, make)

    def _ready(self, workers: Sequence[_Worker], patience: float) -> Sequence[_Worker]:
        ready = self._wait([worker.result for worker in workers], patience)
        self._begin(ready)
        return [worker for worker in workers if worker.result in ready]

    def _receive(self, worker: _Worker) -> Result:
        try:
            return self._ray.get(worker.result)
        except self._ray.exceptions.RayError as error:
            raise Died(type(error).__name__) from None

    def _end(self, worker: _Worker) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(worker.actor)


def _knock(address: str) -> None:
    """ConfigError where nobody listens there: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()
        except (OSError, OverflowError) as error:
            raise _none_at(address, error) from None


def _none_at(address: str, error: Exception) -> ConfigError:
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConfigError(
        f"no Ray cluster at {address!r} ({said}): start one with `ray start --head`, "
        "or name another address."
    )
