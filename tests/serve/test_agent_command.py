"""`speciale agent`, as it is typed: against our own service, with real tools in the sandbox."""

import json
import os
import subprocess
import sys

import pytest

from serve.running import Scripted, running
from serve.small_model import write_model
from speciale.agents.trajectory import read_trajectories

pytestmark = pytest.mark.slow  # in .ci/run

CALL = (
    "let me compute</think>\n\n<｜DSML｜function_calls>\n"
    '<｜DSML｜invoke name="python">\n<｜DSML｜parameter name="code" string="true">'
    "print(6 * 7, '\x1b[31m')</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>"
)


def agent(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "speciale.cli", "agent", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


class Turns(Scripted):
    """Says `texts` one after the other."""

    def __init__(self, *texts):
        super().__init__(texts[0])
        self.left = list(texts)

    async def run(self, job):
        self.text = self.left.pop(0)
        async for piece in super().run(job):
            yield piece


def test_a_question_is_answered_with_python_in_the_sandbox(tmp_path):
    backend = Turns(CALL, "so</think>It is 42.")
    out = tmp_path / "runs.jsonl"
    with running(tmp_path, backend) as service:
        done = agent(
            "What is 6 * 7?", "--upstream", f"{service.url}/v1", "--model", "small", "--flavour",
            "deepseek", "--upstream-key-env", "OUR_KEY", "--out", out, OUR_KEY=service.secret,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "It is 42.\n"), done.stderr
    assert "→ python" in done.stderr and "← python" in done.stderr and "42" in done.stderr
    assert "answered; 2 steps, 1 calls" in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    (kept,) = read_trajectories(out)
    assert kept.answer == "It is 42." and kept.steps[0].calls[0].result.startswith("42")
    assert service.secret not in out.read_text() + done.stderr


def test_the_embedded_model_and_its_budget(tmp_path):
    """A random model answers nothing sensible; its calls are tools' calls and the run ends."""
    folder = write_model(tmp_path / "model", 2048)
    out = tmp_path / "runs.jsonl"
    options = ("--max-turns", 2, "--max-tokens", 40, "--no-think", "--runs", 2, "--out", out)
    done = agent(folder, "hello", *options)
    assert done.returncode == 1, done.stderr
    assert "run 1: cut off" in done.stderr and "run 2: " in done.stderr
    assert [len(kept.steps[0].ids) for kept in read_trajectories(out)] == [40, 40]


WRONG = {
    "three words": (["runs/x", "two", "words"], 'give [RUN] "QUESTION"'),
    "a folder alone": (["."], '. is a folder: give a text behind it, . "QUESTION"'),
    "no run": (["runs/nothing", "hello"], "runs/nothing"),
    "unknown tool": (["--upstream", "http://127.0.0.1:9/v1", "q", "--tools", "rm"], "rm"),
    "no folder": (
        ["--upstream", "http://127.0.0.1:9/v1", "q", "--tools", "search:/no/such"], "/no/such",
    ),
    "no key": (
        ["--upstream", "http://127.0.0.1:9/v1", "q", "--upstream-key-env", "NO_SUCH_KEY"],
        "NO_SUCH_KEY",
    ),
    "ids without a tokenizer": (
        ["--upstream", "http://127.0.0.1:9/v1", "q", "--mode", "vllm"], "--tokenizer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_command_is_one_sentence(name):
    arguments, words = WRONG[name]
    done = agent(*arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert words in done.stderr and done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1


def test_json_of_a_trajectory_is_one_line(tmp_path):
    folder = write_model(tmp_path / "model", 2048)
    out = tmp_path / "sub" / "runs.jsonl"
    agent(folder, "hello", "--max-tokens", 5, "--tools", "none", "--out", out)
    (line,) = out.read_text().splitlines()
    assert json.loads(line)["stop"] == "length"
