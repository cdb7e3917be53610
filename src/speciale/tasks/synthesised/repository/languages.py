"""How each language's tests are run and read: a row a language, and all else is the same for all.

V3.2 report, 3.2.3, code agent: results come as JUnit XML, whatever runs the tests.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree import ElementTree

TEST_S = 10  # seconds of one test
MOST_HUNG = 2  # of tests that take longer, after which none is run any more
WORDS = {"failure": "failed", "error": "error", "skipped": "skipped"}


@dataclass(frozen=True)
class Case:
    """One test of a JUnit file."""

    id: str
    status: str  # passed, failed, error or skipped
    text: str = ""  # of a failure: what the runner wrote about it


@dataclass(frozen=True)
class Language:
    """`command`: lines of bash for the repository's folder, given test files and whether its own
    configuration is used; they leave JUnit files in $JUNIT. `environment`: variables, as bash has
    them between double quotes; $WORK is the cell's folder. `canary`: a file of two tests, one that
    passes and one that fails, given a token for their names."""

    name: str
    sources: tuple[str, ...]  # how its files end
    is_test: Callable[[str], bool]  # a file that the runner is given
    fixed: Callable[[str], bool]  # a file that says how tests run: no attempt may change it
    new_name: Callable[[str], bool]  # whether an attempt may add a file of this path
    command: Callable[[Sequence[str], bool], str]
    environment: Callable[[Iterable[str]], Mapping[str, str]]
    files: Mapping[str, bytes]  # laid in /work/runner
    cases: Callable[[str], list[Case]]  # of the text of a JUnit file
    canary: Callable[[str], tuple[str, bytes]]


# --- Python ---------------------------------------------------------------------------------------

# A test that hangs fails by an exception, so that the others' results are written all the same. On
# a busy machine its own CPU time says more than the clock does.
PYTEST_LIMIT = f"""
import signal
import pytest

class Hung(BaseException):
    pass

def _over(*_):
    raise Hung("the test took longer than {TEST_S} s")

LIMITS = ((signal.SIGPROF, signal.ITIMER_PROF, {TEST_S}),
          (signal.SIGALRM, signal.ITIMER_REAL, {TEST_S * 6}))

hung = []

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    for number, timer, seconds in LIMITS:
        signal.signal(number, _over)
        signal.setitimer(timer, seconds, 1)
    try:
        yield
    finally:
        for _, timer, _ in LIMITS:
            signal.setitimer(timer, 0)

def pytest_runtest_logreport(report):
    if report.failed and "Hung: the test took" in str(report.longrepr):
        hung.append(report)

def pytest_runtest_teardown(item):
    if len(hung) >= {MOST_HUNG}:
        item.session.shouldstop = "{MOST_HUNG} tests hang"
""".encode()

TEST_FOLDERS = {"test", "tests", "testing", "__tests__", "spec"}
PYTHON_TEST = re.compile(r"(test_.*|.*_tests?|tests?)\.py")
PYTHON_FIXED = re.compile(
    r"conftest\.py|(sitecustomize|usercustomize)\.py|.*\.pth|\.?pytest\.(ini|toml)|tox\.ini|"
    r"setup\.(cfg|py)|pyproject\.toml|noxfile\.py"
)
# A module of these names at the root would be imported in place of what runs the tests.
RUNNING = {"pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py", "tomli",
           "exceptiongroup", "colorama", "speciale_limit", "typing_extensions"}  # fmt: skip
ROOTS = ("", "src/", "lib/", "python/")


def _in_tests(path: str) -> bool:
    return bool(TEST_FOLDERS & set(PurePosixPath(path).parts[:-1]))


def _python_new(path: str) -> bool:
    for root in ROOTS[1:]:
        path = path.removeprefix(root)
    top = path.split("/")[0].removesuffix(".py")
    return path.endswith(".py") and top not in RUNNING and top not in sys.stdlib_module_names


def _pytest(targets: Sequence[str], configured: bool) -> str:
    config = "" if configured else '-c "$WORK/runner/none.ini" '
    names = " ".join(_quoted(target) for target in targets)
    return (
        "python3 -P -m pytest -vv --tb=short --continue-on-collection-errors "
        "-p speciale_limit -p no:cacheprovider -o addopts= "
        f"-o junit_family=xunit1 -o xfail_strict=false --rootdir=. {config}"
        f"--junitxml=$JUNIT/all.xml {names}"
    )


def _python_environment(paths: Iterable[str]) -> dict[str, str]:
    tops = {path.split("/")[0] for path in paths if path.endswith(".py") and path.count("/") > 1}
    roots = [f"$WORK/repo/{name}" for name in ("src", "lib", "python") if name in tops]
    return {
        "PYTHONPATH": ":".join(["$WORK/runner", *roots, "$WORK/repo", "$WORK/deps"]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "CI": "1",  # libraries that draw their tests at random take a fixed seed then
        "TZ": "UTC",
        "COLUMNS": "80",
    }


def _pytest_cases(text: str) -> list[Case]:
    cases = []
    for node in ElementTree.fromstring(text).iter("testcase"):
        file, name, group = node.get("file"), node.get("name", ""), node.get("classname", "")
        if file:
            module = file.removesuffix(".py").replace("/", ".")
            inner = group.removeprefix(module).lstrip(".").replace(".", "::")
            parts = [file, inner, name] if inner else [file, name]
        else:  # a file that could not be collected
            parts = [part for part in (group, name) if part]
        cases.append(_case("::".join(parts), node))
    return cases


def _python_canary(token: str) -> tuple[str, bytes]:
    text = f"def test_pass_{token}():\n    pass\n\n\ndef test_fail_{token}():\n    assert not 1\n"
    return f"test_{token}.py", text.encode()


# --- JavaScript -----------------------------------------------------------------------------------

JAVASCRIPT_TEST = re.compile(r"(.*[.\-_])?tests?\.[cm]?js")
JAVASCRIPT_FIXED = re.compile(r"package(-lock)?\.json|\.npmrc|.*\.config\.[cm]?js|\.mocharc.*")


def _javascript_test(path: str) -> bool:
    if not path.endswith((".js", ".mjs", ".cjs")) or "node_modules/" in path:
        return False
    parts = PurePosixPath(path).parts
    if JAVASCRIPT_TEST.fullmatch(parts[-1]):
        return True
    return len(parts) > 1 and parts[-2] in ("test", "tests", "__tests__")


def _node(targets: Sequence[str], configured: bool) -> str:
    """A file at a time: node's JUnit does not say which file a test came from. A file without tests
    of node's (a program that writes TAP, say) is one test: what it writes, and its exit code."""
    del configured
    lines = []
    for number, target in enumerate(targets):
        out, name = f"$JUNIT/{number:05}.xml", _quoted(target)
        lines += [
            f"timeout {TEST_S * 3} node --test-reporter=junit --test-reporter-destination={out} "
            f"{name} > $TMP/one.txt 2>&1; code=$?",
            f"printf '\\1%s\\1%s\\1' {name} $code >> {out}",
            f"[ $code = 0 ] || head -c 20000 $TMP/one.txt | tr '\\0\\1' '  ' >> {out}",
        ]
    return "\n".join(lines)


def _node_cases(text: str) -> list[Case]:
    text, file, code, said = (*text.split("\1"), "", "", "")[:4]
    cases: list[Case] = []

    def walk(node: ElementTree.Element, groups: tuple[str, ...]) -> None:
        for child in node:
            name = child.get("name", "")
            if child.tag == "testsuite":
                walk(child, (*groups, name))
            elif child.tag == "testcase":
                cases.append(_case(f"{file}::{' > '.join((*groups, name))}", child))

    # It hung, and was killed before its results were written; or it has none of node's tests.
    with contextlib.suppress(ElementTree.ParseError):
        walk(ElementTree.fromstring(text), ())
    good = code == "0"
    if not cases or (not good and all(case.status in ("passed", "skipped") for case in cases)):
        late = f"the test took longer than {TEST_S} s" if code == "124" else ""
        cases.append(Case(file, "passed" if good else "failed", "" if good else late or said))
    return cases


def _javascript_canary(token: str) -> tuple[str, bytes]:
    text = (
        "const test = require('node:test');\nconst assert = require('node:assert');\n"
        f"test('test_pass_{token}', () => {{}});\n"
        f"test('test_fail_{token}', () => {{ assert.ok(false); }});\n"
    )
    return f"test_{token}.test.cjs", text.encode()


# --- both -----------------------------------------------------------------------------------------


def _case(name: str, node: ElementTree.Element) -> Case:
    for child in node:
        if child.tag in WORDS:
            text = child.text or child.get("message") or ""
            return Case(name, WORDS[child.tag], text[:20_000])
    return Case(name, "passed")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


LANGUAGES: dict[str, Language] = {
    "python": Language(
        name="python",
        sources=(".py",),
        is_test=lambda path: bool(PYTHON_TEST.fullmatch(PurePosixPath(path).name)),
        fixed=lambda path: (
            bool(PYTHON_FIXED.fullmatch(PurePosixPath(path).name))
            or bool(PYTHON_TEST.fullmatch(PurePosixPath(path).name))
            or _in_tests(path)
        ),
        new_name=_python_new,
        command=_pytest,
        environment=_python_environment,
        files={"speciale_limit.py": PYTEST_LIMIT, "none.ini": b"[pytest]\n"},
        cases=_pytest_cases,
        canary=_python_canary,
    ),
    "javascript": Language(
        name="javascript",
        sources=(".js", ".mjs", ".cjs"),
        is_test=_javascript_test,
        fixed=lambda path: (
            bool(JAVASCRIPT_FIXED.fullmatch(PurePosixPath(path).name))
            or _javascript_test(path)
            or _in_tests(path)
        ),
        new_name=lambda path: path.endswith((".js", ".mjs", ".cjs")),
        command=_node,
        environment=lambda _: {
            "NODE_PATH": "$WORK/deps/node_modules",
            "TZ": "UTC",
            "NO_COLOR": "1",
        },
        files={},
        cases=_node_cases,
        canary=_javascript_canary,
    ),
}
