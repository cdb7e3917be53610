"""Whole files or none: write a temporary file beside the target, fsync, rename, fsync the folder.

POSIX rename(2) swaps the name in one step: a reader or a crash sees the old file or the new one.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from speciale.errors import SpecialeError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yields a path to write to, for libraries that open files themselves.

    What was written there takes the name `path` when the block ends without error. Missing parent
    folders are made; a symbolic link is followed, so the link itself stays. After any error the
    temporary file is gone and what stood at `path` is untouched. Raises SpecialeError where the
    system refuses: a full disk, no permission, a folder at `path`.
    """
    target = Path(os.path.realpath(path))
    # A random short name: writers of the same target never share it, and it always fits the
    # file system's limit on names.
    temp = target.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temp
        with open(temp, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temp, target)
        sync_folder(target.parent)
    except OSError as error:
        raise SpecialeError(_sentence(path, error)) from error
    except Exception as error:
        # safetensors reports a full disk as an error of its own, with the system's words in it.
        if found := _OS_ERROR.search(str(error)):
            code = int(found[1])
            raise SpecialeError(_sentence(path, OSError(code, os.strerror(code)))) from error
        raise
    finally:
        # After the rename there is none. Where its folder cannot be reached there is none either.
        with suppress(OSError):
            temp.unlink()


@contextmanager
def open_atomic(path: str | Path) -> Iterator[BinaryIO]:
    """Yields a binary, seekable file that takes the name `path`; otherwise as `atomic`."""
    with atomic(path) as temp, open(temp, "xb") as file:
        yield file


def write_atomic(path: str | Path, data: bytes | str) -> None:
    """Writes `data` (text as UTF-8) to `path`, whole or not at all. Errors as in `atomic`."""
    with open_atomic(path) as file:
        file.write(data.encode() if isinstance(data, str) else data)


def make_folder(path: Path) -> Path:
    """Creates a folder and its parents; SpecialeError says why it cannot."""
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def explained(path: str | Path) -> Iterator[None]:
    """Turns the system's refusal to write `path`, within the block, into a SpecialeError."""
    try:
        yield
    except OSError as error:
        raise SpecialeError(_sentence(path, error)) from error


def is_leftover(path: Path) -> bool:
    """Whether the name is that of a temporary file, which only a killed `atomic` leaves."""
    return _TEMPORARY.fullmatch(path.name) is not None


def sync_folder(folder: Path) -> None:
    """Makes the rename itself durable: the name lives in the folder, not in the file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sentence(path: str | Path, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"The disk or quota was full while writing {path}: free some space, "
            "or name a run folder on another disk, and run the command again."
        )
    return (
        f"Could not write {path} ({error.strerror or error}): "
        "check that its folder is one that you may write to."
    )
