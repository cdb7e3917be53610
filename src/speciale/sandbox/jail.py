"""A running zygote (inside/zygote.py) and the socket on which it is asked for cells."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any

from speciale.sandbox import bubblewrap, ends, layout, seccomp
from speciale.sandbox.ends import Ends
from speciale.sandbox.limits import SandboxError


class Jail:
    """Makes it in `form`, in some 60 ms, and keeps `warm` cells that wait for a command.
    SandboxError says why it cannot."""

    def __init__(self, form: str, warm: int) -> None:
        self._warm, self._ready = warm, list[Ends]()
        self.form = form
        self.namespaces = form == "bubblewrap"
        self._owner, self._lock, self._closed = os.getpid(), threading.Lock(), False
        self._socket, inner = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(bubblewrap.START_S)
        with contextlib.ExitStack() as stack:
            stack.callback(inner.close)
            stderr = stack.enter_context(tempfile.TemporaryFile())
            owner = os.pidfd_open(self._owner)
            stack.callback(os.close, owner)
            start = bubblewrap.start if self.namespaces else _start_plain
            try:
                self._process, self._first, self.user = start(inner.fileno(), owner, stderr)
            except BaseException:
                self._socket.close()
                raise
            if form == "unsafe":
                self.user = None
            inner.close()
            try:
                self._socket.send(json.dumps(self._configuration()).encode())
                ready = self._socket.recv(16)
            except OSError:
                ready = b""
            if ready != b"ready":
                self.close()
                stderr.seek(0)
                said = stderr.read().decode(errors="replace").strip().splitlines()
                raise SandboxError(said[-1] if said else "its first process ended")
        self.prepare()

    def _configuration(self) -> dict[str, Any]:
        """What inside/zygote.py is told."""
        rules, program = None, b""
        if self.form == "landlock":
            rules = {
                "read": layout.readable(),
                "list": [str(layout.PACKAGE.parent)],  # or Python finds nothing in it
                "device": layout.devices(),
            }
        if self.form != "unsafe":
            same_user = not self.namespaces and self.user is None
            program = seccomp.program(namespaces=self.namespaces, same_user=same_user)
        return {
            "namespaces": self.namespaces,
            "user": self.user,
            "landlock": rules,
            "filter": program.hex(),
        }

    def alive(self) -> bool:
        """False too in a forked child of the program: the jail is its parent's."""
        if self._closed or self._owner != os.getpid():
            return False
        ended = select.poll()
        ended.register(self._first, select.POLLIN)
        ended.register(self._socket, select.POLLHUP)  # which comes a moment earlier
        return not ended.poll(0)

    def take(self) -> Ends:
        """A cell to give a command to. SandboxError where the jail is gone."""
        with self._lock:
            while self._ready:
                ends = self._ready.pop()
                if not ends.dead:
                    return ends
                ends.close()
            return self._make()

    def prepare(self) -> None:
        """Asks for cells until `warm` are ready; does not wait for them."""
        with contextlib.suppress(SandboxError), self._lock:  # the next `take` says it
            while len(self._ready) < self._warm:
                self._ready.append(self._make())

    def _make(self) -> Ends:
        try:
            with ends.pair() as (ours, given):
                socket.send_fds(self._socket, [b"cell"], given)
                return ours
        except OSError as error:
            raise SandboxError(
                f"the sandbox could not make room for a command ({error.strerror or error})"
            ) from error

    def close(self) -> None:
        """Kills all that runs in it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._socket.close()
            while self._ready:
                self._ready.pop().close()
            if self._owner == os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._first, signal.SIGKILL)
                self._process.wait()
            os.close(self._first)


def _start_plain(
    server: int, owner: int, stderr: IO[bytes]
) -> tuple[subprocess.Popen[bytes], int, int | None]:
    command = [sys.executable, *bubblewrap.zygote(str(layout.INSIDE.parent), server, owner)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=[server, owner],
        cwd="/",
        env={},
        start_new_session=True,
    )
    user = bubblewrap.NOBODY if bubblewrap.has_nobody() else None
    return process, os.pidfd_open(process.pid), user
