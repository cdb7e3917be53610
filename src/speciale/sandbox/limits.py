"""What a command in the sandbox may use, and what came of it.

Kernel limits (setrlimit, tmpfs sizes) where there are any, a supervisor in the cell for the rest:
see inside/supervise.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from speciale.errors import ConfigError, SpecialeError

MOST = 1_000_000_000


class SandboxError(SpecialeError):
    """No sandbox can be had, or the one there was broke; generated code was not run."""


@dataclass(frozen=True)
class Limits:
    """Of one command with all its processes. `disk_mb` is what /work, /tmp and /dev/shm hold
    together, in memory and on top of `memory_mb`; `output_kb` is of both streams together."""

    memory_mb: int = 1024
    cpu_s: float = 60
    processes: int = 64  # threads count
    file_mb: int = 64  # one file
    disk_mb: int = 256
    output_kb: int = 1024
    wall_s: float = 60

    def __post_init__(self) -> None:
        for field in fields(self):
            value, whole = getattr(self, field.name), field.type == "int"
            kind = int if whole else int | float
            good = isinstance(value, kind) and not isinstance(value, bool)
            if not good or not (1 if whole else 0.001) <= value <= MOST:
                raise ConfigError(
                    f"the sandbox's {field.name} is {value!r}: "
                    f"give a {'whole ' if whole else ''}number above 0 and up to {MOST:,}"
                )


DEFAULT = Limits()

# What an Outcome calls a limit -> its field above, words for it, its unit.
STOPPED = {
    "wall": ("wall_s", "wall time", " s"),
    "cpu": ("cpu_s", "CPU time", " s"),
    "memory": ("memory_mb", "memory", " MB"),
    "processes": ("processes", "processes", ""),
    "file": ("file_mb", "a file's size", " MB"),
    "disk": ("disk_mb", "disk", " MB"),
    "output": ("output_kb", "output", " KB"),
}


def limit_named(stopped: str, limits: Limits) -> str:
    """The limit that stopped a command with its value, such as "wall time, 60 s"."""
    field, words, unit = STOPPED[stopped]
    return f"{words}, {getattr(limits, field):g}{unit}"


@dataclass(frozen=True)
class Outcome:
    """What a command did. `exit_code` is 128 + signal where a signal ended it; `stopped` names the
    limit that did: "wall", "cpu", "memory", "file", "output", and without namespaces "processes" or
    "disk", which a command otherwise meets as errors."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    stopped: str | None = None
