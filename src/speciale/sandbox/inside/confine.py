"""What the command's process gives up before it runs: its user, resources, rights, system calls."""

from __future__ import annotations

import contextlib
import math
import os
import resource

from . import kernel, landlock

NOBODY = 65534
MB = 1 << 20


def become_nobody(procfs: int, user: int | None) -> None:
    """Enters a user namespace of this command alone, as NOBODY. The kernel counts RLIMIT_NPROC by
    namespace (since Linux 5.14), so that commands do not share their number of processes.

    `user`: the one that the jail keeps for commands, or None where it could have one user only.
    """
    _set_user(user)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # or root would own the files written next
    kernel.unshare(kernel.CLONE_NEWUSER)
    _write(procfs, "self/setgroups", "deny")
    for name in ("uid_map", "gid_map"):
        _write(procfs, f"self/{name}", f"{NOBODY} {user or 0} 1")
    _die_first(procfs)
    # A second bolt besides seccomp: no namespace from here on.
    _write(procfs, "sys/user/max_user_namespaces", "0")


def become_user(procfs: int, user: int | None) -> None:
    _die_first(procfs)
    _set_user(user)


def _set_user(user: int | None) -> None:
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)


def _die_first(procfs: int) -> None:
    """Where the machine's memory runs out the kernel takes the command, not its neighbours."""
    _write(procfs, "self/oom_score_adj", "1000")


def _write(procfs: int, path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY, dir_fd=procfs)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def limit(limits: dict[str, float], namespaces: bool) -> None:
    """The limits that the kernel holds, for each process. RLIMIT_DATA rather than RLIMIT_AS:
    programs reserve far more addresses than they use; the supervisor adds up what is used."""
    cpu = math.ceil(limits["cpu_s"])
    processes = int(limits["processes"])
    if not namespaces:  # where the kernel counts all that the user runs
        processes += _threads_of(os.getuid())
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),
        (resource.RLIMIT_DATA, *[int(limits["memory_mb"] * MB)] * 2),
        (resource.RLIMIT_FSIZE, *[int(limits["file_mb"] * MB)] * 2),
        (resource.RLIMIT_NOFILE, 256, 256),
        (resource.RLIMIT_STACK, 8 * MB, 64 * MB),
        # Not 0, with which the kernel still pipes a crash to a collector such as systemd-coredump;
        # 1 is what it takes for "never" (core(5) and fs/coredump.c).
        (resource.RLIMIT_CORE, 1, 1),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_NPROC, processes, processes),
    ):
        most = resource.getrlimit(kind)[1]
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))


def _threads_of(user: int) -> int:
    total = 0
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == user:
                total += len(os.listdir(f"/proc/{name}/task"))
    return total


def restrict(jail: dict, folder: str) -> None:
    if jail["namespaces"]:
        kernel.drop_capabilities()
    if jail["filter"]:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        if jail["landlock"]:
            landlock.restrict(jail["landlock"], os.path.dirname(folder))
        kernel.seccomp(bytes.fromhex(jail["filter"]))
