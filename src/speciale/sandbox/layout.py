"""What a command sees of this machine, all of it read-only: system folders and Python.

In a jail Python's packages stand in a virtual environment at /python that is made for it: a file, a
link and a bind mount. The interpreter keeps its own path, unless /work or /tmp would cover it.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
ETC = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
COVERED = ("/work", "/tmp", "/proc", "/dev")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
EMPTY = ("/dev/shm", "/dev/pts", "/work", "/tmp", "/root", "/home", "/var", "/run")

MADE = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/false\nnobody:x:65534:65534::/work:/bin/bash\n",
    "/etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost sandbox\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

PACKAGE = Path(os.path.realpath(__file__)).parents[1]  # speciale itself
INSIDE = PACKAGE / "sandbox" / "inside"
INSIDE_JAIL = "/python/zygote"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
BASE = os.path.realpath(sys.base_prefix)
PACKAGES = {os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
INSTALLED = str(PACKAGE.parent) in PACKAGES  # or else out of a checkout

VARIABLES = {
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",  # a command's folder holds what it wrote, not what Python did
    # A thread counts as a process, and one for each of the machine's cores may be too many.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
PATH = "/usr/local/bin:/usr/bin:/bin"


def environment() -> dict[str, str]:
    """A command's variables in a jail."""
    values = {**VARIABLES, "PATH": f"/python/bin:{PATH}", "HOME": "/work", "TMPDIR": "/tmp"}
    if not INSTALLED:
        values["PYTHONPATH"] = "/python/own"
    return {**values, **moved()}


def moved() -> dict[str, str]:
    """What an interpreter needs that does not stand where it was built for."""
    return {} if _base() == BASE else {"LD_LIBRARY_PATH": f"{_base()}/lib"}


def folder_environment(work: str, temporary: str) -> dict[str, str]:
    """Without a jail: everything stands where it stands."""
    values = {**VARIABLES, "HOME": work, "TMPDIR": temporary}
    values["PATH"] = f"{os.path.dirname(sys.executable)}:{PATH}"
    if not INSTALLED:
        values["PYTHONPATH"] = str(PACKAGE.parent)
    return values


def python() -> str:
    """The interpreter in the jail, without packages."""
    real = os.path.realpath(sys.executable)
    inner = os.path.relpath(real, BASE) if _below(real, [BASE]) else f"bin/{VERSION}"
    return f"{_base()}/{inner}"


def _base() -> str:
    return "/python/base" if _below(BASE, COVERED) else BASE


def jail() -> list[str]:
    """bubblewrap's arguments that lay out a jail's file system, but for the files of `made`."""
    given: list[str] = []
    for path in SYSTEM:
        if os.path.islink(path):
            given += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            given += ["--ro-bind", path, path]
    for path in ETC:
        given += ["--ro-bind-try", path, path]
    if not _below(BASE, SYSTEM):
        given += ["--ro-bind", BASE, _base()]
    for number, path in enumerate(sorted(PACKAGES)):
        lib = ("lib", "lib64")[number]  # sorted: Fedora's platlib is the second
        given += ["--ro-bind", path, f"/python/{lib}/{VERSION}/site-packages"]
    if not INSTALLED:
        given += ["--ro-bind", str(PACKAGE), "/python/own/speciale"]
    given += ["--ro-bind", str(INSIDE), f"{INSIDE_JAIL}/{INSIDE.name}"]
    given += ["--symlink", python(), "/python/bin/python3"]
    for name in ("python", VERSION):
        given += ["--symlink", "python3", f"/python/bin/{name}"]
    for path in devices():
        given += ["--dev-bind", path, path]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        given += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    given += ["--symlink", "/proc/self/fd", "/dev/fd", "--symlink", "pts/ptmx", "/dev/ptmx"]
    # A parent that bubblewrap has to make by itself can only be entered by root.
    targets = [given[place + 2] for place, word in enumerate(given) if word.startswith("--")]
    parents = [str(p) for t in (*targets, *made()) for p in reversed(Path(t).parents)]
    folders = [path for path in dict.fromkeys((*parents, *EMPTY)) if path != "/"]
    words = [word for path in folders for word in ("--dir", path)]
    return [*words, *given, "--proc", "/proc"]


def devices() -> list[str]:
    """Containers may lack some."""
    return [path for name in DEVICES if os.path.exists(path := f"/dev/{name}")]


def made() -> dict[str, str]:
    """The files that are written for a jail: path -> text."""
    environment = f"home = {_base()}/bin\nversion = {'.'.join(map(str, sys.version_info[:3]))}\n"
    return {
        **MADE,
        "/python/pyvenv.cfg": environment + "include-system-site-packages = false\n",
    }


def readable() -> list[str]:
    """Without a jail: the folders and files that a command may read and execute."""
    paths = [*SYSTEM, *ETC, BASE, *PACKAGES, str(PACKAGE), os.path.dirname(sys.executable)]
    paths.append(os.path.join(sys.prefix, "pyvenv.cfg"))
    return [path for path in paths if os.path.exists(path)]


def closed_to_others(ancestors: bool) -> str | None:
    """A folder that other users cannot read, and so no command that runs as another user."""
    for path in map(Path, (BASE, *PACKAGES, PACKAGE)):
        if path.stat().st_mode & 0o005 != 0o005:
            return str(path)
        for parent in path.parents if ancestors else ():
            if not parent.stat().st_mode & 0o001:
                return str(parent)
    return None


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)
