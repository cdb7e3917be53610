"""Tasks to mend a repository: its start state with tools in the sandbox, judged by hidden tests.

V3.2 report, 3.2.3, code agent. After the attempt its sources alone are taken: tests, their
configuration and whatever else says how tests run are laid as they were, and all run in a fresh
cell; what the attempt did to its own cell gains it nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox, SandboxError, Session, limit_named
from speciale.tasks.arguments import argument_faults
from speciale.tasks.environment import Environment, Result
from speciale.tasks.synthesised.attempts import answer_of, calls_of
from speciale.tasks.synthesised.family import VERIFY, Family
from speciale.tasks.synthesised.processes import Broke, Roleplayer, roleplayer
from speciale.tasks.synthesised.repository.patch import (
    Hunk,
    PatchError,
    apply_patch,
    read_patch,
)
from speciale.tasks.synthesised.repository.runs import LIMITS, Bench, Run, bench_of, exports
from speciale.tasks.synthesised.repository.tree import Tree, below, read_back
from speciale.tasks.synthesised.world import State, rule
from speciale.tasks.task import Attempt, Task, Verdict

STARTS = ("bug.patch", "base.patch")  # from the family's repository to the task's start
GOLD, TESTS = "gold.patch", "tests.patch"
CALL = replace(LIMITS, wall_s=60, cpu_s=60, output_kb=1024)
READ = replace(LIMITS, output_kb=96 << 10)
LINES, CLIP = 400, 12_000  # of what a tool gives

# verify.py's function takes an answer and results; the process that runs it gives one value.
SHIM = """

_verify = verify


def verify(given, before, after):
    return _verify(given["answer"], given["results"])
"""


def _tool(name: str, about: str, required: Sequence[str], **parameters: str) -> dict[str, Any]:
    properties = {
        key: {
            "type": "integer" if key in ("start_line", "lines") else "string",
            "description": text,
        }
        for key, text in parameters.items()
    }
    schema = {
        "type": "object", "properties": properties, "required": list(required),
        "additionalProperties": False,
    }  # fmt: skip
    function = {"name": name, "description": about, "parameters": schema}
    return {"type": "function", "function": function}


TOOLS = (
    _tool(
        "bash",
        "Run a command line in bash, in the repository's folder /work/repo. There is no network.",
        ["command"],
        command="A command line, or a script of several lines.",
    ),
    _tool(
        "read_file",
        f"Read lines of a text file of the repository, {LINES} at most.",
        ["path"],
        path="Path below the repository's root.",
        start_line="The first line, from 1; the default is 1.",
        lines=f"How many lines; the default is {LINES}.",
    ),
    _tool(
        "write_file",
        "Write a text file of the repository, in place of one that is there.",
        ["path", "content"],
        path="Path below the repository's root.",
        content="All of the text.",
    ),
    _tool(
        "apply_patch",
        "Apply a unified diff to the repository: all of it, or nothing if a hunk does not fit.",
        ["patch"],
        patch="The diff, with lines '--- a/PATH', '+++ b/PATH' and '@@ -1,3 +1,3 @@'.",
    ),
    _tool(
        "run_tests",
        "Run the repository's tests and list those that fail, with what they say.",
        [],
        path="One test file; all of them if it is not given.",
    ),
)
_KNOWN = {tool["function"]["name"]: tool for tool in TOOLS}


@dataclass(frozen=True)
class Repair:
    """One task's states and the bench that runs its tests."""

    start: Tree
    gold: tuple[Hunk, ...]
    hidden: tuple[Hunk, ...]  # what the hidden tests change, of test files alone
    bench: Bench

    def hidden_tests(self, tree: Tree) -> Tree:
        return apply_patch(tree, self.hidden) if self.hidden else dict(tree)

    def final(self, left: Mapping[str, bytes]) -> Tree:
        """What is judged: the start state with the sources of `left` and the hidden tests."""
        language, tree = self.bench.language, dict(self.start)
        for path in self.start:
            if not language.fixed(path):
                if path in left:
                    tree[path] = left[path]
                else:
                    del tree[path]
        for path, data in left.items():
            if path not in tree and path.endswith(language.sources):
                new = language.new_name(path) and not language.fixed(path)
                if new and path not in self.start:
                    tree[path] = data
        return self.hidden_tests(tree)

    async def judge(self, left: Mapping[str, bytes], seed: int = 0) -> Run:
        """All tests over the final tree."""
        return await self.bench.run(self.final(left), seed=seed)


def repair_of(family: Family, number: str, base: Tree, bench: Bench) -> Repair:
    """One task; `base` and `bench` are the family's (bench_of). DataError where a patch does not
    fit."""
    files = family.tasks[number].files
    try:
        start = base
        for name in STARTS:
            if files.get(name):
                start = apply_patch(start, files[name].decode("utf-8", "surrogateescape"))
        gold = read_patch(files[GOLD].decode("utf-8", "surrogateescape"))
        text = files.get(TESTS, b"").decode("utf-8", "surrogateescape")
        return Repair(start, tuple(gold), tuple(read_patch(text)) if text else (), bench)
    except KeyError:
        raise DataError(f"task {number} of {family.about.id} has no {GOLD}") from None
    except PatchError as error:
        raise DataError(f"a patch of task {number} of {family.about.id} is bad: {error}") from None


class Repository:
    """The Environment (tasks/environment.py) of an attempt, over a session of the sandbox."""

    tools: Sequence[Mapping[str, Any]] = TOOLS

    def __init__(self, repair: Repair, session: Session) -> None:
        self._repair, self._session = repair, session
        self._variables = {**repair.bench.language.environment(repair.start), "PYTHONHASHSEED": "0"}
        self._turn = asyncio.Lock()

    async def left(self) -> Tree:
        """The files as they are now. DataError as read_back."""
        return await read_back(self._session, "repo", READ)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        if name not in _KNOWN:
            return Result(f"Error: there is no tool {name!r}.", True)
        if faults := argument_faults(_KNOWN[name], dict(arguments)):
            return Result("Error: " + " ".join(faults), True)
        async with self._turn:
            try:
                return Result(_clipped(await getattr(self, f"_{name}")(**arguments)))
            except (DataError, PatchError, SandboxError, ValueError) as error:
                return Result(_clipped(f"Error: {error}"), True)

    async def _bash(self, command: str) -> str:
        if "\0" in command or len(command.encode("utf-8", "replace")) > 100_000:
            raise ValueError("the command holds a NUL or more than 100,000 bytes")
        line = f'{exports(self._variables)}cd repo; exec 2>&1; eval "$1"'
        outcome = await self._session.run(["bash", "-c", line, "bash", command], limits=CALL)
        text = outcome.stdout.decode(errors="replace").rstrip("\n")
        if outcome.stopped:
            text += f"\n(stopped by the limit on {limit_named(outcome.stopped, CALL)})"
        elif outcome.exit_code:
            text += f"\n(exit code {outcome.exit_code})"
        return text or "(no output)"

    async def _read_file(self, path: str, start_line: int = 1, lines: int = LINES) -> str:
        text = (await self._session.read(_inside(path))).decode(errors="replace")
        kept = text.split("\n")[max(start_line, 1) - 1 :][: min(max(lines, 1), LINES)]
        return "\n".join(kept)

    async def _write_file(self, path: str, content: str) -> str:
        await self._session.write(_inside(path), content.encode("utf-8", "surrogateescape"))
        return f"Wrote {path}."

    async def _apply_patch(self, patch: str) -> str:
        hunks = read_patch(patch)
        before: Tree = {}
        for path in {hunk.path: None for hunk in hunks if not hunk.creates}:
            before[path] = await self._session.read(_inside(path), 8 << 20)
        after = apply_patch(before, hunks)
        for path in before:
            if path not in after:
                await self._session.run(["rm", "-f", "--", _inside(path)], limits=CALL)
        for path, data in after.items():
            if before.get(path) != data:
                await self._session.write(_inside(path), data)
        return f"Applied {len(hunks)} hunk{'s' if len(hunks) > 1 else ''}."

    async def _run_tests(self, path: str = "") -> str:
        tree = await self.left()
        if path and path not in tree:
            raise ValueError(f"there is no file {path}")
        run = await self._repair.bench.run(tree, [path] if path else None)
        return described(run)


@asynccontextmanager
async def open_repository(repair: Repair) -> AsyncIterator[Repository]:
    """The start state in /work/repo of a fresh session."""
    bench = repair.bench
    runner = below(dict(bench.language.files), "runner")
    files = {**below(repair.start, "repo"), **bench.dependencies, **runner}
    async with bench.sandbox.session(CALL) as session:
        outcome = await session.run(["true"], files=files, limits=LIMITS)
        if outcome.stopped or outcome.exit_code:
            said = outcome.stderr.decode(errors="replace")[-300:]
            raise SandboxError(f"the repository could not be laid: {said}")
        yield Repository(repair, session)


def described(run: Run) -> str:
    """A run in words: counts, then each failure."""
    counts: dict[str, int] = {}
    for status in run.results.values():
        counts[status] = counts.get(status, 0) + 1
    parts = [", ".join(f"{counts[key]} {key}" for key in sorted(counts)) or "no results"]
    if run.trouble:
        parts.append(f"{run.trouble}\n{run.said[-2000:]}")
    parts += [f"FAILED {name}\n{text.strip()[:1500]}" for name, text in run.failures.items()]
    return "\n\n".join(parts)


@asynccontextmanager
async def verifier_of(
    family: Family, number: str, sandbox: Sandbox | None = None
) -> AsyncIterator[Roleplayer]:
    """verify.py of a task in a cell of its own; ask it with `accepts`."""
    text = family.tasks[number].files[VERIFY] + SHIM.encode()
    async with roleplayer("verifier", {VERIFY: text}, sandbox) as player:
        yield player


async def accepts(verifier: Roleplayer, answer: Any, results: Mapping[str, str]) -> str | None:
    """None if verify.py accepts the answer with these results, or else its reason. Broke as
    Roleplayer."""
    given = {"answer": answer, "results": dict(results)}
    rulings, _ = await rule(verifier, VERIFY, [given], State())
    if rulings[-1].accepted:
        return None
    return (rulings[-1].reason or "The verifier refuses.")[:1000]


def repository_task(
    family: Family, number: str, source: str = "synth", sandbox: Sandbox | None = None
) -> Task:
    """One task of a family of the kind code. DataError where its files are bad."""
    about = family.tasks[number].about
    base, bench = bench_of(family.files, sandbox)
    repair = repair_of(family, number, base, bench)

    async def verify(attempt: Attempt) -> Verdict:
        try:
            async with open_repository(repair) as repository:
                for name, arguments in calls_of(attempt):
                    if name != "run_tests":  # it changes nothing
                        await repository.call(name, arguments)
                left = await repository.left()
            run = await repair.judge(left)
            if run.trouble and not run.results:
                return Verdict(0.0, (f"The hidden tests have no results: {run.trouble}.",))
            async with verifier_of(family, number, sandbox) as verifier:
                reason = await accepts(verifier, answer_of(attempt.answer), run.results)
        except (Broke, DataError, PatchError) as error:
            return Verdict(0.0, (f"{error}.",))
        return Verdict(1.0) if reason is None else Verdict(0.0, (reason,))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Environment]:
        async with open_repository(repair) as repository:
            yield repository

    return Task(
        id=f"{family.about.id}/{number}",
        source=source,
        prompt=[{"role": "user", "content": about.prompt}],
        verifier=verify,
        open=opened,
        tools=TOOLS,
        level=about.level,
        answer='{"done": true}',
        metadata={"category": family.about.category, "kind": "code", "source": family.about.source},
    )


def _inside(path: str) -> str:
    path = path.removeprefix("/work/repo/").removeprefix("./")
    if path.startswith("/") or ".." in path.split("/") or not path or "\0" in path:
        raise ValueError(f"{path!r} is no path below the repository's root")
    return f"repo/{path}"


def _clipped(text: str) -> str:
    if len(text) <= CLIP:
        return text
    half = CLIP // 2
    return f"{text[:half]}\n... {len(text) - CLIP:,} characters left out ...\n{text[-half:]}"
