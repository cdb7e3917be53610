"""Runs inside the sandbox: one request about files on stdin, its result on stdout, both JSON.

It has the rights that generated code has, so a link that such code left leads nowhere that the code
could not go itself; paths beyond the working folder are refused all the same. This file is given to
the sandbox's Python as text: it imports nothing of this package, and little else, since each call
starts a Python.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Iterator

MOST = 30_000  # characters of a result
LINES = 400
MOST_BYTES = 64 << 20  # of a file that is searched or edited
MOST_LINE = 2000  # characters of a line that is shown
ENTRIES = 500
MATCHES = 100

ROOT = os.path.realpath(os.getcwd())


class Refused(Exception):
    """Its text is the result."""


def read_file(path: str, start_line: int, lines: int) -> str:
    shown, size, total = [], 0, 0
    for total, line in enumerate(_lines(_text(path)), 1):
        if total < start_line or len(shown) == lines or size > MOST:
            continue
        if len(line) > MOST_LINE:
            cut = len(line) - MOST_LINE
            line = f"{line[:MOST_LINE]}[… {cut:,} characters of this line left out …]\n"
        if size + len(line) <= MOST:
            shown.append(line)
        size += len(line)
    if not total:
        return f"{path} is empty"
    if start_line > total:
        raise Refused(f"{path} has {total} lines: there is no line {start_line}")
    end = start_line + len(shown) - 1
    rest = f"; go on with start_line={end + 1}" if end < total else ""
    return f"[{path}, lines {start_line} to {end} of {total}{rest}]\n{''.join(shown)}"


def write_file(path: str, content: str) -> str:
    target = _target(path)
    if os.path.isdir(target):
        raise Refused(f"{path} is a folder: name a file")
    before = os.path.exists(target)
    _write(target, content.encode())
    return f"{'replaced' if before else 'wrote'} {path}: {len(content.encode()):,} bytes"


def edit_file(path: str, old: str, new: str) -> str:
    text = _text(path)
    if not old:
        raise Refused("old is empty: give the text that is to be replaced, or use write_file")
    found = text.count(old)
    if not found:
        hint = ""
        if _pressed(old) in _pressed(text):
            hint = ": it differs in spaces or ends of lines"
        raise Refused(f"old is not in {path}{hint}; nothing was changed")
    if found > 1:
        raise Refused(
            f"old is {found} times in {path}: give more of its surroundings; nothing was changed"
        )
    _write(_target(path), text.replace(old, new).encode())
    return f"edited {path} at line {text[: text.index(old)].count(chr(10)) + 1}"


def list_files(path: str) -> str:
    lines, more = [], 0
    for name, about in _walk(path):
        if len(lines) == ENTRIES:
            more += 1
        elif stat.S_ISLNK(about.st_mode):
            lines.append(f"{name} (a link)")
        elif stat.S_ISDIR(about.st_mode):
            lines.append(f"{name}/")
        else:
            lines.append(f"{name} ({about.st_size:,} bytes)")
    if more:
        lines.append(f"… and {more:,} more: list a folder of those above")
    return "\n".join(lines) or f"{path} holds nothing"


def find_in_files(pattern: str, path: str) -> str:
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise Refused(f"the pattern is no regular expression ({error})") from error
    lines, more, skipped = [], 0, 0
    for name, about in _walk(path):
        if not stat.S_ISREG(about.st_mode):
            continue
        try:
            text = _text(name)
        except (OSError, Refused):
            skipped += 1
            continue
        for number, line in enumerate(_lines(text), 1):
            if not wanted.search(line):
                continue
            if len(lines) == MATCHES:
                more += 1
                continue
            line = line.rstrip("\r\n")
            lines.append(f"{name}:{number}: {line[:300]}{'…' if len(line) > 300 else ''}")
    if more:
        lines.append(f"… and {more:,} more lines")
    if skipped:
        lines.append(f"(not searched, since no text or too large: {skipped} of the files)")
    return "\n".join(lines) or "no line matches"


def _target(path: str) -> str:
    if "\0" in path:
        raise Refused("the path holds a NUL character")
    # Without a jail the folder is called otherwise.
    inner = path.removeprefix("/work").lstrip("/") if f"{path}/".startswith("/work/") else path
    target = os.path.realpath(os.path.join(ROOT, inner))
    if target != ROOT and not target.startswith(ROOT + os.sep):
        raise Refused(f"{path} is outside of /work: use a path in it")
    return target


def _text(path: str) -> str:
    target = _target(path)
    if os.path.isdir(target):
        raise Refused(f"{path} is a folder: use list_files")
    # A pipe would be waited for.
    with open(target, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as f:
        if not stat.S_ISREG(os.fstat(f.fileno()).st_mode):
            raise Refused(f"{path} is no regular file")
        data = f.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Refused(f"{path} is larger than {MOST_BYTES >> 20} MB")
    try:
        if b"\0" not in data:
            return data.decode()
    except UnicodeDecodeError:
        pass
    raise Refused(f"{path} is binary ({len(data):,} bytes), not UTF-8 text")


def _write(target: str, data: bytes) -> None:
    """Whole or not at all, as on a full disk. The file's mode stays."""
    folder = os.path.dirname(target)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        if os.path.exists(target):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except OSError:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _walk(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder, or the file itself, as paths from the root; links stay links."""
    target = _target(path)
    about = os.lstat(target)
    if not stat.S_ISDIR(about.st_mode):
        yield os.path.relpath(target, ROOT), about
        return
    for folder, folders, files in os.walk(target):
        folders.sort()
        for name in sorted((*folders, *files)):
            full = os.path.join(folder, name)
            yield os.path.relpath(full, ROOT), os.lstat(full)


def _lines(text: str) -> list[str]:
    """As editors and grep count them: a form feed ends no line."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _pressed(text: str) -> str:
    return "".join(text.split())


def answer(request: dict) -> dict:
    functions = (read_file, write_file, edit_file, list_files, find_in_files)
    named = {function.__name__: function for function in functions}
    try:
        return {"text": named[request["name"]](**request["arguments"]), "error": False}
    except Refused as refused:
        return {"text": str(refused), "error": True}
    except FileNotFoundError:
        return {"text": f"there is no {request['arguments']['path']}", "error": True}
    except (FileExistsError, NotADirectoryError):
        return {"text": f"{request['arguments']['path']}: a file is in its way", "error": True}
    except OSError as error:
        return {"text": f"{request['arguments']['path']}: {error.strerror}", "error": True}


def main() -> None:
    # Names of files need not be UTF-8.
    said = json.dumps(answer(json.load(sys.stdin)), ensure_ascii=True)
    sys.stdout.write(said)


if __name__ == "__main__":
    main()
