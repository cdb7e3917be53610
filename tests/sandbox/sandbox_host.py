"""A host with things to steal and to break: files, a secret, servers that listen, a process.

Whatever reaches one of them leaves a trace here.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import speciale

SECRET = "host-secret-4711"


class Host(contextlib.AbstractContextManager):
    def __enter__(self):
        self._stack = contextlib.ExitStack()
        try:
            self._set_up()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _set_up(self):
        self.reached = []  # what got through to a server
        # Not pytest's folder, which is root's alone: here only the sandbox is in the way.
        self.folder = Path(tempfile.mkdtemp(prefix="host-", dir="/var/tmp"))
        self._stack.callback(shutil.rmtree, self.folder)
        self.folder.chmod(0o755)
        self.file = self.folder / "file"
        self.home_file = Path.home() / f".{self.folder.name}"
        self._stack.callback(self.home_file.unlink, missing_ok=True)
        for path in (self.file, self.home_file):
            path.write_text(SECRET)
            path.chmod(0o644)
        os.environ["HOST_SECRET"] = SECRET
        self._stack.callback(os.environ.pop, "HOST_SECRET", None)
        self.descriptor = os.open(self.file, os.O_RDWR)
        os.set_inheritable(self.descriptor, True)
        self._stack.callback(os.close, self.descriptor)
        self.victim = subprocess.Popen(["sleep", "1000"])
        self._stack.callback(self.victim.wait)
        self._stack.callback(self.victim.kill)
        internet, local, datagram = socket.AF_INET, socket.AF_UNIX, socket.SOCK_DGRAM
        self.tcp = self._listen(internet, socket.SOCK_STREAM, ("0.0.0.0", 0))[1]
        self.udp = self._listen(internet, datagram, ("0.0.0.0", 0))[1]
        self.unix = self._listen(local, socket.SOCK_STREAM, str(self.folder / "socket"))
        os.chmod(self.unix, 0o777)
        self.abstract = self.folder.name
        self._listen(local, socket.SOCK_STREAM, "\0" + self.abstract)

    def __exit__(self, *_):
        self._stack.close()

    def _listen(self, family, kind, address):
        server = self._stack.enter_context(socket.socket(family, kind))
        server.bind(address)

        server.settimeout(0.2)  # a blocked accept would not notice that its socket is closed
        if kind == socket.SOCK_STREAM:
            server.listen()
        threading.Thread(target=self._serve, args=(server, kind), daemon=True).start()
        return server.getsockname()

    def _serve(self, server, kind):
        while server.fileno() >= 0:
            with contextlib.suppress(OSError):
                if kind == socket.SOCK_DGRAM:
                    self.reached.append(server.recv(100))
                    continue
                with server.accept()[0] as connection:
                    self.reached.append(connection.getsockname())
                    connection.send(b"hello")

    def facts(self):
        """For the attacks: where everything is."""
        disk = os.stat(self.folder).st_dev
        return json.dumps(
            {
                "file": str(self.file),
                "home_file": str(self.home_file),
                "secret": list(SECRET),  # the facts themselves are in an attack's command line
                "descriptor": self.descriptor,
                "victim": self.victim.pid,
                "program": os.getpid(),
                "tcp": self.tcp,
                "udp": self.udp,
                "unix": self.unix,
                "abstract": self.abstract,
                "addresses": ["127.0.0.1", *addresses()],
                "disk": [os.major(disk), os.minor(disk)],
                "packages": sysconfig.get_path("purelib"),
                "library": os.path.dirname(os.__file__),
                "package": os.path.dirname(speciale.__file__),
                "python": sys.executable,
            }
        )

    def was_reached(self):
        """Whether a server was, of late."""
        end = time.monotonic() + 5
        while not self.reached and time.monotonic() < end:
            time.sleep(0.02)
        return bool(self.reached)

    def unharmed(self):
        assert self.file.read_text() == self.home_file.read_text() == SECRET
        assert self.victim.poll() is None, "the victim was killed"
        assert self.reached == []


def addresses():
    """This machine's own address, if it has a route anywhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # sends nothing
        return [probe.getsockname()[0]]
    return []


def running(marker):
    """The host's processes with `marker` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
