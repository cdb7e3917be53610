"""The gates of the code agent: a good task passes all, and of a bad one the right gate says no."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from code_repositories import FIXED, history, refusal

from speciale.synth.code.author import items_mined, make
from speciale.synth.code.gates import NEEDLESS, judge_code
from speciale.tasks.synthesised.family import Family, TaskFiles
from speciale.tasks.synthesised.repository.patch import apply_patch, make_patch
from speciale.tasks.synthesised.repository.runs import REPO
from speciale.tasks.synthesised.repository.tree import unpack


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    (item,) = items_mined(history(tmp_path_factory.mktemp("code") / "small"))
    return make(item)


def changed(family: Family, about: dict | None = None, **files: bytes | None) -> Family:
    """The family with other files of its task; `gold__patch` is gold.patch."""
    task = family.tasks["000"]
    kept = dict(task.files)
    for name, data in files.items():
        kept[name.replace("__", ".")] = data or b""
    task = TaskFiles(task.about.model_copy(update=about or {}), kept)
    return replace(family, tasks={"000": task})


@pytest.mark.slow
def test_mined_task_passes_and_says_what_its_people_said(family):
    assert refusal(family) == (None, [1, 2, 3, 4, 5, 6, 8])
    about = family.tasks["000"].about
    assert about.prompt.startswith("The mean of nothing fails\n\nNone is what callers want.")
    assert "ZeroDivisionError" in about.prompt and "if not values" not in about.prompt
    assert len(about.metadata["f2p"]) == 2 and len(about.metadata["p2p"]) == 13
    again = asyncio.run(judge_code(family, "000"))
    assert again == asyncio.run(judge_code(family, "000"))


def states(family: Family, patch: str = "gold.patch") -> tuple[dict, dict]:
    """The start, and what a patch of the task makes of it."""
    base = unpack(family.files[REPO])
    start = apply_patch(base, family.tasks["000"].files["base.patch"].decode())
    return start, apply_patch(start, family.tasks["000"].files[patch].decode())


def solved_by(start: dict, goal: dict) -> dict[str, bytes]:
    """gold.patch and a solution that lead to a goal."""
    patch = make_patch(start, goal)
    code = f"PATCH = {patch!r}\ndef solve(tools):\n    tools.bash(command='ls')\n"
    code += "    tools.apply_patch(patch=PATCH)\n    return {'done': True}\n"
    return {"gold__patch": patch.encode(), "solution__py": code.encode()}


def patched(family: Family, old: str, new: str) -> dict[str, bytes]:
    """gold.patch and a solution with something replaced in what they lead to."""
    start, goal = states(family)
    goal = {path: data.replace(old.encode(), new.encode()) for path, data in goal.items()}
    return solved_by(start, goal)


def test_gold_that_mends_nothing(family):
    files = patched(family, "        return None\n", "        raise ZeroDivisionError\n")
    files["gold__patch"] = patched(family, "values = list(values)", "pass")["gold__patch"]
    files |= patched(family, "    values = list(values)\n    if not values:\n        return None\n",
                     "    # as it was\n")  # fmt: skip
    number, why = refusal(changed(family, **files))
    assert (number, "F2P 0" in why) == (3, True)


def test_gold_that_breaks_another_test(family):
    number, why = refusal(changed(family, **patched(family, "return low", "return high")))
    assert number == 3 and "breaks" in why


@pytest.mark.slow
def test_flaky_tests(family):
    start, goal = states(family, "tests.patch")
    tests = goal["tests/test_small.py"].replace(b"]) is None", b"]) is None and hash('b') % 2")
    patch = make_patch(start, {**goal, "tests/test_small.py": tests})
    number, why = refusal(changed(family, tests__patch=patch.encode()))
    assert number == 1 and "differ" in why


@pytest.mark.slow
def test_hunks_that_no_test_needs(family):
    """A commit may begin with any number of them; one must matter."""
    start, goal = states(family)
    versions = {f"a{number}.py": b"VERSION = 2\n" for number in range(4)}
    gates = asyncio.run(judge_code(changed(family, **solved_by(start, goal | versions)), "000"))
    said = next(gate for gate in gates if gate.number == 4).evidence["refused"]
    without = [said.get(f"the gold patch without hunk {number}", "") for number in range(1, 7)]
    assert without[:4] == [NEEDLESS] * 4 and "must pass" in without[4] and not without[5]
    twice = goal["small/__init__.py"] + b"\n\n" + FIXED.split("def clamp")[0].encode()
    number, why = refusal(changed(family, **solved_by(start, {**goal, "small/__init__.py": twice})))
    assert number == 4 and "alone matters" in why


@pytest.mark.parametrize(
    "code, number",
    [
        ("import subprocess\ndef solve(tools):\n    return {'done': True}\n", 2),
        ("import random\ndef solve(tools):\n    return {'done': True}\n", 1),
        ("def solve(tools):\n    return {'done': True}\n", 3),
        ("def solve(tools):\n    return tools.dance()\n", 3),
        ("def solve(:\n", 1),
    ],
)
def test_bad_solutions(family, code, number):
    assert refusal(changed(family, solution__py=code.encode()))[0] == number


@pytest.mark.parametrize(
    "code, number",
    [
        ("def verify(answer, results):\n    return True\n", 4),
        ("def verify(answer, results):\n    return bool(results)\n", 4),
        ("def verify(answer, results):\n    return 'no'\n", 3),
        ("import os\ndef verify(answer, results):\n    return True\n", 1),
        (
            "def verify(answer, results):\n    good = [k for k in results if 'mean_of' in k]\n"
            "    return answer == {'done': True} and answer['done'] is True and len(good) == 2 "
            "and all(results[k] == 'passed' for k in good)\n", 4,
        ),
    ],
)  # fmt: skip
def test_bad_verifiers(family, code, number):
    assert refusal(changed(family, verify__py=code.encode()))[0] == number


@pytest.mark.slow
def test_fix_in_the_prompt_or_in_a_file(family):
    prompt = family.tasks["000"].about.prompt
    told = changed(family, {"prompt": prompt + "\nTry `values = list(values)` there."})
    assert refusal(told)[0] == 5
    base, (start, _) = unpack(family.files[REPO]), states(family)
    patch = make_patch(base, {**start, "build/copy.txt": FIXED.encode()})
    number, why = refusal(changed(family, base__patch=patch.encode()))
    assert number == 5 and "build/copy.txt" in why


def test_broken_files_are_a_verdict_and_no_crash(family):
    for files in ({"gold__patch": b"rubbish"}, {"base__patch": b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n"}):
        number, why = refusal(changed(family, **files))
        assert number == 1 and "patch" in why
    broken = replace(family, files={**family.files, REPO: b"no archive"})
    assert refusal(broken)[0] == 1
