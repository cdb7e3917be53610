"""Waits for the command, and ends it where it goes beyond a limit that the kernel does not hold:
wall time, the memory and CPU time of all its processes together, and its caller's patience.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import socket
import time

from . import processes

SHARE = 0.3  # of a core, at most, that watching takes
TICK_S, IDLE_S = 0.02, 0.1  # between looks: at a command that uses CPU time, and one that waits
GRACE_S = 0.5  # between SIGTERM and SIGKILL
SOCKET_BYTES = 425_984  # what the kernel lets one hold, twice net.core.wmem_max's default
MB = 1 << 20

OWN_SIGNALS = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "file"}  # with which the kernel tells


class Watch:
    """Looks at the command's processes again and again, and remembers the CPU time of the dead."""

    def __init__(self, request: dict, begun: float) -> None:
        self._limits = request["limits"]
        self._alone = os.getpid() == 1  # in namespaces, where processes and disk have hard limits
        self._folder = os.path.dirname(request["folder"])
        self._ends = begun + (self._limits["wall_s"] or float("inf"))
        self._seen: dict[tuple[int, int], float] = {}
        self._gone_s = 0.0
        self.cpu_s = 0.0

    def beyond(self) -> str | None:
        """The limit that does not hold any more."""
        now = time.monotonic()
        if now > self._ends:
            return "wall"
        stats = processes.stats()
        pids = list(stats)
        most = self._limits["memory_mb"] * MB
        if self._alone:
            most -= _sockets() * SOCKET_BYTES
        if processes.memory(pids) > most and processes.memory_shared_out(pids) > most:
            return "memory"
        self.cpu_s = self._cpu_s(stats)
        if self.cpu_s > self._limits["cpu_s"]:
            return "cpu"
        if self._alone:
            return None
        if len(pids) > self._limits["processes"]:
            return "processes"
        if _disk_bytes(self._folder) > self._limits["disk_mb"] * MB:
            return "disk"
        return None

    def _cpu_s(self, stats: dict[int, processes.Stat]) -> float:
        """The larger of two sums that each miss something: of what was seen of every process, which
        misses the very short, and of what parents were told, which misses those not waited for."""
        seen = {(pid, stat.started): stat.own_cpu_s for pid, stat in stats.items()}
        self._gone_s += sum(cpu for key, cpu in self._seen.items() if key not in seen)
        self._seen = seen
        told = resource.getrusage(resource.RUSAGE_CHILDREN)
        return max(
            self._gone_s + sum(seen.values()),
            sum(stat.own_cpu_s + stat.children_cpu_s for stat in stats.values())
            + told.ru_utime
            + told.ru_stime,
        )


def _sockets() -> int:
    """How many sockets there are in this network namespace: their memory shows in no process."""
    with open("/proc/net/sockstat") as file:
        return int(file.readline().rpartition(" ")[2])


def _disk_bytes(folder: str) -> int:
    total = 0
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_blocks * 512
    return total


def until_the_end(child: int, control: socket.socket, request: dict, begun: float) -> dict:
    """How the command ended; by then all that it started is dead."""
    poller = select.poll()
    poller.register(os.pidfd_open(child), select.POLLIN)
    poller.register(control, select.POLLIN)
    watch, parent = Watch(request, begun), os.getppid()
    stopped, status, kill_at, pause_s = None, None, float("inf"), TICK_S
    while True:
        ready = [descriptor for descriptor, _ in poller.poll(pause_s * 1000)]
        looked, used, before = time.monotonic(), time.process_time(), watch.cpu_s
        status = processes.reap(child)
        # The caller closes the control socket to have an end of it, and so does its death.
        if status is not None or control.fileno() in ready or os.getppid() != parent:
            break
        if stopped is None:
            stopped = watch.beyond()
            if stopped == "wall":
                processes.signal_all(signal.SIGTERM)
                kill_at = looked + GRACE_S
            elif stopped is not None:
                break
        elif looked > kill_at:
            break
        pause_s = min(2 * pause_s, IDLE_S) if watch.cpu_s == before else TICK_S
        pause_s = max(pause_s, (time.process_time() - used) / SHARE)
    killed = processes.kill_all(child)
    code = os.waitstatus_to_exitcode(killed if status is None else status)
    stopped = stopped or OWN_SIGNALS.get(-code)
    return {"exit_code": code if code >= 0 else 128 - code, "stopped": stopped}
