"""Files that are whole or absent: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speciale.errors import SpecialeError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path to write to; it becomes `path` only if the block succeeds.

    Raises SpecialeError for a full or unwritable disk; the old file, if any, is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if _is_disk_full(error):
            raise SpecialeError(
                f"no space left while writing {path}: free some disk space or choose another "
                "folder, then run the same command again; what was written before is intact"
            ) from error
        if isinstance(error, PermissionError):
            raise SpecialeError(f"{path} cannot be written ({error}): choose another folder") from (
                error
            )
        raise


def write_atomic(path: Path, data: str | bytes) -> None:
    """Writes a whole small file by way of `atomic`."""
    with atomic(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def make_folder(path: Path) -> Path:
    """Creates a folder and its parents; SpecialeError says why it cannot."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecialeError(f"folder {path} cannot be created ({error.strerror})") from error
    return path


def _is_disk_full(error: BaseException) -> bool:
    """ENOSPC, also where a library reports it only in words (safetensors does)."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
    return "No space left" in str(error) or "os error 28" in str(error)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
