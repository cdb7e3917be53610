"""A repository's files in memory: packed into bytes that are the same everywhere, laid, read back.

V3.2 report, 3.2.3, code agent: a task's start state is one such tree with patches on it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping

from speciale.errors import DataError
from speciale.sandbox import Limits, SandboxError, Session, limit_named

Tree = dict[str, bytes]  # path below the repository's root -> content

MOST_FILES, MOST_BYTES = 20_000, 64 << 20

# Walks a folder and writes the regular files to stdout as a tar; links are left out, not followed.
READ_BACK = """
import os, stat, sys, tarfile
root, out = sys.argv[1], tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
for folder, folders, names in os.walk(root):
    folders[:] = sorted(f for f in folders if f not in (".git", "__pycache__", "node_modules"))
    for name in sorted(names):
        path = os.path.join(folder, name)
        if stat.S_ISREG(os.lstat(path).st_mode) and not name.endswith(".pyc"):
            out.add(path, os.path.relpath(path, root), recursive=False)
out.close()
"""


def pack(tree: Mapping[str, bytes]) -> bytes:
    """A tar.gz whose bytes depend on paths and contents alone: sorted, no times, no owners."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(tree):
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(tree[path]), 0o644
            archive.addfile(member, io.BytesIO(tree[path]))
    return gzip.compress(plain.getvalue(), 6, mtime=0)


def unpack(data: bytes, strip: int = 0) -> Tree:
    """The regular files of a tar or tar.gz, without their first `strip` folders.

    DataError where it is none, has a path that leads out, or is larger than a repository may be.
    """
    tree: Tree = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
            for member in archive:
                parts = member.name.split("/")
                parts = [part for part in parts if part not in ("", ".")][strip:]
                if not member.isreg() or not parts:
                    continue
                if ".." in parts or member.name.startswith("/") or "\\" in member.name:
                    raise DataError(f"the archive has a path that leads out: {member.name!r:.100}")
                total += member.size
                if total > MOST_BYTES or len(tree) >= MOST_FILES:
                    raise DataError(
                        f"the archive is no small repository: it has more than {MOST_FILES:,} "
                        f"files or {MOST_BYTES:,} bytes"
                    )
                file = archive.extractfile(member)
                tree["/".join(parts)] = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise DataError(f"the archive cannot be read: {error}") from None
    return tree


def digest(tree: Mapping[str, bytes]) -> str:
    """A stamp of all paths and contents."""
    total = hashlib.sha256()
    for path in sorted(tree):
        total.update(f"{len(path)} {path} {len(tree[path])} ".encode("utf-8", "surrogatepass"))
        total.update(tree[path])
    return total.hexdigest()


def below(tree: Mapping[str, bytes], folder: str) -> Tree:
    """The same files in a folder."""
    return {f"{folder}/{path}": data for path, data in tree.items()}


async def read_back(session: Session, folder: str, limits: Limits) -> Tree:
    """The regular files that a session holds below a folder of /work, and no link. DataError where
    they are too many or cannot be read."""
    try:
        outcome = await session.run(["python3", "-I", "-S", "-c", READ_BACK, folder], limits=limits)
    except SandboxError as error:
        raise DataError(f"the attempt's files cannot be read: {error}") from None
    if outcome.stopped:
        limit = limit_named(outcome.stopped, limits)
        raise DataError(f"the attempt's files go beyond the limit on {limit}")
    if outcome.exit_code:
        said = outcome.stderr.decode(errors="replace")[-300:]
        raise DataError(f"the attempt's files cannot be read: {said}")
    return unpack(outcome.stdout)
