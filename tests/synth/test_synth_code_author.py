"""The code agent as an author: families out of packages with bugs made, and what gives none."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest
from code_repositories import JAVASCRIPT, PYTHON, lay, refusal

from speciale.errors import ConfigError
from speciale.synth.code import author, packages
from speciale.synth.code.author import items_made, items_mined, make
from speciale.synth.code.environments import build
from speciale.synth.code.faults import make_bugs
from speciale.synth.code.gates import judge_code
from speciale.synth.work import Rejected
from speciale.tasks.synthesised.repository.patch import apply_patch
from speciale.tasks.synthesised.repository.runs import REPO
from speciale.tasks.synthesised.repository.tree import unpack


def made(monkeypatch, tree, text="small==1.0"):
    """make() of a package whose archive holds `tree`, with few bugs."""
    monkeypatch.setattr(author, "make_bugs", partial(make_bugs, wanted=3, tries=8))
    monkeypatch.setattr(author, "fetch", lambda package: dict(tree))
    (item,) = items_made([text], seed=5)
    return make(item)


@pytest.mark.slow
def test_bugs_made_in_a_package(monkeypatch):
    family = made(monkeypatch, PYTHON)
    assert {task.about.level for task in family.tasks.values()} == {1, 2}
    hard = next(n for n, task in family.tasks.items() if task.about.level == 2)
    assert refusal(family, hard) == (None, [1, 2, 3, 4, 5, 6, 8])
    gates = asyncio.run(judge_code(family, hard))  # nothing is run again
    rejected = next(gate for gate in gates if gate.number == 4).evidence["refused"]
    assert any("with the bug of task" in what for what in rejected)
    assert "the gold patch without hunk 2" in rejected
    for task in family.tasks.values():
        start = apply_patch(unpack(family.files[REPO]), task.files["bug.patch"].decode())
        for test in task.about.metadata["f2p"]:
            name = test.split("::")[-1].encode()
            assert b"def " + name + b"(" not in start["tests/test_small.py"]


@pytest.mark.slow
def test_same_item_same_bytes(monkeypatch):
    assert made(monkeypatch, PYTHON).paths() == made(monkeypatch, PYTHON).paths()


@pytest.mark.slow
def test_bugs_made_in_javascript(monkeypatch):
    family = made(monkeypatch, JAVASCRIPT, "npm:small@1.0")
    assert made(monkeypatch, JAVASCRIPT, "npm:small@1.0").paths() == family.paths()
    assert family.about.category == "javascript"
    assert refusal(family)[0] in (None, 8)


@pytest.mark.parametrize(
    "tree, why",
    [
        ({"a.py": b""}, "no test files"),
        ({**PYTHON, "tests/test_small.py": b"import missing\n"}, "tests pass"),
        ({**PYTHON, "small/__init__.py": b"import time\ntime.sleep(60)\n"}, "limit"),
    ],
)
def test_packages_whose_tests_do_not_run_are_rejected(monkeypatch, tree, why):
    if why == "limit":
        monkeypatch.setattr("speciale.synth.code.environments.SUITE_S", 1.0)
    with pytest.raises(Rejected, match=why):
        made(monkeypatch, tree)


def test_package_that_the_sandbox_has_is_rejected(monkeypatch):
    import packaging.version

    with open(packaging.version.__file__, "rb") as file:
        tree = {**PYTHON, "small/version.py": file.read()}
    with pytest.raises(Rejected, match=r"copy of it.*version\.py"):
        made(monkeypatch, tree)


def test_folder_without_history_and_bad_names(tmp_path):
    lay(tmp_path, PYTHON)
    with pytest.raises(ConfigError, match="no history"):
        list(items_mined(tmp_path))
    with pytest.raises(ConfigError, match="no package"):
        list(items_made(["small"]))
    keys = [item["key"] for item in items_made(seed=2, rounds=2)]
    assert len(set(keys)) == len(keys) == 2 * len(packages.PACKAGES)
    assert all(json.loads(json.dumps(item)) == item for item in items_made())


@pytest.mark.slow
@pytest.mark.parametrize("text", ["parsy==2.2", "ordered-set==4.1.0"])
def test_real_packages(text):
    """Needs PyPI."""
    (item,) = items_made([text])
    family = make(item)
    verdicts = [refusal(family, number)[0] for number in family.tasks]
    assert len(verdicts) >= 5 and verdicts.count(None) >= 0.7 * len(verdicts)


@pytest.mark.slow
def test_dependencies_are_installed_because_the_tests_ask_for_them():
    tree = {
        **PYTHON,
        "pyproject.toml": b'[project]\nname = "small"\n[project.optional-dependencies]\n'
        b'tests = ["roman==5.1"]\n',
        "tests/test_more.py": b"import roman\n\n\ndef test():\n    pass\n",
    }
    built = asyncio.run(build(tree))
    assert "tests/test_more.py::test" in built.steady
