"""A private PostgreSQL for tests: its own folder, a Unix socket there, no network, no fsync."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path


class Cluster:
    """A running server. `url` is of its database "postgres"; `create` makes another."""

    def __init__(self):
        self._bin = _programs()
        # Short and in /tmp: the path of a socket may have 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="speciale-pg-", dir="/tmp"))
        self._user = {}
        if os.geteuid() == 0:  # which PostgreSQL refuses to run as
            name = next(name for name in ("postgres", "nobody") if _exists(name))
            found = pwd.getpwnam(name)
            os.chown(self._folder, found.pw_uid, found.pw_gid)
            self._user = dict(user=found.pw_uid, group=found.pw_gid, extra_groups=[])
        data = self._folder / "data"
        self._run("initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()

    def start(self):
        options = f"-c listen_addresses= -c unix_socket_directories={self._folder} -c fsync=off"
        data, log = self._folder / "data", self._folder / "log"
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")

    def stop(self):
        """At once, as if its power went."""
        self._run("pg_ctl", "-D", self._folder / "data", "-w", "-m", "immediate", "stop")

    def create(self, name):
        self._run("createdb", "-h", self._folder, "-U", "tester", name)
        return f"postgresql://tester:unused-password@/{name}?host={self._folder}"

    def remove(self):
        with contextlib.suppress(AssertionError):
            self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program, *arguments):
        command = [str(self._bin / program), *map(str, arguments)]
        # A server that lives on would keep a pipe open for ever, so the output goes to a file.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command, stdout=output, stderr=output, cwd="/", stdin=subprocess.DEVNULL,
                **self._user,
            )  # fmt: skip
            output.seek(0)
            assert done.returncode == 0, f"{command}: {output.read().decode()}"


def _exists(name):
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(name))


def _programs():
    """The folder of initdb and pg_ctl, which distributions keep out of the PATH."""
    folders = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "pg_ctl").exists():
            return folder
    raise AssertionError("these tests need PostgreSQL: apt-get install postgresql")
