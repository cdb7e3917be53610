"""Export to and import from a real install of verifiers, in a Python of its own.

That Python is $SPECIALE_VERIFIERS_PYTHON, or build/verifiers/bin/python, made by
    python -m venv build/verifiers
    build/verifiers/bin/pip install 'verifiers==0.3.1' 'reasoning-gym==0.1.25' \
        jsonschema docstring-parser typer
    build/verifiers/bin/pip install --no-deps -e . bfcl-eval==2026.3.23
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("SPECIALE_VERIFIERS_PYTHON", ROOT / "build/verifiers/bin/python")

pytestmark = pytest.mark.slow


def case(name, folder):
    if not Path(PYTHON).exists():
        pytest.fail(f"There is no {PYTHON}. {__doc__}")
    done = subprocess.run(
        [PYTHON, Path(__file__).parent / "in_verifiers.py", name, folder],
        capture_output=True,
        text=True,
        timeout=250,
        env={**os.environ, "OPENAI_API_KEY": "none"},  # a judge is made, and never asked
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_family_trains_and_evaluates_there(tmp_path):
    said = case("export_gym", tmp_path)
    assert (said["train"], said["heldout"], said["shared"]) == (3, 2, 0)
    assert said["right"] == [1.0] * 5 and said["wrong"] == [0.0] * 3
    assert said["reasons"][0].startswith("The answer is '0'; right is")


def test_own_tasks_with_tools_go_there(tmp_path):
    said = case("export_tools", tmp_path)
    assert said["rewards"] == [1.0, 0.0, 0.0]
    assert said["roles"] == ["assistant", "tool", "assistant"]
    assert said["results"] == [
        "The call was noted. It gives no result.",
        "Error: there is no tool 'subtract'; there is add.",
    ]


def test_bfcl_over_several_turns_goes_there(tmp_path):
    assert case("export_worlds", tmp_path) == [1.0, 0.0]


def test_an_environment_comes_from_there(tmp_path):
    said = case("imports", tmp_path)
    assert said["ids"] == ["0", "1", "2"] != said["shuffled"]
    assert said["prompt"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "1+1?"},
    ]
    assert (said["answer"], said["info"]) == ("2", {"n": 1})
    assert said["scores"] == [1.0, 0.8, 0.2, 0.2]
    assert said["reasons"] == ["The rubric gave right 0, short 1, num_turns 1."]


def test_tools_come_from_there(tmp_path):
    assert case("imports_tools", tmp_path) == ["double", "8", False, True, 1.0]


def test_what_is_no_task_is_refused_with_the_reason(tmp_path):
    said = case("refusals", tmp_path)
    assert "its env_response is its own" in said["turns"]
    assert "compares rollouts" in said["group"]
    assert "asks a model to judge" in said["judge"]
    assert "has no reward" in said["nothing"]
    assert "could not load 'env-missing'" in said["missing"]
    assert "Could not import 'env-of-nobody'" in said["unknown"]
