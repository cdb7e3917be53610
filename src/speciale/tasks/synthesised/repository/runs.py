"""Runs a repository's tests in the sandbox, and reads what became of each one.

V3.2 report, 3.2.3, code agent. A run is one fresh cell without network: the tree, what it depends
on and the runner are laid as files. Two tests that nobody can know before, one that passes and one
that fails, show whether the code under test has bent the runner.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from xml.etree import ElementTree

from speciale.errors import DataError
from speciale.sandbox import Limits, Sandbox, default_sandbox, limit_named
from speciale.tasks.synthesised.repository.languages import LANGUAGES, Case, Language
from speciale.tasks.synthesised.repository.tree import Tree, below, digest, unpack

REPO, DEPS, SETUP = "files/repo.tar.gz", "files/deps.tar.gz", "files/setup.json"
LIMITS = Limits(
    memory_mb=1024, cpu_s=150, processes=64, file_mb=64, disk_mb=512, output_kb=32 << 10, wall_s=300
)
MOST_KEPT = 400  # runs

# What the tests say goes to a file; out come its end, and the JUnit files with a NUL after each.
RUN = """
%s
export JUNIT=$(mktemp -d)
cd repo
{
%s
} > "$TMP/said.txt" 2>&1 < /dev/null
tail -c 4000 "$TMP/said.txt" >&2
for file in "$JUNIT"/*.xml; do [ -f "$file" ] && { cat "$file"; printf '\\0'; }; done
exit 0
"""


@dataclass(frozen=True)
class Setup:
    """How a repository's tests are run: setup.json of a family."""

    language: str
    configured: bool = True  # with the repository's own configuration of the runner
    tests: tuple[str, ...] = ()  # its test files
    dependencies: tuple[str, ...] = ()  # what the environment was given, for people

    def text(self) -> bytes:
        return (json.dumps(vars(self), indent=2) + "\n").encode()


def read_setup(files: Mapping[str, bytes]) -> Setup:
    """Out of a family's files. DataError where it is none."""
    try:
        given = json.loads(files[SETUP])
        setup = Setup(
            str(given["language"]), bool(given["configured"]), tuple(map(str, given["tests"])),
            tuple(map(str, given["dependencies"])),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{SETUP} cannot be read: {error!r:.200}") from None
    if setup.language not in LANGUAGES:
        raise DataError(
            f"{SETUP}: there is no runner for {setup.language!r}, only for {', '.join(LANGUAGES)}"
        )
    return setup


@dataclass(frozen=True)
class Run:
    """Results by the id of each test. `trouble`: why there are none, or not all."""

    results: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)  # what the runner wrote of each
    trouble: str | None = None
    said: str = ""  # the end of the output
    seconds: float = 0.0

    @property
    def passed(self) -> set[str]:
        return {name for name, status in self.results.items() if status == "passed"}

    def of(self, name: str) -> str:
        return self.results.get(name, "missing")


class Bench:
    """A setup's tests over any tree. The same tree, tests and seed are run once and remembered."""

    def __init__(
        self,
        setup: Setup,
        dependencies: Mapping[str, bytes] | None = None,
        sandbox: Sandbox | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.setup, self.language = setup, LANGUAGES[setup.language]
        self.limits, self._sandbox = limits, sandbox
        self.dependencies = below(dependencies or {}, "deps")
        self._kept: dict[tuple, Run] = {}
        self.runs = 0  # that were made

    @property
    def sandbox(self) -> Sandbox:
        return self._sandbox or default_sandbox()

    async def run(self, tree: Tree, tests: Sequence[str] | None = None, seed: int = 0) -> Run:
        """`tests`: files, or tests of one; all files of the setup that the tree has if None.
        `seed`: of hashes, where the language has such."""
        tests = tuple(self.setup.tests if tests is None else tests)
        tests = tuple(test for test in tests if test.split("::")[0] in tree)
        key = (digest(tree), tests, seed)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = await self._run(tree, tests, seed)
        return self._kept[key]

    async def _run(self, tree: Tree, tests: Sequence[str], seed: int) -> Run:
        self.runs += 1
        if not tests:
            return Run(trouble="there is no test file")
        language, token = self.language, secrets.token_hex(8)
        canary, text = language.canary(token)
        files = {**below(tree, "repo"), **self.dependencies, f"repo/{canary}": text}
        files |= below(dict(language.files), "runner")
        variables = {**language.environment(tree), "PYTHONHASHSEED": str(seed)}
        outcome = await self.sandbox.run(
            RUN % (exports(variables), language.command([*tests, canary], self.setup.configured)),
            files=files,
            limits=self.limits,
        )
        said = outcome.stderr.decode(errors="replace")
        run = _read(language, outcome.stdout, canary, token)
        run = replace(run, said=said.replace(token, "canary"), seconds=outcome.seconds)
        if outcome.stopped:
            limit = limit_named(outcome.stopped, self.limits)
            return replace(run, trouble=f"the tests went beyond the limit on {limit}")
        return run


def _read(language: Language, out: bytes, canary: str, token: str) -> Run:
    cases: list[Case] = []
    trouble = None
    for text in out.decode(errors="replace").split("\0")[:-1]:
        try:
            cases += language.cases(text)
        except ElementTree.ParseError as error:
            trouble = f"the tests' JUnit file cannot be read: {error}"
    if not cases:
        return Run(trouble=trouble or "the tests left no results")
    if not any(token in case.id for case in cases):  # it comes last
        return Run(trouble=trouble or "the run of the tests ended before its end")
    ours = {case.id.rsplit(":", 1)[-1]: case.status for case in cases if token in case.id}
    if ours != {f"test_pass_{token}": "passed", f"test_fail_{token}": "failed"}:
        return Run(trouble="a test that must fail did not fail, or one that must pass did not run: "
                   "the code under test has changed how tests run")  # fmt: skip
    results: dict[str, str] = {}
    failures: dict[str, str] = {}
    for case in cases:
        if token in case.id:
            continue
        # Of several with one id the worst counts.
        if results.get(case.id, "passed") in ("passed", "skipped"):
            results[case.id] = case.status
        if case.text and case.status in ("failed", "error"):
            failures.setdefault(case.id, case.text)
    order = sorted(results)
    return Run({name: results[name] for name in order}, dict(sorted(failures.items())), trouble)


def exports(variables: Mapping[str, str]) -> str:
    """Lines of bash, in the cell's folder, that set variables."""
    lines = ["export WORK=$PWD TMP=${TMPDIR:-/tmp}"]
    return "\n".join(lines + [f'export {name}="{text}"' for name, text in variables.items()]) + "\n"


def bench_of(files: Mapping[str, bytes], sandbox: Sandbox | None = None) -> tuple[Tree, Bench]:
    """The pristine tree and the bench of a family's files. DataError where they cannot be read."""
    for path in (REPO, SETUP):
        if path not in files:
            raise DataError(f"a family of the kind code needs a file {path}")
    dependencies = unpack(files[DEPS]) if DEPS in files else {}
    return unpack(files[REPO]), Bench(read_setup(files), dependencies, sandbox)
