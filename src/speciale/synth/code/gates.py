"""Gates 1 to 6 and 8 for a task of the code agent; the seventh is the store's.

V3.2 report, 3.2.3, code agent: kept only where the gold patch turns failing tests to pass (F2P > 0)
and breaks none (P2F = 0). Evidence holds no times: the same family is judged alike.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.synth.code.attempts import Calls, differ, hacked
from speciale.synth.code.copies import own_copies
from speciale.synth.code.faults import edits_of, sources_of
from speciale.synth.code.issues import leak_finder, squeezed
from speciale.synth.code.policy import ATTEMPTS, POLICY, attempted, choices
from speciale.synth.code.written import changed_lines
from speciale.synth.gates.gate import Gate, one_by_one
from speciale.synth.gates.static import NOT_TOOLS, findings
from speciale.tasks.synthesised.family import SOLUTION, VERIFY, Family
from speciale.tasks.synthesised.processes import Broke, Roleplayer, roleplayer
from speciale.tasks.synthesised.repository.patch import PatchError, apply_patch
from speciale.tasks.synthesised.repository.runs import DEPS, REPO, SETUP, Bench, Run, bench_of
from speciale.tasks.synthesised.repository.task import (
    Repair,
    accepts,
    open_repository,
    repair_of,
    verifier_of,
)
from speciale.tasks.synthesised.repository.tree import Tree, digest
from speciale.tasks.synthesised.world import run_solution

RUNS = 3  # each under another hash seed
DONE = {"done": True}
LEFT_OUT, MOST_LEFT_OUT = 3, 16  # hunks left out one at a time: these, and more until one matters
NEEDLESS = "accepted: no test needs it"
MOST_OTHERS = 3  # tasks whose bug is put in
FEWEST_CALLS = 2


@dataclass
class _Bench:
    """What the tasks of a family share: runs that were made, and what is in the sandbox."""

    base: Tree
    bench: Bench
    places: int = -1
    copies: dict[str, list[str]] = field(default_factory=dict)


_benches: dict[tuple, _Bench] = {}  # of the last families


async def judge_code(family: Family, number: str, sandbox: Sandbox | None = None) -> list[Gate]:
    """Those after one that did not pass are missing. What is wrong with the family's files is a
    gate that did not pass; SandboxError is for a sandbox that cannot be had."""
    try:
        shared = _bench_of(family, sandbox)
        repair = repair_of(family, number, shared.base, shared.bench)
        judge = _Judge(family, number, shared, repair)
        if gate := judge.static():
            return [gate]
        async with verifier_of(family, number, sandbox) as judge.verifier:
            return await judge.gates()
    except (DataError, PatchError, Broke) as error:
        return [Gate(1, False, {}, f"It cannot be run: {error}.")]


def _bench_of(family: Family, sandbox: Sandbox | None) -> _Bench:
    parts = [hashlib.sha256(family.files.get(path, b"")).digest() for path in (REPO, DEPS, SETUP)]
    key = (*parts, id(sandbox))
    if key not in _benches:
        while len(_benches) > 1:
            _benches.pop(next(iter(_benches)))
        _benches[key] = _Bench(*bench_of(family.files, sandbox))
    return _benches[key]


class _Judge:
    verifier: Roleplayer

    def __init__(self, family: Family, number: str, shared: _Bench, repair: Repair) -> None:
        self._family, self._number, self._shared, self._repair = family, number, shared, repair
        self._task = family.tasks[number]
        self._bench = repair.bench
        self._gold = apply_patch(repair.start, repair.gold)
        self._found: list[str] = []
        self._start_run = self._gold_run = Run()
        self._f2p: list[str] = []
        self._p2p: list[str] = []

    async def gates(self) -> list[Gate]:
        steps = (
            self._runs, self._tools_only, self._accepts, self._rejects, self._no_shortcut,
            self._difficulty, self._pass_rate,
        )  # fmt: skip
        return await one_by_one(steps)

    def static(self) -> Gate | None:
        """Gate 1 or 2 where the code of a task cannot be let run. A patch is a text that may well
        name what a solution must not use."""
        for name, needs in ((VERIFY, "verify"), (SOLUTION, "solve")):
            try:
                text = self._task.files[name].decode()
            except (KeyError, UnicodeDecodeError) as error:
                return Gate(1, False, {}, f"{name} cannot be read: {error}.")
            found = findings(text, database=False, needs=needs)
            found = [each for each in found if not each.what.startswith("the text ")]
            bad = [each for each in found if name == VERIFY or each.kind not in NOT_TOOLS]
            if bad:
                why = f"It cannot be let run: {name}, {bad[0]}."
                return Gate(1, False, {"found": list(map(str, bad[:20]))}, why)
            self._found = list(map(str, found)) if name == SOLUTION else []
        return None

    # --- one gate a method ------------------------------------------------------------------------

    async def _runs(self) -> Gate:
        """The start state and the gold patch, each three times; of the start, after the first, the
        files with tests that fail in it."""
        hidden = self._repair.final(self._repair.start)
        self._start_run = await self._bench.run(hidden)
        self._gold_run = await self._repair.judge(self._gold)
        for run, what in ((self._gold_run, "gold patch"), (self._start_run, "start state")):
            if run.trouble:
                why = f"The tests do not run over the {what}: {run.trouble}."
                return Gate(1, False, {"said": run.said[-600:]}, why)
        files = self._files(self._gold_run.passed - self._start_run.passed)
        differing = set()
        for seed in range(1, RUNS):
            gold = await self._repair.judge(self._gold, seed)
            start = await self._bench.run(hidden, files or None, seed)
            differing |= differ(self._gold_run, gold, None)
            differing |= differ(self._start_run, start, files or None)
        # Tests that are not judged may be as they like.
        judged = set(self._listed("f2p")) | set(self._listed("p2p"))
        evidence = {
            "runs": RUNS, "tests": len(self._gold_run.results), "network": "none",
            "limits": vars(self._bench.limits), "differing": sorted(differing)[:20],
        }  # fmt: skip
        if flaky := sorted(differing & judged if judged else differing):
            why = f"Three runs, under other hash seeds, differ: {flaky[0]}."
            return Gate(1, False, evidence, why)
        return Gate(1, True, evidence)

    async def _tools_only(self) -> Gate:
        """Its syntax tree, and a run in a process that has nothing but the tools."""
        if self._found:
            why = f"The solution does more than calling tools: {self._found[0]}."
            return Gate(2, False, {"found": self._found, "tried": []}, why)
        files = {SOLUTION: self._task.files[SOLUTION]}
        async with (
            open_repository(self._repair) as repository,
            roleplayer("solution", files, self._bench.sandbox) as solver,
        ):
            world = Calls(repository)
            self._solved = await run_solution(solver, world, SOLUTION)  # type: ignore[arg-type]
            self._left = await repository.left()
        tools = sorted({call.name for call in self._solved.calls})
        evidence = {"found": [], "tried": self._solved.tried, "tools": tools}
        if self._solved.tried:
            why = f"The solution does more than calling tools: {self._solved.tried[0]}."
            return Gate(2, False, evidence, why)
        return Gate(2, True, evidence)

    async def _accepts(self) -> Gate:
        """The solution's own result, and F2P > 0, P2F = 0 out of the runs, whatever is claimed."""
        run, solved = await self._repair.judge(self._left), self._solved
        start, gold = self._start_run, self._gold_run
        self._f2p = sorted(gold.passed - start.passed)
        self._p2p = sorted(gold.passed & start.passed)
        broken = sorted(start.passed - gold.passed)
        evidence: dict[str, Any] = {
            "answer": solved.answer, "calls": len(solved.calls), "f2p": len(self._f2p),
            "p2p": len(self._p2p), "p2f": len(broken), "tests": self._f2p[:20],
        }  # fmt: skip
        if solved.fault is not None:
            return Gate(3, False, evidence, f"The solution does not run: {solved.fault}.")
        if not self._f2p:
            return Gate(3, False, evidence, "The gold patch turns no failing test to pass (F2P 0).")
        if broken:
            evidence["broken"] = broken[:20]
            return Gate(3, False, evidence, f"The gold patch breaks {broken[0]}.")
        for key, real in (("f2p", self._f2p), ("p2p", self._p2p)):
            if odd := sorted(set(self._listed(key)) - set(real)):
                return Gate(3, False, evidence, f"{odd[0]} is no {key.upper()} test, by its runs.")
        reason = await accepts(self.verifier, solved.answer, run.results)
        if reason is not None:
            return Gate(3, False, evidence, f"The verifier refuses the solution: {reason}")
        return Gate(3, True, evidence)

    async def _rejects(self) -> Gate:
        """Results of attempts that are not right, and results that no run gave."""
        refused: dict[str, str] = {}
        cases: list[tuple[str, Any, Mapping[str, str]]] = []
        good = self._gold_run.results
        start = await self._repair.judge(self._repair.start)
        cases.append(("the start state", DONE, start.results))
        cases.append(("no results", DONE, {}))
        for answer in (None, "", {}, [], 0, True, {"done": False}, {"done": "true"}, {"done": 1}):
            cases.append((f"the answer {answer!r}", answer, good))
        for name in (*self._f2p[:3], *self._p2p[:2]):
            for status in ("failed", "skipped", "missing"):
                other = {**good, name: status}
                if status == "missing":
                    del other[name]
                cases.append((f"{status}: {name}", DONE, other))
        bent = await self._repair.judge(hacked(self._repair, self._f2p))
        cases.append(("tests that always pass", DONE, bent.results))
        cases += await self._breaking()
        for what, answer, results in cases:
            reason = await accepts(self.verifier, answer, results)
            if reason is None:
                evidence = {"refused": refused}
                return Gate(4, False, evidence, f"The verifier accepts {what}.")
            refused[what] = reason
        halves = await self._halves()
        refused |= {f"the gold patch without hunk {at}": said or NEEDLESS for at, said in halves}
        if halves and not any(said for _, said in halves):
            return Gate(4, False, {"refused": refused}, "No hunk of the gold patch alone matters.")
        return Gate(4, True, {"refused": refused})

    async def _no_shortcut(self) -> Gate:
        """The fix is neither in the prompt nor in a file that one call shows."""
        added = changed_lines(list(self._repair.gold))
        leaks = leak_finder(added)
        told = [line.strip() for line in added if leak_finder([line])(self._task.about.prompt)]
        paths = {hunk.path for hunk in self._repair.gold}
        named = sorted(path for path in paths if path in self._task.about.prompt)
        git = sorted(path for path in self._repair.start if ".git" in path.split("/"))
        after = {
            hunk.path: [squeezed("".join(hunk.new))] for hunk in self._repair.gold if hunk.added
        }
        inside = sorted(
            path
            for path, data in self._repair.start.items()
            if any(text[0] in squeezed(data.decode(errors="replace")) for text in after.values())
        )
        copies = await self._copies()
        evidence = {
            "in the prompt": told, "history": git[:5], "files that hold the fix": inside[:5],
            "copies in the sandbox": copies, "changed files named": named,
        }  # fmt: skip
        if told or leaks(self._task.about.prompt):
            return Gate(5, False, evidence, "The prompt holds a line of the gold patch.")
        if git:
            return Gate(5, False, evidence, "The repository holds its own history.")
        if inside:
            return Gate(5, False, evidence, f"The fix can be read in {inside[0]}.")
        if copies:
            return Gate(5, False, evidence, f"The sandbox has a copy of the original: {copies[0]}.")
        return Gate(5, True, evidence)

    async def _difficulty(self) -> Gate:
        evidence = self._measured(self._number)
        evidence |= {"f2p": len(self._f2p), "calls": len(self._solved.calls)}
        if len(self._solved.calls) < FEWEST_CALLS:
            return Gate(6, False, evidence, f"It takes fewer than {FEWEST_CALLS} calls.")
        easier = self._task.about.harder_than
        if easier is not None:
            if easier not in self._family.tasks:
                return Gate(6, False, evidence, f"There is no task {easier} to be harder than.")
            before = self._measured(easier)
            evidence["easier"] = before
            keys = ("hunks", "space_log10")
            if any(evidence[key] < before[key] for key in keys) or all(
                evidence[key] == before[key] for key in keys
            ):
                return Gate(6, False, evidence, f"It is not harder than task {easier}.")
        return Gate(6, True, evidence)

    async def _pass_rate(self) -> Gate:
        seed = f"{self._family.about.id}/{self._number}"
        passed = other = 0
        known: dict[str, bool] = {}
        for choice in choices(self._repair, Random(seed)):
            tree = attempted(self._repair, choice, lambda at: Random(f"{seed}/{at}"))
            key = digest(tree)
            if key not in known:
                known[key] = await self._passes(tree)
            passed += known[key]
            other += known[key] and any(choice)
        evidence = {"policy": POLICY, "attempts": ATTEMPTS, "passed": passed,
                    "passed otherwise": other}  # fmt: skip
        if passed == 0:
            why = f"None of {ATTEMPTS} attempts passed: it may be unsolvable."
            return Gate(8, False, evidence, why)
        if passed == ATTEMPTS:
            return Gate(8, False, evidence, "Every attempt passed, whatever the edit was.")
        return Gate(8, True, evidence)

    # --- what they need ---------------------------------------------------------------------------

    def _listed(self, key: str) -> list[str]:
        given = self._task.about.metadata.get(key)
        return [str(each) for each in given] if isinstance(given, list) else []

    def _files(self, tests: set[str] | list[str]) -> list[str]:
        """The test files that these tests are in, where they can be told."""
        files = {test.split("::")[0] for test in tests}
        return sorted(files & set(self._bench.setup.tests))

    async def _partly(self, left: Tree, tests: list[str] | None = None) -> dict[str, str]:
        """Results of the files with F2P tests (or of these); the rest as with the gold patch. Only
        to refuse by: a test that fails in it would fail in a whole run."""
        files = self._files(self._f2p if tests is None else tests)
        if not files:
            return dict((await self._repair.judge(left)).results)
        run = await self._bench.run(self._repair.final(left), files)
        rest = {k: v for k, v in self._gold_run.results.items() if k.split("::")[0] not in files}
        return rest | dict(run.results)

    async def _passes(self, left: Tree) -> bool:
        if await accepts(self.verifier, DONE, await self._partly(left)) is not None:
            return False
        run = await self._repair.judge(left)
        return await accepts(self.verifier, DONE, run.results) is None

    async def _halves(self) -> list[tuple[int, str | None]]:
        """Each hunk left out, by its number from 1, with why the rest is refused. None: no test
        needs it; commits often begin with a version and the history of changes."""
        gold, found = self._repair.gold, list[tuple[int, str | None]]()
        for number in range(1, len(gold) + 1) if len(gold) > 1 else ():
            if len(found) == (LEFT_OUT if any(said for _, said in found) else MOST_LEFT_OUT):
                break
            rest = [hunk for at, hunk in enumerate(gold, 1) if at != number]
            results = await self._partly(apply_patch(self._repair.start, rest))
            found.append((number, await accepts(self.verifier, DONE, results)))
        return found

    async def _breaking(self) -> list[tuple[str, Any, Mapping[str, str]]]:
        """The gold patch with another task's bug beside it: F2P pass, and P2P are broken."""
        cases: list[tuple[str, Any, Mapping[str, str]]] = []
        for number in self._family.tasks:
            if number == self._number or len(cases) >= MOST_OTHERS:
                continue
            try:
                other = repair_of(self._family, number, self._shared.base, self._bench)
            except DataError:
                continue
            about = self._family.tasks[number].about.metadata.get("f2p")
            broken = [str(each) for each in about] if isinstance(about, list) else []
            if not set(broken) & set(self._p2p):
                continue
            try:
                tree = apply_patch(self._gold, [hunk.reversed() for hunk in other.gold])
            except PatchError:  # the two change the same lines
                continue
            results = await self._partly(tree, broken)
            if any(results.get(test) != "passed" for test in self._p2p):
                cases.append((f"the gold patch with the bug of task {number}", DONE, results))
                break
        return cases

    def _measured(self, number: str) -> dict[str, Any]:
        shared = self._shared
        if shared.places < 0:
            shared.places = len(edits_of(shared.base, self._bench.language))
        repair = repair_of(self._family, number, shared.base, self._bench)
        hunks = len(repair.gold)
        space = math.log10(max(math.comb(max(shared.places, hunks), hunks), 1))
        return {
            "hunks": hunks, "places": shared.places, "space_log10": round(space, 2),
            "changed lines": sum(len(h.added) + len(h.removed) for h in repair.gold),
            "files": len(repair.start),
            "source files": len(sources_of(repair.start, self._bench.language)),
        }  # fmt: skip

    async def _copies(self) -> list[str]:
        """Of all tasks of the family at once: looking through the sandbox takes a second."""
        wanted = {}
        for number in self._family.tasks:
            try:
                other = repair_of(self._family, number, self._shared.base, self._bench)
            except DataError:
                continue
            for at, hunk in enumerate(other.gold):
                if hunk.added:
                    wanted[f"{number}.{at}/{hunk.path}"] = [squeezed("".join(hunk.new))]
        key = hashlib.sha256(repr(sorted(wanted.items())).encode()).hexdigest()
        if key not in self._shared.copies:
            dependencies = {
                path.removeprefix("deps/"): data for path, data in self._bench.dependencies.items()
            }
            found = await own_copies(wanted, self._bench.sandbox, dependencies)
            self._shared.copies[key] = found
        names = {hunk.path.rsplit("/", 1)[-1] for hunk in self._repair.gold}
        return [p for p in self._shared.copies[key] if p.rsplit("/", 1)[-1] in names]
