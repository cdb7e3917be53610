"""Starts a jail with bubblewrap (github.com/containers/bubblewrap): new namespaces of every kind, a
root of bind mounts, and in it the zygote with the few capabilities that making cells takes.

Where this program is root, the jail's user namespace maps a second user, so that generated code is
neither root inside nor outside.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
from typing import IO

from speciale.sandbox import layout
from speciale.sandbox.limits import SandboxError

NOBODY = 65534
START_S = 30.0  # a machine under load; 0.1 s otherwise
CAPABILITIES = (  # in the jail's own namespaces only
    "SYS_ADMIN", "SYS_CHROOT",  # mounts and namespaces
    "NET_ADMIN",  # the loopback interface
    "SETUID", "SETGID", "SETPCAP", "SETFCAP", "CHOWN",  # for commands to become nobody
    "KILL", "SYS_PTRACE",  # to kill them, and to add up their memory
)  # fmt: skip


def start(
    server: int, owner: int, stderr: IO[bytes]
) -> tuple[subprocess.Popen[bytes], int, int | None]:
    """The process that waits for the jail, the jail's PID 1, and the user kept for commands."""
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError("it is not installed (apt-get install bubblewrap)")
    if has_nobody() and (closed := layout.closed_to_others(ancestors=False)):
        raise SandboxError(f"other users cannot read {closed} (chmod -R o+rX it)")
    with contextlib.ExitStack() as stack:

        def pipe() -> list[IO[bytes]]:
            return [stack.enter_context(open(e, m, 0)) for e, m in zip(os.pipe(), ("rb", "wb"))]

        (go, gone), (told, telling) = pipe(), pipe()
        passed = [server, owner, go.fileno(), telling.fileno()]
        files: list[str] = []
        for path, text in layout.made().items():
            file = stack.enter_context(tempfile.TemporaryFile())
            file.write(text.encode())
            file.seek(0)
            passed.append(file.fileno())
            files += ["--file", str(file.fileno()), path]
        capabilities = [word for name in CAPABILITIES for word in ("--cap-add", f"CAP_{name}")]
        variables = [w for name, value in layout.moved().items() for w in ("--setenv", name, value)]
        command = [
            program, "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc",
            "--unshare-uts", "--unshare-cgroup-try", "--hostname", "sandbox", "--uid", "0",
            "--gid", "0", "--userns-block-fd", str(go.fileno()), "--info-fd", str(telling.fileno()),
            "--as-pid-1", "--new-session", "--clearenv", *variables, "--cap-drop", "ALL",
            *capabilities, *layout.jail(), *files, "--remount-ro", "/", "--chdir", "/",
            "--", layout.python(), *zygote(layout.INSIDE_JAIL, server, owner),
        ]  # fmt: skip
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=passed,
            cwd="/",
            env={},
            start_new_session=True,  # a terminal's interrupt is for the program alone
        )
        telling.close()
        try:
            if not select.select([told], [], [], START_S)[0]:
                raise OSError("no answer")
            child = json.loads(told.read())["child-pid"]
            init = os.pidfd_open(child)
            user = _map_users(child)
            gone.write(b"x")
        except (OSError, ValueError, KeyError) as error:
            process.kill()
            process.wait()
            stderr.seek(0)
            said = stderr.read().decode(errors="replace").strip()
            raise SandboxError(said or f"it did not start ({error})") from error
    return process, init, user


def zygote(folder: str, server: int, owner: int) -> list[str]:
    """The arguments of a Python that becomes the zygote; `folder` holds the package `inside`."""
    script = (
        f"import sys; sys.path.append({folder!r}); from inside.zygote import main; "
        f"main({server}, {owner})"
    )
    return ["-I", "-S", "-c", script]


def has_nobody() -> bool:
    """Whether this program is root and so may run commands as another user. Root of a container may
    have no other."""
    return os.geteuid() == 0 and _maps_nobody("uid_map") and _maps_nobody("gid_map")


def _maps_nobody(name: str) -> bool:
    with open(f"/proc/self/{name}") as file:
        for line in file:
            first, _, count = map(int, line.split())
            if first <= NOBODY < first + count:
                return True
    return False


def _map_users(child: int) -> int | None:
    """Root inside is the user outside; root outside has a second one to give."""
    if has_nobody():
        for kind in ("gid", "uid"):
            _write(child, f"{kind}_map", f"0 0 1\n{NOBODY} {NOBODY} 1\n")
        return NOBODY
    _write(child, "setgroups", "deny")
    _write(child, "gid_map", f"0 {os.getegid()} 1\n")
    _write(child, "uid_map", f"0 {os.geteuid()} 1\n")
    return None


def _write(child: int, name: str, text: str) -> None:
    with open(f"/proc/{child}/{name}", "w") as file:
        file.write(text)
