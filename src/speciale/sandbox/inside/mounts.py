"""A cell's own mounts and network: a tmpfs of limited size behind /work, /tmp and /dev/shm, a /proc
of its own processes, new terminals, and a loopback interface that leads nowhere (unshare(2)).
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from . import kernel

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
FILES_PER_MB = 128
PLAIN = kernel.MS_NOSUID | kernel.MS_NODEV


def make(owner: int) -> None:
    """`owner`: the command's user, as this process sees it."""
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWNET)
    kernel.mount("tmpfs", "/work", "tmpfs", PLAIN, "size=1m,nr_inodes=16,mode=0755")
    for name, mode, target in (
        ("tmp", 0o1777, "/tmp"),
        ("shm", 0o1777, "/dev/shm"),
        ("work", 0o755, "/work"),  # the last: it covers the tmpfs itself
    ):
        folder = f"/work/{name}"
        os.mkdir(folder)
        os.chmod(folder, mode)
        os.chown(folder, owner, owner)
        kernel.mount(folder, target, None, kernel.MS_BIND)
    kernel.mount(
        "devpts", "/dev/pts", "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, "ptmxmode=666,max=64"
    )
    _loopback_up()


def resize(limits: dict[str, int]) -> None:
    size = limits["disk_mb"]  # 0 would mean no limit
    options = f"size={size}m,nr_inodes={size * FILES_PER_MB}"
    kernel.mount("tmpfs", "/work", None, PLAIN | kernel.MS_REMOUNT, options)


def join(shared: list[int]) -> None:
    """Enters a session's mounts and network; what is mounted from here on is this command's."""
    kernel.setns(shared[0], kernel.CLONE_NEWNS)
    kernel.setns(shared[1], kernel.CLONE_NEWNET)
    kernel.unshare(kernel.CLONE_NEWNS)


def private_proc() -> None:
    """Read-only, and without this process, which the command could not touch anyway."""
    flags = PLAIN | kernel.MS_NOEXEC | kernel.MS_RDONLY
    kernel.mount("proc", "/proc", "proc", flags, "hidepid=2")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
