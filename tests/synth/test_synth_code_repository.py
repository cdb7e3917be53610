"""Runs of a repository's tests in the sandbox, what an attempt may change, and verdicts on it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from code_repositories import FIXED, JAVASCRIPT, PYTHON, SOURCE, history

from speciale.errors import DataError
from speciale.synth.code.author import items_mined, make
from speciale.tasks.synthesised.family import read_family, write_family
from speciale.tasks.synthesised.repository.runs import SETUP, Bench, Setup, bench_of
from speciale.tasks.synthesised.repository.task import (
    open_repository,
    repair_of,
    repository_task,
)
from speciale.tasks.task import Attempt

BENCH = Setup("python", tests=("tests/test_small.py",))


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    (item,) = items_mined(history(tmp_path_factory.mktemp("code") / "small"))
    return make(item)


def run(tree, setup=BENCH, tests=None):
    return asyncio.run(Bench(setup).run(tree, tests))


def test_results_by_the_id_of_each_test():
    broken = {**PYTHON, "small/__init__.py": SOURCE.replace("max(values) -", "2 +").encode()}
    found = run(broken)
    assert len(found.results) == 13 and found.trouble is None
    assert found.of("tests/test_small.py::test_spread") == "failed"
    assert found.of("tests/test_small.py::test_mean") == "passed"
    assert found.of("tests/test_small.py::gone") == "missing"
    assert "assert 5 == 6" in found.failures["tests/test_small.py::test_spread"]


def test_one_test_that_hangs_fails_and_the_others_have_results(monkeypatch):
    from speciale.tasks.synthesised.repository import languages as languages

    quick = languages.PYTEST_LIMIT.replace(b"ITIMER_PROF, 10)", b"ITIMER_PROF, 1)")
    assert quick != languages.PYTEST_LIMIT
    files = {**languages.LANGUAGES["python"].files, "speciale_limit.py": quick}
    monkeypatch.setitem(
        languages.LANGUAGES, "python",
        replace(languages.LANGUAGES["python"], files=files),
    )  # fmt: skip
    hung = SOURCE.replace("    if not values:\n", "    while not values:\n        continue\n")
    found = run({**PYTHON, "small/__init__.py": hung.encode()})
    assert found.of("tests/test_small.py::test_spread_of_nothing") == "failed"
    assert "took longer" in found.failures["tests/test_small.py::test_spread_of_nothing"]
    assert len(found.passed) == 12
    hung = SOURCE.replace("    if value < low:\n", "    while True:\n")
    hung = hung.replace("        return low\n", "        continue\n")
    found = run({**PYTHON, "small/__init__.py": hung.encode()})
    assert found.trouble and "2 tests hang" in found.said


@pytest.mark.parametrize(
    "trick",
    [
        # Every report says that the test passed.
        "import _pytest.reports as r\nr.TestReport.outcome = property("
        "lambda s: 'passed', lambda s, v: None)\n",
        # The process ends before anything fails.
        "import os\nos._exit(0)\n",
        # A forged file in place of the results.
        "import atexit, glob, os\nfor d in glob.glob('/tmp/tmp.*'):\n"
        "    open(d + '/all.xml', 'w').write('<testsuites><testsuite><testcase file="
        '"tests/test_small.py" classname="tests.test_small" name="test_mean"/></testsuite>'
        "</testsuites>')\nos._exit(0)\n",
    ],
)
def test_sources_that_bend_the_runner_have_no_results(trick):
    broken = trick + SOURCE.replace("return min(", "return max(")
    found = run({**PYTHON, "small/__init__.py": broken.encode()})
    assert not found.passed and found.trouble


def test_javascript_on_node():
    setup = Setup("javascript", tests=("test/clamp.test.js", "test/plain.js"))
    good = run(JAVASCRIPT, setup)
    assert len(good.passed) == 16 and not good.trouble
    source = JAVASCRIPT["index.js"].replace(b"value < low", b"value > low")
    bad = run({**JAVASCRIPT, "index.js": source}, setup)
    assert bad.of("test/clamp.test.js::clamps 0") == "failed"
    assert bad.of("test/plain.js") == "failed" and "AssertionError" in bad.failures["test/plain.js"]


def test_family_on_disk_is_the_family(family, tmp_path):
    write_family(tmp_path, family)
    again = read_family(tmp_path)
    assert again == family and again.digest("000") == family.digest("000")
    assert family.about.kind == "code" and family.about.source.startswith("git:small@")


def test_attempt_that_bends_tests_gains_nothing(family):
    base, bench = bench_of(family.files)
    repair = repair_of(family, "000", base, bench)
    left = {
        **repair.start,
        "tests/test_small.py": b"def test_mean_of_nothing():\n    pass\n",
        "conftest.py": b"collect_ignore = ['tests']\n",
        "pytest.py": b"", "json.py": b"", "setup.cfg": b"[tool:pytest]\naddopts = -k nothing\n",
        "small/new.py": b"", "other/notes.txt": b"", "small/x.pth": b"import os\n",
    }  # fmt: skip
    final = repair.final(left)
    assert final.keys() - repair.start.keys() == {"small/new.py"}
    assert b"iter([1, 2, 3])" in final["tests/test_small.py"]
    del left["small/__init__.py"]
    assert "small/__init__.py" not in repair.final(left)


def test_tools(family):
    base, bench = bench_of(family.files)
    repair = repair_of(family, "000", base, bench)

    async def calls():
        async with open_repository(repair) as world:

            async def call(name, **arguments):
                return await world.call(name, arguments)

            said = [
                await call("bash", command="ls; git log"),
                await call("read_file", path="small/__init__.py", start_line=3, lines=1),
                await call("read_file", path="../../etc/passwd"),
                await call("write_file", path="small/extra.py", content="X = 1\n"),
                await call("apply_patch", patch="nothing"),
                await call("run_tests"),
                await call("run_tests", path="gone.py"),
                await call("dance"),
                await call("bash"),
            ]  # fmt: skip
            return said, await world.left()

    said, left = asyncio.run(calls())
    assert "small\ntests" in said[0].text and "exit code" in said[0].text
    assert said[1].text == "    return sum(values) / len(values)"
    assert [each.error for each in said[2:]] == [True, False, True, False, True, True, True]
    assert "13 passed" in said[5].text  # the hidden ones are not among them
    assert left["small/extra.py"] == b"X = 1\n"


def _message(name, **arguments):
    call = {"id": "1", "type": "function", "function": {
        "name": name, "arguments": json.dumps(arguments)}}  # fmt: skip
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@pytest.mark.parametrize(
    "messages, answer, score, why",
    [
        ("nothing", '{"done": true}', 0.0, "must pass"),
        ("write", 'Done. {"done": true}', 1.0, ""),
        ("write", "I am done", 0.0, "answer"),
        ("bash", '{"done": true}', 1.0, ""),
        ("tests", '{"done": true}', 0.0, "must pass"),
    ],
)
def test_verdicts_on_attempts(family, messages, answer, score, why):
    task = repository_task(family, "000")
    made = {
        "write": [_message("write_file", path="small/__init__.py", content=FIXED)],
        "bash": [_message("bash", command=f"cat > small/__init__.py <<'END'\n{FIXED}END")],
        "tests": [_message("bash", command="rm -r tests; echo > conftest.py")],
    }.get(messages, [])
    verdict = asyncio.run(task.verify(Attempt(answer, made)))
    assert verdict.score == score and why in " ".join(verdict.reasons)


def test_bad_files_of_a_family_are_named(family):
    with pytest.raises(DataError, match="no runner for 'cobol'"):
        bench_of({**family.files, SETUP: Setup("cobol").text()})
    with pytest.raises(DataError, match=r"setup\.json"):
        bench_of({**family.files, SETUP: b"[]"})
    with pytest.raises(DataError, match="needs a file"):
        bench_of({})
