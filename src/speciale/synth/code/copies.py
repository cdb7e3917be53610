"""Whether the sandbox has a copy of a repository's sources that an attempt could read.

A gate's question (no shortcut): a package that stands in site-packages, vendored or the system's,
gives the original of every bug in it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from speciale.sandbox import Limits, Sandbox, SandboxError
from speciale.synth.code.issues import squeezed
from speciale.tasks.synthesised.repository.tree import below

LIMITS = Limits(wall_s=120, cpu_s=120, disk_mb=512, output_kb=64 << 10)
PLACES = ("/python", "/usr/lib", "/usr/share", "/usr/local")
FILES, LINES, LEAST = 12, 7, 40  # files and lines that stand for a repository; a line's characters
# Lines of code: those of licences and of imports stand in many a file.
CODE = re.compile(
    r"(def|if|elif|return|for|while|with|raise|yield|assert|var|let|const|function|module|exports|"
    r"self|[a-z_.]+=)(?!__name__).*[(=]"
)

# All files of the languages' kinds that a command can read.
LIST = """
import os, sys
seen = set()
for root in sys.argv[1:]:
    for folder, folders, names in os.walk(root):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(folders)
        if real not in seen:
            for name in sorted(names):
                if name.endswith((".py", ".js", ".cjs", ".mjs")):
                    print(folder + "/" + name)
        seen.add(real)
"""
# Those of the paths that hold more than half of the texts that go with their name.
FIND = """
import json, sys
for path, groups in json.load(sys.stdin):
    try:
        with open(path, "rb") as file:
            data = b"".join(file.read(4 << 20).split()).decode("utf-8", "replace")
    except OSError:
        continue
    if any(sum(text in data for text in texts) * 2 > len(texts) for texts in groups):
        print(path)
"""
_listed: dict[tuple[str, ...], list[str]] = {}  # what a command can read does not change


def signature(tree: Mapping[str, bytes], sources: Iterable[str]) -> dict[str, list[str]]:
    """Lines that stand for a repository: the longest few of its largest source files, by path."""
    largest = sorted(sources, key=lambda path: (-len(tree[path]), path))[:FILES]
    found = {}
    for path in largest:
        lines = {squeezed(line) for line in tree[path].decode(errors="replace").split("\n")}
        lines = {line for line in lines if len(line) >= LEAST and CODE.match(line)}
        if len(lines) > 3:
            found[path] = sorted(lines, key=lambda line: (-len(line), line))[:LINES]
    return found


async def own_copies(
    texts: Mapping[str, list[str]],
    sandbox: Sandbox,
    dependencies: Mapping[str, bytes] | None = None,
) -> list[str]:
    """Paths of files in the sandbox that have the name of one of the paths and hold more than half
    of its texts (without white space); `dependencies` lie in /work. SandboxError where it cannot
    look."""
    roots = (*PLACES, sys.base_prefix)
    if roots not in _listed:
        said = await _asked(sandbox, ["python3", "-I", "-S", "-c", LIST, *roots])
        _listed[roots] = said.split("\n")[:-1]
    laid = below(dependencies or {}, "deps")
    groups: dict[str, list[list[str]]] = {}
    for path, lines in sorted(texts.items()):
        groups.setdefault(PurePosixPath(path).name, []).append(lines)
    paths = [*_listed[roots], *sorted(laid)]
    asked = [(path, groups[name]) for path in paths if (name := path.rsplit("/", 1)[-1]) in groups]
    if not asked:
        return []
    said = await _asked(sandbox, ["python3", "-I", "-S", "-c", FIND], json.dumps(asked), laid)
    return said.split("\n")[:-1][:20]


async def _asked(
    sandbox: Sandbox, words: list[str], stdin: str = "", files: Mapping[str, bytes] | None = None
) -> str:
    outcome = await sandbox.run(words, stdin=stdin.encode(), limits=LIMITS, files=files)
    if outcome.exit_code or outcome.stopped:
        said = outcome.stderr.decode(errors="replace")[-300:]
        raise SandboxError(f"the sandbox's packages cannot be looked through: {said}")
    return outcome.stdout.decode("utf-8", "surrogateescape")
