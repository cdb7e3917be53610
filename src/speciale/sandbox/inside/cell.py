"""One command's supervisor: makes its surroundings, forks it, watches it and tells how it ended.

With namespaces it is PID 1 of the command's PID namespace: when it exits, the kernel kills the
rest (pid_namespaces(7)), and no signal from inside reaches it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time

from . import command, kernel, mounts, supervise

DESCRIPTORS = 4  # control, stdin, stdout, stderr


def main(descriptors: list[int], jail: dict) -> None:
    """Everything that does not depend on the request is done before it comes."""
    control = socket.socket(fileno=descriptors[0])
    streams, owner = descriptors[1:], jail["user"] or 0
    procfs = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    if jail["namespaces"]:
        mounts.make(owner)
        for stream in streams:  # so that the command may open /dev/stdout
            os.fchown(stream, owner, owner)
    else:
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    request, shared = _receive(control)
    if jail["namespaces"]:
        if shared:
            mounts.join(shared)
        else:
            mounts.resize(request["limits"])
        if request["kind"] == "open":
            opened = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "net")]
            socket.send_fds(control, [b"open"], opened)
            return
        mounts.private_proc()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        command.become(request, jail, streams, procfs)
    for descriptor in (*streams, *shared, procfs):
        os.close(descriptor)
    report = supervise.until_the_end(child, control, request, begun)
    with contextlib.suppress(OSError):  # nobody may be there to hear it
        control.sendall(json.dumps(report).encode())
        control.shutdown(socket.SHUT_WR)


def _receive(control: socket.socket) -> tuple[dict, list[int]]:
    """The length of a JSON text, the text, and the contents of the files that it names. With the
    length come, in a session, the namespaces that its commands share."""

    def exactly(size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = control.recv(min(size - len(data), 1 << 20))
            if not piece:
                os._exit(0)  # the caller is gone
            data += piece
        return bytes(data)

    length, shared, _, _ = socket.recv_fds(control, 4, 2)
    if not length:
        os._exit(0)
    request = json.loads(exactly(*struct.unpack("!I", length)))
    request["files"] = [(name, exactly(size)) for name, size in request["files"]]
    return request, shared
