"""Commits of a local git history that change sources and tests: the state before, and both parts.

V3.2 report, 3.2.3, code agent: issue and fix out of real repositories. Only objects of the history
are read; nothing is checked out and no hook runs.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from speciale.errors import ConfigError, DataError
from speciale.synth.code.environments import cleaned
from speciale.tasks.synthesised.repository.languages import LANGUAGES
from speciale.tasks.synthesised.repository.tree import MOST_BYTES, MOST_FILES, Tree

GIT_S = 120
MOST_COMMITS = 5000
PER_FAMILY = 8
MOST_CHANGED = 12  # source files of one commit


@dataclass(frozen=True)
class Commit:
    """`before` and `after` are whole trees; `message` is the author's."""

    hash: str
    message: str
    before: Tree
    after: Tree


def candidates(repository: Path) -> list[str]:
    """Hashes of commits that change sources and tests of one language, the newest first.
    ConfigError where the folder has no history."""
    out = _git(repository, "log", "--no-merges", "--no-renames", f"-n{MOST_COMMITS}",
               "--format=%x01%H %P", "--name-only", "-z").decode(errors="replace")  # fmt: skip
    found = []
    for record in out.split("\x01")[1:]:
        head, _, rest = record.replace("\n", "\0").partition("\0")
        hashes, paths = head.split(), [path for path in rest.split("\0") if path]
        if len(hashes) != 2:  # the first commit has nothing before it
            continue
        for language in LANGUAGES.values():
            tests = [path for path in paths if language.is_test(path)]
            sources = [p for p in paths if p.endswith(language.sources) and not language.fixed(p)]
            if tests and 0 < len(sources) <= MOST_CHANGED:
                found.append(hashes[0])
                break
    return found


def families(repository: Path, seed: int) -> Iterator[list[str]]:
    """The candidates in groups of one family each; `seed` says where the groups begin."""
    found = candidates(repository)
    first = seed % PER_FAMILY
    cuts = [0, *range(first or PER_FAMILY, len(found), PER_FAMILY), len(found)]
    for start, end in pairwise(cuts):
        if start < end:
            yield found[start:end]


def read_commit(repository: Path, commit: str) -> Commit:
    """DataError where it is no commit with a parent, or its tree is larger than a repository may
    be."""
    text = _git(repository, "show", "-s", "--format=%P%x00%B", commit).decode(errors="replace")
    parents, _, message = text.partition("\0")
    if len(parents.split()) != 1:
        raise DataError(f"commit {commit} of {repository} has no single parent")
    before, after = read_tree(repository, parents.strip()), read_tree(repository, commit)
    return Commit(commit, message, before, after)


def read_tree(repository: Path, commit: str) -> Tree:
    """The text files of a commit; links, submodules and binary files have no patches."""
    listed = _git(repository, "ls-tree", "-r", "-z", "-l", commit).decode(
        "utf-8", "surrogateescape"
    )
    wanted: list[tuple[str, str]] = []
    total = 0
    for row in listed.split("\0")[:-1]:
        about, _, path = row.partition("\t")
        mode, kind, name, size = about.split()
        if kind == "blob" and mode in ("100644", "100755"):
            total += int(size)
            wanted.append((path, name))
    if total > MOST_BYTES or len(wanted) > MOST_FILES:
        raise DataError(
            f"{repository} is no small repository: it has {len(wanted):,} files and {total:,} bytes"
        )
    said = _git(
        repository, "cat-file", "--batch", stdin="\n".join(name for _, name in wanted) + "\n"
    )
    tree, at = {}, 0
    for path, _ in wanted:
        end = said.index(b"\n", at)
        size = int(said[at:end].split()[2])
        data = said[end + 1 : end + 1 + size]
        at = end + size + 2
        if b"\0" not in data and "\udc80" <= max(path, default="") <= "\udcff":
            continue  # a name that is no UTF-8
        if b"\0" not in data:
            tree[path] = data
    return cleaned(tree)


def name_of(repository: Path) -> str:
    """For the ids of families: the folder's name, and a stamp of where its history begins."""
    first = _git(repository, "rev-list", "--max-parents=0", "HEAD").split()[-1].decode()
    plain = "".join(c if c.isalnum() and c.isascii() else "-" for c in repository.resolve().name)
    stamp = hashlib.sha256(first.encode()).hexdigest()[:6]
    return f"{plain.lower().strip('-')[:40] or 'repository'}-{stamp}"


def _git(repository: Path, *words: str, stdin: str | None = None) -> bytes:
    line = ["git", "-C", str(repository), "--no-pager", "-c", "core.fsmonitor=false",
            "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false", *words]  # fmt: skip
    try:
        done = subprocess.run(
            line, input=None if stdin is None else stdin.encode(), capture_output=True,
            timeout=GIT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"git cannot be run on {repository}: {error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigError(f"{repository} has no history to read: {(said or ['no output'])[-1]}")
    return done.stdout
