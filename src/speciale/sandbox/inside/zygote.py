"""Forks a cell for each call: a fork of this small interpreter costs a millisecond, where
bubblewrap and Python cost sixty. It holds nothing of the program that it works for.

In the jail it is PID 1, so that its end, which comes with that program's, is everybody's end.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket

from . import cell, kernel

# Whatever Python's own way with them, a command starts with the defaults.
DEFAULTS = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)


def main(server: int, owner: int) -> None:
    """`server`: a socket that brings how this jail is made, then a message for each call with the
    descriptors of its cell; `owner`: a pidfd of the program."""
    for number in DEFAULTS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    calls = socket.socket(fileno=server)
    jail = json.loads(calls.recv(1 << 17))
    home = -1
    if jail["namespaces"]:
        home = os.open("/proc/self/ns/pid", os.O_RDONLY)
        # What a cell mounts is then its own.
        kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    gc.disable()
    gc.freeze()  # no page is copied because the collector touched it
    calls.send(b"ready")
    poller = select.poll()
    poller.register(server, select.POLLIN)
    poller.register(owner, select.POLLIN)
    while all(descriptor != owner for descriptor, _ in poller.poll()):
        message, descriptors, _, _ = socket.recv_fds(calls, 16, cell.DESCRIPTORS)
        if not message:
            return
        try:
            if _fork(home) == 0:
                for descriptor in (server, owner, home):
                    if descriptor >= 0:
                        os.close(descriptor)
                _become_cell(descriptors, jail)
        except OSError as error:
            _tell(descriptors[0], error)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _fork(home: int) -> int:
    """With namespaces the child is PID 1 of a new one, and this process stays in its own."""
    if home < 0:
        return os.fork()
    kernel.unshare(kernel.CLONE_NEWPID)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:
            kernel.setns(home, kernel.CLONE_NEWPID)
    return pid


def _become_cell(descriptors: list[int], jail: dict) -> None:
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        cell.main(descriptors, jail)
    except BaseException as error:
        _tell(descriptors[0], error)
    finally:
        os._exit(0)


def _tell(control: int, error: BaseException) -> None:
    report = {"error": f"{type(error).__name__}: {error}"}
    with contextlib.suppress(OSError):
        os.write(control, json.dumps(report).encode())
