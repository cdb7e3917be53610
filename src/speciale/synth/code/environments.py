"""The environment agent: finds out by rules how a repository's tests run, and what they need.

V3.2 report, 3.2.3: an agent installs dependencies and runs the tests. Dependencies are wheels from
PyPI, unpacked and never run here; tests run in the sandbox alone, and tell what is missing.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.parser import BytesHeaderParser
from pathlib import Path

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.synth.work import Rejected
from speciale.tasks.synthesised.repository.languages import LANGUAGES, ROOTS
from speciale.tasks.synthesised.repository.runs import LIMITS, Bench, Run, Setup
from speciale.tasks.synthesised.repository.tree import Tree, digest, pack, unpack

ROUNDS = 4  # of installing what the tests say is missing
SUITE_S = 40.0  # CPU time of all tests, once; on a busy machine they may take longer
FEWEST = 10  # tests that pass
SEEDS = (0, 1, 2)  # hash seeds of the runs that show which tests are steady
MOST_BYTES = 24 << 20  # of dependencies
INSTALL_S = 300

# What packages list beside what their tests import: builders, checkers, reporters.
NEVER = re.compile(
    r"pytest(-.*)?|tox(-.*)?|nox|coverage|coveralls|codecov|flake8.*|black|ruff|isort|mypy|"
    r"pylint|sphinx.*|twine|build|wheel|setuptools(-.*)?|pre-commit|furo|mkdocs.*|pip|pyright|torch"
)
IMPORTED_AS = {"yaml": "pyyaml", "dateutil": "python-dateutil", "attr": "attrs",
               "pkg_resources": "setuptools", "bs4": "beautifulsoup4", "PIL": "pillow"}  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_MISSING = re.compile(r"No module named '([\w.]+)'|npm:missing '([\w.@/-]+)'")


def cache_folder() -> Path:
    """Where downloads and built environments are kept: $SPECIALE_CACHE, or in ~/.cache."""
    given = os.environ.get("SPECIALE_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "speciale" / "synth"


@dataclass(frozen=True)
class Built:
    """A repository whose tests run. `steady`: tests that pass in every run."""

    tree: Tree
    setup: Setup
    dependencies: Tree
    steady: frozenset[str]
    flaky: tuple[str, ...]
    bench: Bench
    seconds: float  # one run of all tests


def cleaned(tree: Mapping[str, bytes]) -> Tree:
    """Without what no test needs and no patch can hold."""
    return {
        path: data
        for path, data in tree.items()
        if not {".git", "__pycache__", "node_modules", ".tox", ".github"} & set(path.split("/"))
        and not path.endswith((".pyc", ".so", ".o", ".exe", ".whl"))
        and len(data) < 4 << 20
    }


def language_of(tree: Mapping[str, bytes]) -> str:
    """The language with the most test files. Rejected where no runner fits."""
    counts = {name: sum(map(each.is_test, tree)) for name, each in LANGUAGES.items()}
    best = max(counts, key=counts.get)
    if not counts[best]:
        raise Rejected(f"it has no test files that a runner knows ({', '.join(LANGUAGES)})")
    return best


async def build(tree: Tree, sandbox: Sandbox | None = None) -> Built:
    """Installs, runs, finds what is missing, and again. Rejected says why the tests do not run."""
    language = language_of(tree)
    tests = tuple(sorted(filter(LANGUAGES[language].is_test, tree)))
    setup = Setup(language, tests=tests)
    limits = replace(LIMITS, wall_s=SUITE_S * 4, cpu_s=SUITE_S)
    python = language == "python"
    wanted = sorted(_required(tree)) if python else _modules(tree)
    declared = _declared(tree) if python else {}
    dependencies: Tree = {}
    run = Run()
    for _ in range(ROUNDS):
        if wanted:
            installed = await asyncio.to_thread(_install, tuple(wanted), language)
            dependencies = installed
        everything = {**dependencies, **(_metadata(tree) if python else {})}
        for configured in (True, False):
            trial = replace(setup, configured=configured)
            bench = Bench(trial, everything, sandbox, limits)
            run = await bench.run(tree)
            if run.passed or not python:
                break
        told = "\n".join((run.said, *run.failures.values()))
        missing = {first.split(".")[0] for first, _ in _MISSING.findall(told)}
        names = {IMPORTED_AS.get(name, name).lower().replace("_", "-") for name in missing}
        more = sorted(declared[name] for name in names if name in declared)
        more = [each for each in more if each not in wanted]
        if not more:
            break
        wanted = [*wanted, *more]
    if run.trouble and "limit" in run.trouble:
        raise Rejected(run.trouble)
    if len(run.passed) < FEWEST:
        why = run.trouble or (run.said.strip().splitlines() or ["no output"])[-1][:200]
        raise Rejected(f"{len(run.passed)} of its tests pass, and {FEWEST} are needed: {why}")
    kept = tuple(test for test in tests if any(each.split("::")[0] == test for each in run.passed))
    setup = replace(trial, tests=kept, dependencies=_versions(dependencies, wanted))
    bench = Bench(setup, everything, sandbox)
    runs = [await bench.run(tree, seed=seed) for seed in SEEDS]
    if trouble := next((each.trouble for each in runs if each.trouble), None):
        raise Rejected(trouble)
    steady = frozenset.intersection(*(frozenset(each.passed) for each in runs))
    flaky = sorted(frozenset.union(*(frozenset(each.passed) for each in runs)) - steady)
    seconds = sum(each.seconds for each in runs) / len(runs)
    return Built(tree, setup, everything, steady, tuple(flaky), bench, seconds)


# --- what a Python repository says it needs -------------------------------------------------------


def _required(tree: Mapping[str, bytes]) -> set[str]:
    """What it needs to run, as its metadata says; without markers' and extras' parts."""
    found: set[str] = set()
    if "PKG-INFO" in tree:
        heads = BytesHeaderParser().parsebytes(tree["PKG-INFO"])
        lines = heads.get_all("Requires-Dist") or []
        found |= {line for line in lines if "extra ==" not in line}
    elif project := _toml(tree, "pyproject.toml").get("project"):
        found |= set(map(str, project.get("dependencies", [])))
    return {line for line in map(str.strip, found) if _wanted(line)}


def _declared(tree: Mapping[str, bytes]) -> dict[str, str]:
    """What it names for tests: extras, groups, tox, requirements files; by name."""
    lines: list[str] = []
    if "PKG-INFO" in tree:
        heads = BytesHeaderParser().parsebytes(tree["PKG-INFO"])
        lines += [line.split(";")[0] for line in heads.get_all("Requires-Dist") or []]
    about = _toml(tree, "pyproject.toml")
    project = about.get("project") or {}
    for groups in (project.get("optional-dependencies"), about.get("dependency-groups")):
        for group in (groups or {}).values():
            lines += [each for each in group if isinstance(each, str)]
    lines += [str(each) for each in project.get("dependencies") or []]
    for path, data in tree.items():
        if re.fullmatch(
            r"([\w-]*/)?[\w-]*requirements[\w-]*(/[\w-]+)?\.(txt|in)|test_requirements\.txt", path
        ):
            lines += data.decode(errors="replace").splitlines()
        elif path in ("tox.ini", "setup.cfg"):
            block = re.findall(r"(?m)^(?:deps|tests?|testing)\s*=((?:.*\n)(?:[ \t]+.*\n)*)",
                               data.decode(errors="replace"))  # fmt: skip
            lines += [line.split(":")[-1] for each in block for line in each.splitlines()]
    named = {}
    for line in map(str.strip, lines):
        if _wanted(line) and (name := _NAME.match(line)):
            named.setdefault(name[0].lower().replace("_", "-").replace(".", "-"), line)
    return named


def _wanted(line: str) -> bool:
    name = _NAME.match(line)
    return bool(name) and not NEVER.fullmatch(name[0].lower()) and "@" not in line


def _toml(tree: Mapping[str, bytes], path: str) -> dict:
    try:
        return tomllib.loads(tree[path].decode())
    except (KeyError, ValueError):
        return {}


def _metadata(tree: Mapping[str, bytes]) -> Tree:
    """So that importlib.metadata finds a package that is not installed, as many ask for their own
    version."""
    if "PKG-INFO" not in tree or any(
        path.endswith(".egg-info/PKG-INFO") and path.split("/")[0] + "/" not in ("tests/",)
        and any(path.removeprefix(root).count("/") == 1 for root in ROOTS)
        for path in tree
    ):  # fmt: skip
        return {}
    heads = BytesHeaderParser().parsebytes(tree["PKG-INFO"])
    name = re.sub(r"[-_.]+", "_", heads["Name"] or "unnamed")
    return {f"{name}-{heads['Version']}.dist-info/METADATA": tree["PKG-INFO"]}


# --- installing -----------------------------------------------------------------------------------


def _modules(tree: Mapping[str, bytes]) -> list[str]:
    """What a JavaScript repository's package.json names that its files really require."""
    import json

    try:
        about = json.loads(tree["package.json"])
        named = {**about.get("dependencies", {}), **about.get("devDependencies", {})}
    except (KeyError, ValueError, TypeError):
        return []
    text = b"\n".join(data for path, data in tree.items() if path.endswith((".js", ".cjs", ".mjs")))
    used = set(re.findall(rb"""(?:require\(|from )['"]((?:@[\w.-]+/)?[\w.-]+)""", text))
    return sorted(f"{name}@{named[name]}" for name in named if name.encode() in used)


def _install(wanted: tuple[str, ...], language: str) -> Tree:
    """The files of packages and what they need in turn, cached by what was asked for."""
    key = hashlib.sha256("\n".join((language, sys.version, *wanted)).encode()).hexdigest()[:32]
    kept = cache_folder() / "environments" / f"{key}.tar.gz"
    if kept.exists():
        return unpack(kept.read_bytes())
    with tempfile.TemporaryDirectory(prefix="speciale-synth-") as folder:
        if language == "python":
            words = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                     "--target", folder, "--no-compile", "--only-binary", ":all:",
                     *wanted]  # fmt: skip
        else:
            words = ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund",
                     "--prefix", folder, *wanted]  # fmt: skip
        run_program(words, f"{', '.join(wanted)} cannot be installed")
        tree = {}
        for path in sorted(Path(folder).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not path.is_symlink() and not name.startswith("bin/"):
                tree[name] = path.read_bytes()
    tree = {path: data for path, data in tree.items() if not path.endswith((".pyc", "/RECORD"))}
    if (size := sum(map(len, tree.values()))) > MOST_BYTES:
        raise Rejected(f"its dependencies have {size >> 20} MB, and {MOST_BYTES >> 20} are allowed")
    keep(kept, pack(tree))
    return tree


def run_program(words: list[str], trouble: str) -> str:
    """Its output. Rejected with `trouble` and its last line where it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Rejected(f"{trouble}: {error}") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Rejected(f"{trouble}: {last[:300]}")
    return done.stdout


def keep(path: Path, data: bytes) -> None:
    """Into the cache, whole or not at all, whoever else writes the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        os.replace(file.name, path)
    except OSError as error:
        raise DataError(
            f"the cache {path.parent} cannot be written ({error.strerror}): set SPECIALE_CACHE"
        ) from None


def _versions(dependencies: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    found = {
        path.split("/")[0].removesuffix(".dist-info").replace("-", "==", 1)
        for path in dependencies
        if path.split("/")[0].endswith(".dist-info")
    }
    return tuple(sorted(found or wanted))


__all__ = ["Built", "build", "cache_folder", "cleaned", "digest", "keep", "run_program"]
