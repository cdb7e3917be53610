"""Runs inside the sandbox: keeps a Jupyter kernel and runs cells that it is asked for on stdin.

Requests and answers are frames of JSON (a length, then the text); the kernel speaks Jupyter's
protocol over sockets in a folder (ZeroMQ's ipc transport), so that nothing needs a network. This
file is given to the sandbox's Python as text: it imports nothing of this package.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, BinaryIO

MOST = 30_000  # characters of a result
FLOOD = 5_000_000  # characters of output that end a cell
START_S = 60.0
LATE_S, QUIET_S = 20.0, 5.0  # to read on after a cell's end: at most, and without a word
INTERRUPT_S = 3.0  # for a cell to end after the interrupt, before its kernel is killed

# The kernel: ipykernel, but for three things. ZeroMQ cannot bind TCP where there is no network at
# all, and ipykernel wants one port for what forked processes print: they print into the pipe that
# it reads anyway. What programs wrote into that pipe belongs to the cell that ran them. And a fault
# is told on the stderr that we keep.
LAUNCH = """
import array, faulthandler, fcntl, os, sys, termios, time
from ipykernel import kernelapp

def forked():
    sys.stdout = open(1, "w", buffering=1, closefd=False)
    sys.stderr = open(2, "w", buffering=1, closefd=False)

def unread(descriptor, size=array.array("i", [0])):
    fcntl.ioctl(descriptor, termios.FIONREAD, size)
    return size[0]

def gather(result):
    until = time.monotonic() + 0.5
    while (unread(1) or unread(2)) and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.001)  # for the thread that has read it
    sys.stdout.flush()
    sys.stderr.flush()

class Kernel(kernelapp.IPKernelApp):
    def initialize(self, argv=None):
        super().initialize(argv)
        self.shell.events.register("post_run_cell", gather)

faulthandler.enable(os.dup(2), all_threads=False)
os.register_at_fork(after_in_child=forked)
make = kernelapp.IOPubThread
kernelapp.IOPubThread = lambda socket, pipe, session: make(socket, pipe=False, session=session)
Kernel.launch_instance()
"""
OPTIONS = ("--HistoryManager.enabled=False", "--InteractiveShell.colors=NoColor")

ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")


class Text:
    """What a cell wrote, of which only the beginning and the end are kept."""

    def __init__(self) -> None:
        self.seen = 0
        self._head, self._tail = "", ""

    def add(self, piece: str) -> None:
        self.seen += len(piece)
        room = MOST // 2 - len(self._head)
        self._head += piece[:room]
        self._tail = (self._tail + piece[room:])[-MOST // 2 :] if room < len(piece) else self._tail

    def line(self, text: str) -> None:
        """On a line of its own."""
        last = (self._tail or self._head)[-1:]
        self.add(f"{text}\n" if last in ("", "\n") else f"\n{text}\n")

    def clear(self) -> None:
        self._head, self._tail = "", ""

    def __str__(self) -> str:
        lost = self.seen - len(self._head) - len(self._tail)
        gap = f"\n[… {lost:,} characters left out …]\n" if self._tail and lost else ""
        return plain(self._head) + gap + plain(self._tail)


def plain(text: str) -> str:
    """Without colours; of a line that was written over, what stood there in the end."""
    lines = ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


class Kernel:
    """A kernel's process and the connection to it."""

    def __init__(self, folder: str) -> None:
        try:
            socket.socket(socket.AF_UNIX).close()
        except OSError as error:  # as in a sandbox of Landlock alone
            raise RuntimeError("this sandbox has no sockets, which it needs: use bash") from error
        names = ("shell", "iopub", "stdin", "control", "hb")
        connection = {
            "transport": "ipc",
            "ip": os.path.join(folder, secrets.token_hex(4)),
            **{f"{name}_port": port for port, name in enumerate(names, 1)},
            "key": secrets.token_hex(32),
            "signature_scheme": "hmac-sha256",
        }
        path = f"{connection['ip']}.json"
        with open(path, "w") as file:
            json.dump(connection, file)
        private = {
            "IPYTHONDIR": os.path.join(folder, "ipython"),
            "JUPYTER_RUNTIME_DIR": os.path.join(folder, "jupyter"),
            "JPY_PARENT_PID": str(os.getpid()),  # with which it ends, and says less at its start
            "JUPYTER_PLATFORM_DIRS": "1",  # or else it warns
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # likewise
            "MPLCONFIGDIR": os.path.join(folder, "matplotlib"),
        }
        self._log = f"{connection['ip']}.log"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                # -P: a file of the user's named like a module of Python's does not break the start.
                [sys.executable, "-P", "-c", LAUNCH, "-f", path, *OPTIONS],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, **private},
                start_new_session=True,
            )
        # While the kernel starts.
        import zmq
        from jupyter_client.blocking import BlockingKernelClient

        self._client = BlockingKernelClient()
        self._client.load_connection_info(connection)
        self._client.start_channels(stdin=False, hb=False)
        self._poller = zmq.Poller()
        for channel in (self._client.shell_channel, self._client.iopub_channel):
            self._poller.register(channel.socket, zmq.POLLIN)
        self._wait_for_start()

    def _wait_for_start(self) -> None:
        deadline = time.monotonic() + START_S
        self._client.kernel_info()
        # Output is lost until the subscription to it has arrived, which a message proves.
        for channel in (self._client.shell_channel, self._client.iopub_channel):
            while not self._next_message(channel, 0.1):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError(self.last_words() or "it did not answer")
                self._client.kernel_info()

    @staticmethod
    def _next_message(channel: Any, seconds: float) -> dict[str, Any] | None:
        try:
            return channel.get_msg(timeout=seconds)
        except queue.Empty:
            return None

    def run(self, code: str, seconds: float) -> tuple[Text, str]:
        """What the cell wrote, and how it ended: "ok", "error", "interrupted", "flood" (interrupted
        as well), "killed", "left" (by exit()) or "died"."""
        text = Text()
        asked = self._client.execute(code, allow_stdin=False, stop_on_error=False)
        deadline, ending, status = time.monotonic() + seconds, "", ""
        idle, heard = False, time.monotonic()
        while not (status and idle):
            self._poller.poll(100)
            while message := self._next_message(self._client.iopub_channel, 0):
                heard = time.monotonic()
                mine = message["parent_header"].get("msg_id") == asked
                idle |= mine and message["content"].get("execution_state") == "idle"
                self._note(text, message["msg_type"], message["content"])
                if text.seen > FLOOD:  # more may come faster than it is read
                    break
            while message := self._next_message(self._client.shell_channel, 0):
                if message["parent_header"].get("msg_id") == asked:
                    status = self._replied(text, message["content"])
                    # What was written arrives after the reply, but threads may write for ever; and
                    # of too much the message that says "idle" may be lost.
                    deadline = time.monotonic() + LATE_S
            now = time.monotonic()
            if status and (now > deadline or now > heard + QUIET_S):
                break
            if self.process.poll() is not None and not status:
                return text, "died"
            if status or (now < deadline and (ending or text.seen < FLOOD)):
                continue
            if ending:
                self.kill()
                return text, "killed"
            ending = "interrupted" if now > deadline else "flood"
            # Programs that the cell waits for are in the kernel's group.
            os.killpg(self.process.pid, signal.SIGINT)
            deadline = now + INTERRUPT_S
        return text, ending or status

    @staticmethod
    def _replied(text: Text, reply: dict[str, Any]) -> str:
        """How the cell ended; text that IPython would show in a pager (`name?`) is output."""
        pages = {payload.get("source"): payload for payload in reply.get("payload") or ()}
        if "page" in pages:
            text.line(pages["page"]["data"].get("text/plain", ""))
        if "ask_exit" in pages:
            return "left"
        return "ok" if reply["status"] == "ok" else "error"

    def _note(self, text: Text, kind: str, content: dict[str, Any]) -> None:
        if kind == "stream":
            text.add(content["text"])
        elif kind == "error":
            text.line("\n".join(content["traceback"]).rstrip())
        elif kind == "clear_output":
            text.clear()
        elif kind in ("execute_result", "display_data"):
            data = content["data"]
            for form, value in data.items():
                if form.startswith("image/"):
                    size = len(value) * 3 // 4 if form != "image/svg+xml" else len(value)
                    text.line(f"[{form} of about {size:,} bytes, which cannot be shown here]")
            if "text/plain" in data:
                text.line(data["text/plain"])

    def last_words(self) -> str:
        """Of what the process itself wrote: the fault that it died of, or the end."""
        with open(self._log, errors="replace") as file:
            log = file.read()
        fault = log.rfind("Fatal Python error")
        return "\n".join(log[fault:].splitlines()[:6]) if fault >= 0 else log[-2000:].strip()

    def kill(self) -> None:
        """Also lets go of the connection; `process` then has its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._client.stop_channels()


def answer(kernel: Kernel, code: str, seconds: float) -> dict[str, Any]:
    """Runs a cell and says in words how it ended. "lost": the kernel is gone."""
    text, ending = kernel.run(code, seconds)
    notes = {
        "interrupted": f"Interrupted after {seconds:g} s. Variables are kept.",
        "flood": f"Interrupted after {text.seen:,} characters of output. Variables are kept.",
        "killed": f"It did not end {INTERRUPT_S:g} s after an interrupt and was killed.",
        "left": "exit() ended this Python.",
    }
    if ending in ("died", "left"):
        kernel.kill()
    if ending == "died":
        status = kernel.process.returncode
        by = next((sign.name for sign in signal.Signals if sign == -status), f"signal {-status}")
        how = f"was killed by {by}" if status < 0 else f"ended with {status}"
        notes["died"] = "\n".join(filter(None, (f"The Python process {how}.", kernel.last_words())))
    if ending in notes:
        text.line(notes[ending])
    lost = ending in ("killed", "died", "left")
    return {"text": str(text).rstrip("\n"), "error": ending != "ok", "lost": lost}


def read_frame(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(4)
    if len(head) < 4:
        return None
    return json.loads(stream.read(int.from_bytes(head, "big")))


def write_frame(stream: BinaryIO, value: dict[str, Any]) -> None:
    data = json.dumps(value).encode()
    stream.write(len(data).to_bytes(4, "big") + data)
    stream.flush()


def main() -> None:
    # A program that a cell starts must not write into the middle of an answer.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    folder = tempfile.mkdtemp(prefix="python-")
    kernel: Kernel | None = None
    while request := read_frame(sys.stdin.buffer):
        try:
            kernel = kernel or Kernel(folder)
        except (ImportError, OSError, RuntimeError) as error:
            text = f"Python could not be started: {error}"
            write_frame(answers, {"text": text, "error": True, "lost": True})
            continue
        said = answer(kernel, request["code"], request["seconds"])
        kernel = None if said["lost"] else kernel
        write_frame(answers, said)


if __name__ == "__main__":
    main()
