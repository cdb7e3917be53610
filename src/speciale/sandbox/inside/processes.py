"""The processes of a command, counted and killed from its supervisor, by way of /proc (proc(5)).

As PID 1 of a namespace the supervisor owns all it can see; elsewhere it is the "subreaper" to which
orphans fall, so that what it started is always what stands below it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import namedtuple

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
USED = (b"RssAnon", b"RssShmem", b"VmPTE", b"VmSwap")  # not files, which are the page cache's
SHARED_OUT = (b"Pss_Anon", b"Pss_Shmem", b"SwapPss")  # a page of two processes counts half in each


# `children_cpu_s`: of those that it waited for.
Stat = namedtuple("Stat", "parent own_cpu_s children_cpu_s started")


def stats() -> dict[int, Stat]:
    """All the command's processes."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (stat := _stat(int(name))):
            found[int(name)] = stat
    me = os.getpid()
    if me == 1:
        found.pop(me, None)
        return found
    below = {me}
    while grown := {pid for pid, stat in found.items() if stat.parent in below} - below:
        below |= grown
    return {pid: found[pid] for pid in below - {me} if pid in found}


def _stat(pid: int) -> Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name before it, in brackets, may hold anything.
            values = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    user, system, children_user, children_system = map(int, values[11:15])
    return Stat(
        int(values[1]),
        (user + system) * TICK_S,
        (children_user + children_system) * TICK_S,
        int(values[19]),
    )


def memory(pids: list[int]) -> int:
    """Bytes that each uses, added up: pages that two share count twice."""
    return sum(_kilobytes(pid, "status", USED) for pid in pids) << 10


def memory_shared_out(pids: list[int]) -> int:
    """Bytes that they use together; slow, for the kernel walks all their pages."""
    pages = sum(_kilobytes(pid, "smaps_rollup", SHARED_OUT) for pid in pids)
    return pages + sum(_kilobytes(pid, "status", (b"VmPTE",)) for pid in pids) << 10


def _kilobytes(pid: int, name: str, keys: tuple[bytes, ...]) -> int:
    total = 0
    with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb") as file:
        for line in file.read().split(b"\n"):
            key, _, value = line.partition(b":")
            if key in keys:
                total += int(value.split()[0])
    return total


def signal_all(number: int) -> None:
    if os.getpid() == 1:  # the namespace's processes and no others, at one stroke
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, number)
        return
    for pid, stat in stats().items():
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            try:
                # The number may have gone to a stranger since; the handle cannot.
                if (now := _stat(pid)) and now.started == stat.started:
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)


def kill_all(child: int) -> int:
    """Returns when none is left; the status that `child` ended with."""
    status = None
    while True:
        signal_all(signal.SIGKILL)
        try:
            found = reap(child)
        except ChildProcessError:
            return status if status is not None else signal.SIGKILL
        status = status if found is None else found
        time.sleep(0.001)


def reap(child: int) -> int | None:
    """Takes the dead; the status of `child` where it is among them. ChildProcessError where there
    was nobody, dead or alive."""
    status = None
    anybody = False
    while True:
        try:
            pid, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if anybody:
                return status
            raise
        if pid == 0:
            return status
        anybody = True
        if pid == child:
            status = ended
