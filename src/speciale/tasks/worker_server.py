"""Inside the sandbox: answers requests, each in a fork of its own that is thrown away.

What a request leaves behind (memory, changed modules, a library's caches) dies with its fork, so no
answer can touch the score of another; libraries are imported once, before the first fork.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import selectors
import signal
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

# Each is a function of the request's fields; its module may have a `prepare` of the same fields,
# which runs before the fork, for what is worth keeping.
OPERATIONS = {
    "draw": "speciale.tasks.gym.library",
    "score": "speciale.tasks.gym.library",
    "judge": "speciale.tasks.maths_judge",
    "search": "speciale.tasks.patterns",
}
MEMORY = 512 << 20  # bytes that a request may take beyond what is shared
HEADER = struct.Struct("!I")


@dataclass
class Child:
    request: int
    pid: int
    pipe: int
    seconds: float
    deadline: float
    data: bytearray = field(default_factory=bytearray)


class Server:
    def __init__(self, inbox: int, outbox: int) -> None:
        self.inbox, self.outbox = inbox, outbox
        self.selector = selectors.DefaultSelector()
        self.selector.register(inbox, selectors.EVENT_READ)
        self.buffer = bytearray()
        self.waiting: deque[dict[str, Any]] = deque()
        self.running: dict[int, Child] = {}  # by pipe
        self.most = os.cpu_count() or 1

    def serve(self) -> None:
        """Until the other side closes the inbox."""
        while True:
            soonest = min((child.deadline for child in self.running.values()), default=None)
            timeout = None if soonest is None else max(soonest - time.monotonic(), 0)
            for key, _ in self.selector.select(timeout):
                if key.fd != self.inbox:
                    self.collect(self.running[key.fd])
                elif not self.receive():
                    return
            for child in list(self.running.values()):
                if child.deadline <= time.monotonic():
                    self.finish(child, trouble=f"it took longer than {child.seconds:g} s")
            while self.waiting and len(self.running) < self.most:
                self.start(self.waiting.popleft())

    def receive(self) -> bool:
        piece = os.read(self.inbox, 1 << 16)
        self.buffer += piece
        while len(self.buffer) >= HEADER.size:
            end = HEADER.size + HEADER.unpack_from(self.buffer)[0]
            if len(self.buffer) < end:
                break
            self.waiting.append(json.loads(self.buffer[HEADER.size : end]))
            del self.buffer[:end]
        return bool(piece)

    def start(self, request: dict[str, Any]) -> None:
        try:
            module = importlib.import_module(OPERATIONS[request["operation"]])
            if prepare := getattr(module, "prepare", None):
                prepare(**request["fields"])
        except Exception as error:  # before any answer is looked at: not the answer's fault
            self.reply({"id": request["id"], "fault": f"{type(error).__name__}: {error}"})
            return
        ours, theirs = os.pipe()
        gc.freeze()  # else a collection in the fork would copy all that is shared
        pid = os.fork()
        if pid == 0:
            try:
                os.close(self.outbox)
                _write(theirs, _work(module, request))
            finally:
                os._exit(0)
        os.close(theirs)
        deadline = time.monotonic() + request["seconds"]
        self.running[ours] = Child(request["id"], pid, ours, request["seconds"], deadline)
        self.selector.register(ours, selectors.EVENT_READ)

    def collect(self, child: Child) -> None:
        if piece := os.read(child.pipe, 1 << 16):
            child.data += piece
        else:
            self.finish(child)

    def finish(self, child: Child, trouble: str | None = None) -> None:
        del self.running[child.pipe]
        self.selector.unregister(child.pipe)
        os.close(child.pipe)
        with contextlib.suppress(ProcessLookupError):
            if trouble:
                os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        try:
            reply = {"trouble": trouble} if trouble else json.loads(child.data)
        except ValueError:
            reply = {"trouble": f"it crashed (exit code {os.waitstatus_to_exitcode(status)})"}
        self.reply({"id": child.request, **reply})

    def reply(self, reply: dict[str, Any]) -> None:
        data = json.dumps(reply).encode()
        _write(self.outbox, HEADER.pack(len(data)) + data)


def _work(module: Any, request: dict[str, Any]) -> bytes:
    """In the fork: the operation's result, or what went wrong, as JSON."""
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    try:
        result = getattr(module, request["operation"])(**request["fields"])
        return json.dumps({"value": result}).encode()
    except MemoryError:
        return json.dumps({"trouble": f"it needed more than {MEMORY >> 20} MB"}).encode()
    except BaseException as error:
        return json.dumps({"trouble": f"{type(error).__name__}: {error}"[:500]}).encode()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main() -> None:
    outbox = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)  # libraries print
    os.dup2(null, 2)
    Server(0, outbox).serve()


if __name__ == "__main__":
    sys.exit(main())
