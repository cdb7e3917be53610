"""Tiny repositories for tests of the code agent, and a git history of one."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from speciale.synth.code.gates import judge_code
from speciale.tasks.synthesised.family import Family

SOURCE = """def mean(values):
    \"\"\"The mean.\"\"\"
    return sum(values) / len(values)


def clamp(value, low, high):
    if value < low:
        return low
    return min(value, high)


def spread(values):
    if not values:
        return 0
    return max(values) - min(values)


def initials(name):
    return "".join(part[0] for part in name.upper().split())


def above(values, least):
    return sorted(value for value in values if value > least)
"""
TESTS = "import small\n\n" + "\n".join(
    f"\ndef test_clamp_{n}():\n    assert small.clamp({n}, 2, 7) == {min(max(n, 2), 7)}\n"
    for n in range(8)
)
TESTS += """

def test_mean():
    assert small.mean([1, 2, 3]) == 2


def test_spread():
    values = [3, 9, 4]
    assert small.spread(values) == 6


def test_spread_of_nothing():
    assert small.spread([]) == 0


def test_initials():
    assert small.initials("ada lovelace") == "AL"


def test_above():
    assert small.above([5, 1, 4, 3], 3) == [4, 5]
"""
PYTHON = {"small/__init__.py": SOURCE.encode(), "tests/test_small.py": TESTS.encode()}
JAVASCRIPT = {
    "package.json": b'{"name": "small", "version": "1.0.0", "main": "index.js"}\n',
    "index.js": b"exports.clamp = function clamp(value, low, high) {\n"
    b"  if (value < low) { return low; }\n  return Math.min(value, high);\n};\n"
    b"exports.spread = function spread(values) {\n  if (values.length === 0) { return 0; }\n"
    b"  return Math.max(...values) - Math.min(...values);\n};\n"
    b"exports.name = function name(text) {\n  return text.trim().toLowerCase();\n};\n",
    "test/clamp.test.js": (
        "const test = require('node:test');\nconst assert = require('node:assert');\n"
        "const { clamp, spread, name } = require('..');\n"
        "test('spread', () => { assert.strictEqual(spread([3, 9, 4]), 6); });\n"
        "test('nothing', () => { assert.strictEqual(spread([]), 0); });\n"
        "test('name', () => { assert.strictEqual(name(' A '), 'a'); });\n"
        + "".join(
            f"test('clamps {n}', () => {{ assert.strictEqual(clamp({n}, 2, 7), "
            f"{min(max(n, 2), 7)}); }});\n"
            for n in range(12)
        )
    ).encode(),
    "test/plain.js": b"require('assert').strictEqual(require('..').clamp(1, 2, 3), 2);\n",
}

FIXED = SOURCE.replace(
    "    return sum(values) / len(values)",
    "    values = list(values)\n    if not values:\n        return None\n"
    "    return sum(values) / len(values)",
)
MORE_TESTS = """

def test_mean_of_nothing():
    assert small.mean([]) is None


def test_mean_of_an_iterator():
    assert small.mean(iter([1, 2, 3])) == 2
"""


def refusal(family: Family, number: str = "000"):
    """The first gate that a task does not pass, and why; or None, and all gates' numbers."""
    gates = asyncio.run(judge_code(family, number))
    bad = [gate for gate in gates if not gate.passed]
    return (bad[0].number, bad[0].reason) if bad else (None, [gate.number for gate in gates])


def lay(folder: Path, tree: dict[str, bytes]) -> None:
    for path, data in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def history(folder: Path) -> Path:
    """A repository of two commits: the second mends `mean` and tests it."""
    folder.mkdir()
    _git(folder, "init", "-q")
    lay(folder, PYTHON)
    _commit(folder, "Start")
    changed = {
        "small/__init__.py": FIXED.encode(),
        "tests/test_small.py": (TESTS + MORE_TESTS).encode(),
    }
    lay(folder, changed)
    _commit(folder, "The mean of nothing fails (#3)\n\nNone is what callers want.\n")
    lay(folder, {"README": b"Small.\n"})
    _commit(folder, "Say what it is")
    return folder


def _commit(folder: Path, message: str) -> None:
    _git(folder, "add", "-A")
    _git(folder, "commit", "-q", "-m", message)


def _git(folder: Path, *words: str) -> None:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", "A"), ("EMAIL", "a@b.c"), ("DATE", "2024-01-01T00:00:00Z"))}  # fmt: skip
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", "-C", str(folder), *words], check=True, env=environment)
