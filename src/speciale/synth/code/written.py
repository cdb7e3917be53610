"""Writes one task of the code agent: patches, issue, solution and verifier, out of its trees.

V3.2 report, 3.2.3, code agent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from speciale.synth.code.environments import Built
from speciale.synth.code.issues import (
    cleaned_message,
    issue_text,
    leak_finder,
    read_failure,
    told,
)
from speciale.tasks.synthesised.family import SOLUTION, VERIFY, TaskAbout, TaskFiles
from speciale.tasks.synthesised.repository.patch import Hunk, make_patch, read_patch
from speciale.tasks.synthesised.repository.runs import Run
from speciale.tasks.synthesised.repository.task import GOLD, TESTS
from speciale.tasks.synthesised.repository.tree import Tree

MOST_TOLD = 3  # failures in an issue

SOLVES = '''"""The gold patch, applied through the tools."""

PATCH = {patch}


def solve(tools):
{reads}
    tools.apply_patch(patch=PATCH)
    tools.run_tests({path})
    return {{"done": True}}
'''
VERIFIES = '''"""Tests that must pass now, and tests that must go on passing, by a run's results."""

FAIL_TO_PASS = {f2p}
PASS_TO_PASS = {p2p}


def verify(answer, results):
    """answer: the attempt's JSON. results: the id of each hidden test -> "passed", "failed",
    "error", "skipped" or "missing", from a run over the sources that the attempt left."""
    if not isinstance(answer, dict) or answer.get("done") is not True:
        return 'The answer is not {{"done": true}}.'
    if not isinstance(results, dict):
        return "There are no results of tests."
    for name in FAIL_TO_PASS:
        if results.get(name, "missing") != "passed":
            return f"{{name}} must pass, and is {{results.get(name, 'missing')}}."
    for name in PASS_TO_PASS:
        if results.get(name, "missing") != "passed":
            return f"{{name}} passed before, and is {{results.get(name, 'missing')}} now."
    return True
'''
ANSWER = {
    "type": "object", "properties": {"done": {"const": True}}, "required": ["done"],
    "additionalProperties": False,
}  # fmt: skip


@dataclass(frozen=True)
class Sides:
    """A task's trees: the family's `base`; `start`, as an attempt finds it; `gold`, the start with
    the right sources; `shown`, the start with the hidden tests. And its tests' ids."""

    base: Tree
    start: Tree
    gold: Tree
    shown: Tree
    f2p: tuple[str, ...]
    p2p: tuple[str, ...]
    start_name: str


def write_task(
    sides: Sides,
    failing: Run,
    built: Built,
    name: str,
    version: str,
    random: Random,
    *,
    pattern: str,
    level: int = 1,
    harder_than: str | None = None,
    said: str = "",
    commit: str = "",
) -> TaskFiles | None:
    """`failing`: the hidden tests over the start. `said`: a commit's message, for mined tasks. None
    where there is nothing to tell. PatchError for a binary file."""  # fmt: skip
    language = built.bench.language
    gold = make_patch(sides.start, sides.gold)
    tests = make_patch(sides.start, sides.shown)
    if not gold:
        return None
    hunks = read_patch(gold)
    leaks = leak_finder(changed_lines(hunks))
    failures = []
    for test in sides.f2p:
        text = failing.failures.get(test)
        if text and (one := read_failure(test, text, language.fixed, sides.shown)):
            failures.append(one)
    picked = told(failures, MOST_TOLD, leaks, random)
    if said:
        said = cleaned_message(said, leaks, sorted({hunk.path for hunk in hunks}))
    if not picked and not said:
        return None
    prompt = issue_text(picked, max(len(sides.f2p), 1), name, version, random, said)
    files = {
        sides.start_name: _encoded(make_patch(sides.base, sides.start)),
        GOLD: _encoded(gold),
        TESTS: _encoded(tests),
        SOLUTION: _solution(hunks, gold, sides, built).encode("utf-8", "backslashreplace"),
        VERIFY: VERIFIES.format(f2p=_listed(sides.f2p), p2p=_listed(sides.p2p)).encode(),
    }
    metadata = {
        "language": language.name,
        "f2p": list(sides.f2p),
        "p2p": list(sides.p2p),
        "command": language.command(["TEST_FILES"], built.setup.configured),
        **({"commit": commit} if commit else {}),
    }
    about = TaskAbout(
        prompt=prompt, level=level, answer_schema=ANSWER, harder_than=harder_than, pattern=pattern,
        metadata=metadata,
    )  # fmt: skip
    return TaskFiles(about, {path: data for path, data in files.items() if data})


def changed_lines(hunks: list[Hunk]) -> list[str]:
    """The lines that a patch puts in."""
    return [line for hunk in hunks for line in hunk.added]


def _solution(hunks: list[Hunk], gold: str, sides: Sides, built: Built) -> str:
    reads = [
        f"    tools.read_file(path={path!r})"
        for path in dict.fromkeys(hunk.path for hunk in hunks)
        if path in sides.start
    ]
    affected = [test.split("::")[0] for test in sides.f2p]
    seen = [path for path in affected if path in sides.start and built.bench.language.is_test(path)]
    path = f"path={seen[0]!r}" if seen else ""
    return SOLVES.format(patch=_text(gold), reads="\n".join(reads) or "    pass", path=path)


def _text(patch: str) -> str:
    """A patch as a Python literal of one line of source for each of its own."""
    lines = [json.dumps(line, ensure_ascii=True) for line in patch.splitlines(keepends=True)]
    return "(\n" + "".join(f"    {line}\n" for line in lines) + ")"


def _listed(names: tuple[str, ...]) -> str:
    return "[" + "".join(f"\n    {name!r}," for name in names) + ("\n]" if names else "]")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
