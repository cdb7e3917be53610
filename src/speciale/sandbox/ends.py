"""The caller's ends of a cell: three pipes and a control socket. Whoever shuts the socket, on
purpose or by dying, ends the command and all that it started.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO


@dataclass(frozen=True)
class Ends:
    """None of them blocks."""

    control: socket.socket
    stdin: FileIO
    stdout: FileIO
    stderr: FileIO

    @property
    def dead(self) -> bool:
        """Whether there is nobody at the other side."""
        hung_up = select.poll()
        hung_up.register(self.control, select.POLLHUP)
        return bool(hung_up.poll(0))

    def kill(self) -> None:
        """Ends the command and all that it started; a report still comes."""
        with contextlib.suppress(OSError):
            self.control.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for end in (self.control, self.stdin, self.stdout, self.stderr):
            end.close()


@contextlib.contextmanager
def pair() -> Iterator[tuple[Ends, list[int]]]:
    """Both sides: ours, and the descriptors to give away, which close here when the block ends."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        control, other = socket.socketpair()
        ours.enter_context(control)
        theirs.enter_context(other)
        control.setblocking(False)
        given, pipes = [other.fileno()], []
        for mine in (1, 0, 0):  # stdin is written to, the others are read
            pipe = os.pipe()
            theirs.callback(os.close, pipe[1 - mine])
            pipes.append(ours.enter_context(FileIO(pipe[mine], "rw"[mine])))
            os.set_blocking(pipe[mine], False)
            given.append(pipe[1 - mine])
        yield Ends(control, *pipes), given
        ours.pop_all()
