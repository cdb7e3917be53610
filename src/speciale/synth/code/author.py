"""The code agent as an author: a family out of a package with bugs made, or of commits mined.

V3.2 report, 3.2.3, code agent: a start state, an issue, hidden tests and a gold patch. What the
tests do not notice is left here; all else is for the gates to judge.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import speciale
from speciale.errors import DataError
from speciale.sandbox import Sandbox, default_sandbox
from speciale.synth.code import mining
from speciale.synth.code.copies import own_copies, signature
from speciale.synth.code.environments import Built, build, language_of
from speciale.synth.code.faults import Bug, make_bugs, sources_of
from speciale.synth.code.hiding import without_tests
from speciale.synth.code.packages import PACKAGES, fetch, package_of
from speciale.synth.code.written import Sides, write_task
from speciale.synth.work import Item, Rejected
from speciale.tasks.synthesised.family import About, Family, TaskFiles
from speciale.tasks.synthesised.repository.languages import LANGUAGES
from speciale.tasks.synthesised.repository.patch import PatchError, make_patch, read_patch
from speciale.tasks.synthesised.repository.runs import DEPS, REPO, SETUP, Bench
from speciale.tasks.synthesised.repository.tree import Tree, pack


def items_made(
    packages: Sequence[str] | None = None, seed: int = 0, rounds: int = 1
) -> Iterator[Item]:
    """One item a package and round, each with bugs of its own. ConfigError for a text that names no
    package."""
    named = [(text, package_of(text)) for text in packages or PACKAGES]
    for turn in range(rounds):
        for text, package in named:
            yield {
                "author": "code", "key": f"code-made-{package.key}-{seed + turn:03}",
                "mode": "made", "package": text, "seed": seed + turn,
            }  # fmt: skip


def items_mined(repository: Path, seed: int = 0) -> Iterator[Item]:
    """One item for every few commits of a local git history. ConfigError where there is none."""
    name = mining.name_of(repository)
    for commits in mining.families(repository, seed):
        yield {
            "author": "code", "key": f"code-mined-{name}-{commits[0][:10]}", "mode": "mined",
            "repository": str(repository.resolve()), "commits": commits, "seed": seed,
        }  # fmt: skip


def make(item: Item, sandbox: Sandbox | None = None) -> Family:
    """The family of an item. Rejected where its tests do not run or no task comes out of it."""
    work = _made if item["mode"] == "made" else _mined
    return asyncio.run(work(item, sandbox or default_sandbox()))


# --- made -----------------------------------------------------------------------------------------


async def _made(item: Item, sandbox: Sandbox) -> Family:
    package = package_of(item["package"])
    tree = await asyncio.to_thread(fetch, package)
    language = LANGUAGES[language_of(tree)]
    if found := await own_copies(signature(tree, sources_of(tree, language)), sandbox):
        raise Rejected(f"the sandbox has a copy of it that an attempt could read: {found[0]}")
    built = await build(tree, sandbox)
    return await made_family(item, built, package.name, package.version, package.source)


async def made_family(item: Item, built: Built, name: str, version: str, source: str) -> Family:
    """Bugs in a repository whose tests run. Rejected where its tests notice none."""
    random = Random(hashlib.sha256(f"{item['key']} {item['seed']}".encode()).digest())
    made = await make_bugs(built, random)
    counts = ", ".join(f"{made.counts[key]} {key}" for key in sorted(made.counts))
    tasks: dict[str, TaskFiles] = {}
    numbers: dict[int, str] = {}
    for place, bug in enumerate(made.bugs):
        sides = _hidden(built.tree, bug)
        easier = None if bug.harder_than is None else numbers.get(bug.harder_than)
        operators = sorted({edit.operator for edit in bug.edits})
        task = write_task(
            sides, bug.run, built, name, version, random, pattern=" + ".join(operators),
            level=len(bug.edits), harder_than=easier,
        )  # fmt: skip
        if task is not None:
            numbers[place] = f"{len(tasks):03}"
            tasks[numbers[place]] = task
    if not tasks:
        raise Rejected(f"no bug came out of it ({counts})")
    about = f"Bugs made in {name} {version}: {counts}."
    return _family(item, built, tasks, about, source)


def _hidden(pristine: Tree, bug: Bug) -> Sides:
    start = without_tests(bug.tree, bug.f2p)
    gold = dict(start) | {edit.path: pristine[edit.path] for edit in bug.edits}
    return Sides(pristine, start, gold, bug.tree, bug.f2p, bug.p2p, start_name="bug.patch")


# --- mined ----------------------------------------------------------------------------------------


async def _mined(item: Item, sandbox: Sandbox) -> Family:
    repository = Path(item["repository"])
    commits = [mining.read_commit(repository, each) for each in item["commits"]]
    newest = commits[0].after
    built = await build(newest, sandbox)
    language = built.bench.language
    random = Random(hashlib.sha256(f"{item['key']} {item['seed']}".encode()).digest())
    tasks: dict[str, TaskFiles] = {}
    reasons: list[str] = []
    tests = set(built.setup.tests)
    for commit in commits:
        tests |= set(filter(language.is_test, commit.after))
    built = _with_tests(built, sorted(tests))
    for commit in commits:
        paths = commit.before.keys() | commit.after.keys()
        changed = {p for p in paths if commit.before.get(p) != commit.after.get(p)}
        sources = {p for p in changed if p.endswith(language.sources) and not language.fixed(p)}
        fixed = {p for p in changed if language.fixed(p)}
        gold = _with(commit.before, commit.after, sources)
        shown, both = (_with(tree, commit.after, fixed) for tree in (commit.before, gold))
        before = await built.bench.run(shown)
        runs = [await built.bench.run(both, seed=seed) for seed in (0, 1)]
        steady = runs[0].passed & runs[1].passed
        f2p = tuple(sorted(name for name in steady if before.of(name) != "passed"))
        p2p = tuple(sorted(name for name in steady if before.of(name) == "passed"))
        sides = Sides(newest, commit.before, gold, shown, f2p, p2p, start_name="base.patch")
        version = f"at {commit.hash[:10]}"
        try:
            hunks = len(read_patch(make_patch(commit.before, gold)))
            task = write_task(
                sides, before, built, repository.name, version, random, pattern="commit",
                said=commit.message, commit=commit.hash, level=min(4, hunks.bit_length()),
            )  # fmt: skip
        except PatchError as error:
            reasons.append(str(error))
            continue
        if task is None:
            reasons.append("it gives no issue")
        else:
            tasks[f"{len(tasks):03}"] = task
    if not tasks:
        raise Rejected(f"no commit gives a task: {(reasons or ['none was read'])[0]}")
    about = f"Commits of {repository.name}: {len(tasks)} of {len(commits)} candidates."
    source = f"git:{repository.name}@{item['commits'][0]}"
    return _family(item, built, tasks, about, source)


def _with(tree: Tree, after: Tree, paths: set[str]) -> Tree:
    """The tree with some files as they are after a commit."""
    kept = {path: data for path, data in tree.items() if path not in paths}
    return kept | {path: after[path] for path in paths if path in after}


def _with_tests(built: Built, tests: list[str]) -> Built:
    """Each commit has its own test files; a run takes those that its tree has."""
    setup = replace(built.setup, tests=tuple(tests))
    return replace(built, setup=setup, bench=Bench(setup, built.dependencies, built.bench.sandbox))


def _family(
    item: Item, built: Built, tasks: dict[str, TaskFiles], about: str, source: str
) -> Family:
    files = {REPO: pack(built.tree), SETUP: built.setup.text()}
    if built.dependencies:
        files[DEPS] = pack(built.dependencies)
    try:
        head = About(
            id=item["key"], kind="code", category=built.setup.language, seed=item["seed"],
            generator="procedural", speciale=speciale.__version__, about=about, source=source,
        )  # fmt: skip
    except ValueError as error:
        raise DataError(f"the item {item['key']!r} gives no family: {error}") from None
    return Family(head, files, tasks)
