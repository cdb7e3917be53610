"""`speciale tasks`: what is printed, and what the exit code says."""

import json

import pytest
from typer.testing import CliRunner

from speciale.errors import DataError
from speciale.tasks.commands import tasks_app


def run(*words):
    done = CliRunner().invoke(tasks_app, [str(word) for word in words], catch_exceptions=False)
    return done.exit_code, done.output


@pytest.fixture
def own(tmp_path):
    rows = [
        {"id": "sum", "prompt": "1+2?", "answer": "3", "verifier": "number"},
        {"prompt": "Say\x1b[31m x", "answer": "x"},
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answers(tmp_path, *rows):
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lists():
    assert "reasoning-gym/FAMILY" in run("list")[1]
    code, text = run("list", "reasoning-gym")
    assert code == 0 and len(text.splitlines()) == 106
    assert any(line.split()[:2] == ["leg_counting", "36"] for line in text.splitlines())
    assert "simple_python" in run("list", "bfcl")[1]
    with pytest.raises(DataError, match="there is no list of 'x'"):
        run("list", "x")


def test_show(own):
    code, text = run("show", own, "--count", 5)
    assert code == 0
    assert text.count("--- ") == 2 and "user: 1+2?" in text and "a right answer: 3" in text
    assert "\x1b" not in text and "␛[31m" in text
    lines = run("show", "reasoning-gym/gcd", "--count", 2, "--level", 1, "--json")[1].splitlines()
    tasks = [json.loads(line) for line in lines]
    assert [task["level"] for task in tasks] == [1, 1] and "entry" not in tasks[0]["metadata"]


def test_verify_one_answer(own):
    code, text = run("verify", own, "--answer", "3.0")
    assert code == 0 and "1 of 1 right, mean score 1.000" in text
    code, text = run("verify", own, "--answer", "4")
    assert code == 1 and "The number is 4; right is 3." in text


def test_verify_answers_out_of_a_file(own, tmp_path):
    given = answers(
        tmp_path,
        {"id": "2", "answer": "x"},
        {"id": "sum", "answer": "4"},
        {"id": "sum", "messages": [{"role": "assistant", "content": "3"}]},
    )
    code, text = run("verify", own, "--answers", given)
    assert code == 1 and "2 of 3 right, mean score 0.667" in text
    code, text = run("verify", own, "--answers", given, "--json")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [(row["id"], row["score"]) for row in rows] == [("2", 1), ("sum", 0), ("sum", 1)]
    assert rows[1]["reasons"] and not rows[0]["reasons"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "nobody", "answer": "x"}, "no task 'nobody' among the 2 that were drawn"),
        ({"answer": "x"}, r"answers.jsonl, line 1: id is .*Field required"),
        ({"id": "2", "answer": 3}, r"answers.jsonl, line 1: answer is 3"),
        ({"id": "2", "anwser": "x"}, r"line 1: anwser is 'x': Extra inputs"),
    ],
)
def test_wrong_answers_files_are_named(own, tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        run("verify", own, "--answers", answers(tmp_path, row), "--count", 2)


def test_wrong_options_are_named(own, tmp_path):
    with pytest.raises(DataError, match="either --answer or --answers"):
        run("verify", own)
    with pytest.raises(DataError, match="either --verifiers or --jsonl"):
        run("export", own)
    with pytest.raises(DataError, match=r"could not read .*: No such file"):
        run("verify", own, "--answers", tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="holds no answer"):
        run("verify", own, "--answers", answers(tmp_path))
    with pytest.raises(DataError, match="the source has no such task"):
        run("verify", own, "--answer", "3", "--level", 3)


def test_export_as_json_lines_and_back(tmp_path):
    path = tmp_path / "gcd.jsonl"
    code, text = run("export", "reasoning-gym/gcd", "--jsonl", path, "--count", 3)
    assert code == 0 and text.strip().endswith("gcd.jsonl: 3 tasks")
    shown = run("show", path, "--count", 9)[1]
    assert shown.count("a right answer") == 3


def test_export_for_verifiers(own, tmp_path):
    folder = tmp_path / "made"
    code, text = run("export", own, "--verifiers", folder)
    assert code == 0 and "environment speciale-own" in text
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "pyproject.toml", "speciale_own.jsonl", "speciale_own.py"]
    assert (folder / "speciale_own.jsonl").read_bytes() == own.read_bytes()
    compile((folder / "speciale_own.py").read_text(), "speciale_own.py", "exec")
    odd = own.rename(own.with_name('"ö".jsonl'))
    assert "environment speciale-tasks" in run("export", odd, "--verifiers", tmp_path / "odd")[1]
    odd.rename(own)
    with pytest.raises(DataError, match="made is not empty: name a new folder"):
        run("export", own, "--verifiers", folder)
    with pytest.raises(DataError, match="an environment of verifiers already"):
        run("export", "verifiers:x", "--verifiers", tmp_path / "other")


def test_help_has_examples():
    for command in ("list", "show", "verify", "export"):
        assert "speciale tasks " in run(command, "--help")[1]
