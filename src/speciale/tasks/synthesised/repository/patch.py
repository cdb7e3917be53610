"""Unified diffs between trees of files: made, taken apart into hunks, applied.

Ours and not git's, so that a patch applies the same with no program installed; binary files have
no patches. Text is UTF-8, with bytes that are not kept as they are.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from speciale.tasks.synthesised.repository.tree import Tree

NONE = "/dev/null"
NO_END = "\\ No newline at end of file"
_HEAD = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class PatchError(ValueError):
    """The text is no patch, or does not fit the files."""


@dataclass(frozen=True)
class Hunk:
    """One change: `old` and `new` are whole lines with their ends, context included."""

    path: str
    line: int  # of the old file, from 1; 0 where it is empty
    old: tuple[str, ...]
    new: tuple[str, ...]
    creates: bool = False
    deletes: bool = False

    @property
    def removed(self) -> list[str]:
        return [line for sign, line in _signed(self) if sign == "-"]

    @property
    def added(self) -> list[str]:
        return [line for sign, line in _signed(self) if sign == "+"]

    def reversed(self) -> Hunk:
        """The hunk that takes this one back. Its line is that of the old file: others of the same
        file may shift it."""
        return replace(self, old=self.new, new=self.old, creates=self.deletes, deletes=self.creates)


def make_patch(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> str:
    """The diff from one tree to another. PatchError names a binary file that changed."""
    parts: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        for data in (old, new):
            if data is not None and b"\0" in data:
                raise PatchError(f"{path} is a binary file")
        parts += [
            f"--- {NONE if old is None else 'a/' + path}\n",
            f"+++ {NONE if new is None else 'b/' + path}\n",
        ]
        matcher = difflib.SequenceMatcher(None, _lines(old), _lines(new), autojunk=False)
        for group in matcher.get_grouped_opcodes(3):
            parts.append(_hunk_text(_lines(old), _lines(new), group))
    return "".join(parts)


def read_patch(text: str) -> list[Hunk]:
    """The hunks of a unified diff; lines of git's such as "diff --git" are passed over."""
    hunks: list[Hunk] = []
    lines = _split(text)
    at, old_path, new_path = 0, "", ""
    while at < len(lines):
        line = lines[at].rstrip("\n")
        if line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            old_path, new_path = _path(line), _path(lines[at + 1].rstrip("\n"))
            at += 2
            if at == len(lines) or not lines[at].startswith("@@"):  # an empty file
                hunks.append(_empty(old_path, new_path))
        elif line.startswith("@@"):
            if not old_path or not new_path:
                raise PatchError(f"line {at + 1}: a hunk comes before the names of its file")
            hunk, at = _read_hunk(lines, at, old_path, new_path)
            hunks.append(hunk)
        else:
            at += 1
    if not hunks:
        raise PatchError("it has no hunk: give a unified diff with lines '--- a/PATH', '+++ b/PATH'"
                         " and '@@ -1,3 +1,3 @@'")  # fmt: skip
    return hunks


def write_patch(hunks: Iterable[Hunk]) -> str:
    """The text of some hunks; those of a file stand together."""
    parts, last, shift = [], None, 0
    for hunk in hunks:
        if hunk.path != last:
            parts.append(f"--- {NONE if hunk.creates else 'a/' + hunk.path}\n")
            parts.append(f"+++ {NONE if hunk.deletes else 'b/' + hunk.path}\n")
            last, shift = hunk.path, 0
        if not hunk.old and not hunk.new:
            continue
        start = hunk.line + shift
        parts.append(
            f"@@ -{hunk.line},{len(hunk.old)} +{max(start, 1) if hunk.new else 0},"
            f"{len(hunk.new)} @@\n"
        )
        parts += [_marked(sign, line) for sign, line in _signed(hunk)]
        shift += len(hunk.new) - len(hunk.old)
    return "".join(parts)


def apply_patch(tree: Mapping[str, bytes], patch: str | Iterable[Hunk]) -> Tree:
    """The tree with a patch on it, and `tree` as it was. A hunk may stand some lines off, but its
    context and removed lines must be there exactly. PatchError says which hunk does not fit."""
    hunks = read_patch(patch) if isinstance(patch, str) else list(patch)
    result = dict(tree)
    shifts: dict[str, int] = {}
    for number, hunk in enumerate(hunks, 1):
        if hunk.path.startswith("/") or ".." in hunk.path.split("/") or not hunk.path:
            raise PatchError(f"hunk {number}: {hunk.path!r} is no path below the repository")
        if hunk.creates:
            if hunk.path in result:
                raise PatchError(f"hunk {number}: {hunk.path} is to be made, but it is there")
            result[hunk.path] = _bytes("".join(hunk.new))
            continue
        if hunk.path not in result:
            raise PatchError(f"hunk {number}: there is no file {hunk.path}")
        lines = _lines(result[hunk.path])
        at = _place(lines, hunk, shifts.get(hunk.path, 0))
        if at is None:
            raise PatchError(
                f"hunk {number}: the lines that it changes are not in {hunk.path} "
                f"(near line {hunk.line})"
            )
        shifts[hunk.path] = at - max(hunk.line - 1, 0) + len(hunk.new) - len(hunk.old)
        lines[at : at + len(hunk.old)] = hunk.new
        if hunk.deletes and not lines:
            del result[hunk.path]
        else:
            result[hunk.path] = _bytes("".join(lines))
    return result


def _place(lines: list[str], hunk: Hunk, shift: int) -> int | None:
    """Where its old lines stand, the nearest to where it says."""
    wanted = max(hunk.line - 1, 0) + shift
    if not hunk.old:  # only adds: without context there is one place
        wanted = hunk.line + shift
        return wanted if 0 <= wanted <= len(lines) else None
    size, old = len(hunk.old), list(hunk.old)
    for off in range(len(lines) + 1):
        for at in dict.fromkeys((wanted - off, wanted + off)):
            if 0 <= at <= len(lines) - size and lines[at : at + size] == old:
                return at
    return None


def _read_hunk(lines: list[str], at: int, old_path: str, new_path: str) -> tuple[Hunk, int]:
    head = _HEAD.match(lines[at])
    if not head:
        raise PatchError(f"line {at + 1} is no head of a hunk: {lines[at].strip()!r:.80}")
    first = at + 1
    wants = [int(head[2] or 1), int(head[4] or 1)]
    old: list[str] = []
    new: list[str] = []
    at += 1
    while at < len(lines) and (len(old) < wants[0] or len(new) < wants[1]):
        line = lines[at]
        sign, rest = line[:1], line[1:]
        if sign == "\\":
            at += 1
            continue
        if sign in ("\n", ""):  # an editor took the space of an empty context line away
            sign, rest = " ", "\n"
        if sign not in " -+":
            raise PatchError(f"line {at + 1}: a hunk's lines begin with ' ', '-' or '+'")
        at += 1
        if at < len(lines) and lines[at].startswith("\\"):
            rest = rest.removesuffix("\n")
            at += 1
        elif not rest.endswith("\n"):
            rest += "\n"
        if sign in " -":
            old.append(rest)
        if sign in " +":
            new.append(rest)
    if (len(old), len(new)) != tuple(wants):
        raise PatchError(
            f"the hunk at line {first} has {len(old)} old and {len(new)} new lines, "
            f"and its head says {wants[0]} and {wants[1]}"
        )
    empty = _empty(old_path, new_path)
    return replace(empty, line=int(head[1]), old=tuple(old), new=tuple(new)), at


def _empty(old_path: str, new_path: str) -> Hunk:
    path = new_path if old_path == NONE else old_path
    return Hunk(path, 0, (), (), creates=old_path == NONE, deletes=new_path == NONE)


def _hunk_text(old: list[str], new: list[str], group: list[tuple]) -> str:
    first, last = group[0], group[-1]
    sizes = (last[2] - first[1], last[4] - first[3])
    starts = (first[1] + (sizes[0] > 0), first[3] + (sizes[1] > 0))
    parts = [f"@@ -{starts[0]},{sizes[0]} +{starts[1]},{sizes[1]} @@\n"]
    for kind, i1, i2, j1, j2 in group:
        if kind == "equal":
            parts += [_marked(" ", line) for line in old[i1:i2]]
            continue
        parts += [_marked("-", line) for line in old[i1:i2]]
        parts += [_marked("+", line) for line in new[j1:j2]]
    return "".join(parts)


def _signed(hunk: Hunk) -> list[tuple[str, str]]:
    matcher = difflib.SequenceMatcher(None, hunk.old, hunk.new, autojunk=False)
    signed: list[tuple[str, str]] = []
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            signed += [(" ", line) for line in hunk.old[i1:i2]]
            continue
        signed += [("-", line) for line in hunk.old[i1:i2]]
        signed += [("+", line) for line in hunk.new[j1:j2]]
    return signed


def _marked(sign: str, line: str) -> str:
    return f"{sign}{line}" if line.endswith("\n") else f"{sign}{line}\n{NO_END}\n"


def _path(line: str) -> str:
    name = line[4:].split("\t")[0].strip()
    if name == NONE:
        return NONE
    return name[2:] if name[:2] in ("a/", "b/") else name


def _lines(data: bytes | None) -> list[str]:
    return _split((data or b"").decode("utf-8", "surrogateescape"))


def _split(text: str) -> list[str]:
    """At newlines alone: str.splitlines knows more ends of lines than files do."""
    lines = [line + "\n" for line in text.split("\n")]
    last = lines.pop().removesuffix("\n")
    return [*lines, last] if last else lines


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
