"""The child that becomes the command: it gives everything up, lays the files, then executes.

Files are laid and read only after that, with the rights that the command has: a link that generated
code left in their way leads nowhere that it could not go itself.
"""

from __future__ import annotations

import os
import signal

from . import confine

AFTER_SUPERVISOR = 3  # niceness: where a bomb takes all cores, who watches it still comes first
COULD_NOT_START, NOT_EXECUTABLE, NOT_FOUND = 125, 126, 127  # as env(1) and nohup(1) have it


def become(request: dict, jail: dict, streams: list[int], procfs: int) -> None:
    """Does not return."""
    try:
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
        if jail["namespaces"]:
            confine.become_nobody(procfs, jail["user"])
        else:
            confine.become_user(procfs, jail["user"])
        os.closerange(3, 1 << 20)
        os.setsid()
        os.nice(AFTER_SUPERVISOR)
        os.umask(0o022)
        os.chdir(request["folder"])
        confine.limit(request["limits"], jail["namespaces"])
        confine.restrict(jail, request["folder"])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file too long is an error to tell
        _lay(request["files"])
        if request["kind"] == "read":
            _read(request["path"], request["most"])
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        if request["argv"]:
            _execute(request["argv"], request["env"])
        os._exit(0)
    except OSError as error:
        _say(f"{error.filename or 'sandbox'}: {error.strerror}")
    except BaseException as error:
        _say(f"sandbox: {error}")
    finally:
        os._exit(COULD_NOT_START)


def _execute(argv: list[str], env: dict[str, str]) -> None:
    code = NOT_EXECUTABLE
    try:
        os.execvpe(argv[0], argv, env)
    except FileNotFoundError:
        _say(f"{argv[0]}: command not found")
        code = NOT_FOUND
    except OSError as error:
        _say(f"{argv[0]}: {error.strerror}")
    os._exit(code)


def _lay(files: list[tuple[str, bytes]]) -> None:
    for name, data in files:
        if folder := os.path.dirname(name):
            os.makedirs(folder, exist_ok=True)
        with open(name, "wb", opener=_opener) as file:
            file.write(data)


def _read(path: str, most: int) -> None:
    """One byte more than `most` says that there is more."""
    with open(path, "rb", opener=_opener) as file:
        data = file.read(most + 1) or b""
    while data:
        data = data[os.write(1, data) :]


def _opener(name: str, flags: int) -> int:
    """A pipe that nobody has opened at the other end would block."""
    return os.open(name, flags | os.O_NONBLOCK, 0o666)


def _say(text: str) -> None:
    os.write(2, f"{text}\n".encode(errors="replace"))
