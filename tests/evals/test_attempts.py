"""Attempts are kept, not made twice, and what was not measured is no zero."""

import asyncio
import json
from dataclasses import replace

import pytest

from speciale.agents.scripted import ScriptedSampler
from speciale.errors import ConfigError
from speciale.evals.attempts import Question, Settings, attempts, read_records
from speciale.evals.table import Prices, compared, rows_of
from speciale.evals.target import Target, side_by_side
from speciale.tasks.task import Task, Verdict


def question(number, right="yes", cell="c", verifier=None):
    async def verify(attempt):
        return Verdict(float(attempt.answer == right), () if attempt.answer == right else ("No.",))

    prompt = [{"role": "user", "content": f"Number {number}?"}]
    return Question(cell, Task(str(number), "s", prompt, verifier or verify))


class Asked:
    """A model that counts how often it is asked, and may fail."""

    def __init__(self, answer="yes", fails=()):
        self.count, self.answer, self.fails = 0, answer, fails

    def say(self, prompt):
        self.count += 1
        if any(f"Number {number}?" in prompt for number in self.fails):
            raise RuntimeError("the machine is on fire")
        said = self.answer(prompt) if callable(self.answer) else self.answer
        return {"role": "assistant", "content": said, "reasoning_content": "so"}


def target(asked, **more):
    model = ScriptedSampler(asked.say)
    return Target("t", "d", model, model.window, len, side_by_side, batch=4, **more)


def run(asked, path, questions, settings=None, **more):
    settings = settings or Settings(samples=2)
    return asyncio.run(attempts(target(asked, **more), "suite", questions, settings, path))


def test_what_was_asked_is_not_asked_again(tmp_path):
    path, model = tmp_path / "a.jsonl", Asked()
    questions = [question(n) for n in range(5)]
    first = run(model, path, questions)
    assert model.count == 10 and all(record.solved for record in first)
    assert run(model, path, questions) == first and model.count == 10
    more = run(model, path, questions, Settings(samples=3))
    assert model.count == 15 and [r for r in more if r.sample < 2] == first
    run(model, path, questions, Settings(samples=2, temperature=0.5))
    assert model.count == 25


def test_a_line_that_was_cut_off_is_asked_again(tmp_path):
    path, model = tmp_path / "a.jsonl", Asked()
    questions = [question(n) for n in range(4)]
    whole = run(model, path, questions)
    path.write_bytes(path.read_bytes()[:-20])
    again = run(model, path, questions)
    assert [(r.key, r.score) for r in again] == [(r.key, r.score) for r in whole]
    assert again[:-1] == whole[:-1] and model.count == 9 and len(read_records(path)) == 8
    assert all(json.loads(line) for line in path.read_text().splitlines() if line[-1] == "}")


def test_an_exact_target_is_asked_whole_batches(tmp_path):
    path, model = tmp_path / "a.jsonl", Asked()
    questions = [question(n) for n in range(4)]
    run(model, path, questions, exact=True)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    run(model, path, questions, exact=True)
    assert model.count == 8 + 4  # the batch of four that lacks one
    assert path.read_text().splitlines() == lines


def test_what_breaks_is_not_measured_and_no_zero(tmp_path):
    path, model = tmp_path / "a.jsonl", Asked(fails=(6, 7))
    records = run(model, path, [question(n) for n in range(8)])
    [row] = rows_of(records)
    assert row["not_measured"] == 4 and row["pass1"] == 1 and row["tasks"] == 6
    assert "on fire" in records[-1].error and records[-1].score is None
    model.fails = ()
    [row] = rows_of(run(model, path, [question(n) for n in range(8)]))
    assert row["not_measured"] == 0 and row["tasks"] == 8 and model.count == 16 + 4


def test_a_verifier_that_breaks_is_not_measured(tmp_path):
    async def broken(_attempt):
        raise ZeroDivisionError("oh")

    records = run(Asked(), tmp_path / "a.jsonl", [question(0), question(1, verifier=broken)])
    assert [record.score for record in records] == [1, 1, None, None]
    assert "ZeroDivisionError: oh" in records[-1].error


def test_a_target_that_never_answers_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing could be measured of t: .*on fire"):
        run(Asked(fails=range(9)), tmp_path / "a.jsonl", [question(n) for n in range(9)])
    assert not (tmp_path / "a.jsonl").exists() or not read_records(tmp_path / "a.jsonl")


def test_rows_count_tokens_and_cost_of_what_was_solved(tmp_path):
    half = Asked(
        lambda prompt: "yes" if int(prompt.split("Number ")[1].split("?")[0]) % 2 else "no"
    )
    records = run(half, tmp_path / "a.jsonl", [question(n) for n in range(10)])
    [row] = rows_of(records, Prices(1.0, 10.0))
    assert row["pass1"] == 0.5 and row["interval"][0] < 0.5 < row["interval"][1]
    assert row["passk"] == 0.5 and row["k"] == 2 and row["passes"] == [0.5, 0.5]
    sampled = sum(record.tokens for record in records)
    assert row["tokens_per_solved"] == sampled / 10
    prompts = sum(record.prompt_tokens for record in records)
    assert row["cost_per_solved"] == pytest.approx((prompts + 10 * sampled) / 1e6 / 10)
    better = [replace(record, score=1.0) for record in records]
    [found] = compared(records, better)
    assert found["difference"] == 0.5 and found["p"] == 1 / 16 and found["tasks"] == 10


def test_pass_at_k_for_every_k(tmp_path):
    [first, *_] = records = run(Asked(), tmp_path / "a.jsonl", [question(0), question(1)])
    one_of_four = [replace(first, sample=n, score=float(n == 0)) for n in range(4)]
    all_of_three = [replace(first, task="other", sample=n, score=1.0) for n in range(3)]
    lost = replace(first, cell="lost", score=None)
    rows = {row["cell"]: row for row in rows_of([*one_of_four, *all_of_three, lost])}
    assert len(records) == 4 and rows["lost"]["passes"] == []
    # 1/4, 2/4 and 3/4 of the first, each 1 of the other; the fourth attempt only one of them has
    assert rows[first.cell]["passes"] == pytest.approx([0.625, 0.75, 0.875])


def test_a_cell_without_a_measured_attempt_has_no_figure(tmp_path):
    records = run(Asked(fails=(1,)), tmp_path / "a.jsonl", [question(0), question(1, cell="d")])
    whole = {row["cell"]: row for row in rows_of(records)}
    assert whole["d"]["pass1"] is None and whole["d"]["interval"] is None
    assert whole["all"]["pass1"] == 1 and whole["all"]["not_measured"] == 2
