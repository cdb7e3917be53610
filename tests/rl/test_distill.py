"""Distillation: the student learns what its specialist solved, resumes, and says what is wrong."""

import asyncio
import json

import pytest

from rl.small import letter_tasks, small_model, small_recipe
from speciale.chat.tokenizer import load_tokenizer
from speciale.errors import CheckpointError, DataError
from speciale.model import load_model
from speciale.rl import draws
from speciale.rl.batches import sampler_core
from speciale.rl.distill import DistillRecipe, DistillRun, best, distill
from speciale.rl.evaluation import Evaluator
from speciale.rl.rewards.settings import build
from speciale.rl.rollouts import Rollout
from speciale.rl.sequences import Sequence


@pytest.fixture(autouse=True)
def _tasks(monkeypatch):
    monkeypatch.setattr(draws, "load_tasks", letter_tasks)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model"))


def recipe(model, specialist=None, **changes):
    letters = {"model": str(specialist or model), "sources": ["letters"], "thinking": "off"}
    return DistillRecipe.model_validate(
        {
            "name": "d",
            "student": str(model),
            "context": 64,
            "rollout": {"groups": 8, "group_size": 4, "max_tokens": 8, "window": 128},
            "train": {"steps": 50, "batch_size": 4, "learning_rate": 2e-2, "mtp_weight": 0.0},
            "specialists": {"letters": {**letters, "tasks": 40, "kept": 4}},
            **changes,
        }
    )


def pass_rate(folder):
    small = small_recipe(folder, evaluation={"tasks": 16, "samples": 4})
    evaluator = Evaluator(small, {"letters": build(small.domains["letters"].rewards)})
    core = sampler_core(load_model(folder), small.rollout, 0)
    rows, _ = asyncio.run(evaluator.run(core, load_tokenizer(folder), 0))
    return rows[0]["pass1"]


def test_the_student_learns_what_was_solved(tmp_path, model):
    run = DistillRun.create(tmp_path / "run", recipe(model), "test")
    distill(run)
    rows = [json.loads(line) for line in (run.data / "letters.jsonl").read_text().splitlines()]
    assert rows and all(len(row["ids"]) == len(row["sampled"]) for row in rows)
    assert all(row["messages"][-1]["content"][0].isascii() for row in rows)
    assert pass_rate(run.model) > pass_rate(model) + 0.1
    weights = (run.model / "config.json").stat().st_mtime_ns
    before = (run.data / "letters.jsonl").stat().st_mtime_ns
    distill(run)  # again: nothing is sampled anew
    assert (run.data / "letters.jsonl").stat().st_mtime_ns == before
    assert (run.model / "config.json").stat().st_mtime_ns >= weights


def test_a_specialist_that_solves_nothing_is_named(tmp_path, model, monkeypatch):
    async def never(_attempt):
        from speciale.tasks.task import Verdict

        return Verdict(0.0, ("no",))

    def unsolved(*args, **kwargs):
        from dataclasses import replace

        for task in letter_tasks(*args, **kwargs):
            yield replace(task, verifier=never)

    monkeypatch.setattr(draws, "load_tasks", unsolved)
    run = DistillRun.create(tmp_path / "run", recipe(model), "test")
    with pytest.raises(DataError, match="specialist 'letters' solved none of 40 tasks"):
        distill(run)


def test_a_specialist_with_another_tokenizer_is_refused(tmp_path, model):
    other = small_model(tmp_path / "other")
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text.replace('"Q":', '"@@":').replace('"R":', '"Q":'))
    run = DistillRun.create(tmp_path / "run", recipe(model, specialist=other), "test")
    with pytest.raises(CheckpointError, match="another tokenizer"):
        distill(run)


def test_the_best_are_solved_distinct_and_of_the_highest_reward():
    def attempt(ids, score, reward):
        sequence = Sequence(ids, [False, True], [0.0, 0.0], [-1, 0], [None, None], None)
        return Rollout([sequence], score, reward, {}, 1, 1, False, [])

    attempts = [
        attempt([1, 2], 1.0, 0.5), attempt([1, 3], 1.0, 0.9), attempt([1, 3], 1.0, 0.9),
        attempt([1, 4], 0.0, 5.0),
    ]  # fmt: skip
    assert [a.sequences[0].ids for a in best(attempts, 3)] == [[1, 3], [1, 2]]
    assert len(best(attempts, 1)) == 1
