"""Text in and out of the commands, in UTF-8 whatever the terminal says."""

from __future__ import annotations

import sys
from pathlib import Path

from speciale.errors import DataError


def read_text(file: Path) -> str:
    """The text of a file, or of standard input for `-`; DataError where there is none."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}): give a text file") from error
    except UnicodeDecodeError as error:
        name = "standard input" if str(file) == "-" else file
        raise DataError(
            f"{name} is no UTF-8 text ({error.reason} at byte {error.start}): convert it first"
        ) from error


def write_text(text: str) -> None:
    """On standard output, as it is; half a surrogate pair has no bytes in UTF-8."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(errors="replace"))
    sys.stdout.buffer.flush()
