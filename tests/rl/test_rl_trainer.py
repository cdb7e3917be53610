"""The loop: it learns, resumes to the same bits, and survives what goes wrong with attempts."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from rl.small import letter_tasks, small_model, small_recipe
from speciale.cli import app
from speciale.errors import CheckpointError, NoSignalError, TrainingError
from speciale.rl import draws
from speciale.rl.run import RlRun
from speciale.rl.trainer import Trainer
from speciale.tasks.task import Verdict
from speciale.train.checkpointing import load_tensors


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _tasks(monkeypatch):
    monkeypatch.setattr(draws, "load_tasks", letter_tasks)
    # Seconds of drawing; test_rl_report.py has it.
    monkeypatch.setattr("speciale.rl.trainer.write_report", lambda folder: None)


def trained(folder, recipe, until=None):
    """Runs a recipe; `until`: stops, as if killed, before that step's state is saved."""
    run = RlRun.create(folder, recipe, "test")
    trainer = Trainer(run)
    if until is not None:
        save = trainer._save

        def killed(source):
            if trainer.step == until:
                raise KeyboardInterrupt
            save(source)

        trainer._save = killed
    try:
        trainer.train()
    except KeyboardInterrupt:
        assert until is not None
    return run


def records(run, kind):
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def curve(run):
    """What does not depend on the clock."""
    timed = {"time", "seconds", "rate", "phases", "busy", "evaluation_seconds"}
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in timed} for line in lines]


def test_it_learns(tmp_path, model):
    run = trained(
        tmp_path / "run", small_recipe(model, train={"steps": 30}, evaluation={"every": 30})
    )
    evaluations = records(run, "eval")
    first, last = (evaluations[n]["rows"][0]["pass1"] for n in (0, -1))
    scores = [record["score"] for record in records(run, "step")]
    assert sum(scores[-5:]) / 5 > sum(scores[:5]) / 5 + 0.2, scores
    assert last >= first


@pytest.mark.parametrize("killed", [1, 4])
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, model, killed):
    recipe = small_recipe(model)
    whole = trained(tmp_path / "whole", recipe)
    cut = trained(tmp_path / "cut", recipe, until=killed)
    cut = trained(tmp_path / "cut", recipe)
    (tensors, about), (wanted, wanted_about) = load_tensors(cut.state), load_tensors(whole.state)
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    assert {**about, "seconds": 0} == {**wanted_about, "seconds": 0}
    assert curve(cut) == curve(whole)
    samples = [json.loads(line) for line in cut.samples.read_text().splitlines()]
    assert samples == [json.loads(line) for line in whole.samples.read_text().splitlines()]


def test_asynchronous_sampling_keeps_its_bound_and_resumes(tmp_path, model):
    """Sampling goes on while the trainer learns; what waited when it was killed is used."""
    recipe = small_recipe(
        model, rollout={"staleness": 2}, train={"steps": 8}, evaluation={"every": 100}
    )
    run = trained(tmp_path / "run", recipe, until=4)
    tensors, about = load_tensors(run.state)
    assert about["step"] == 3 and about["waiting"]["ready"] + about["waiting"]["under_way"]
    buffered = {row["number"] for row in about["waiting"]["ready"]}
    assert all(f"buffer.{n}.0.0.ids" in tensors for n in range(len(buffered)))
    run = trained(tmp_path / "run", recipe)
    steps = records(run, "step")
    assert [record["step"] for record in steps] == list(range(1, 9))
    ages = [record["staleness"]["max"] for record in steps]
    assert 0 < max(ages) <= 2, ages
    assert all(record["groups"]["kept"] == 4 for record in steps)


def ruled(verify):
    """`load_tasks` whose tasks all have this verifier."""

    def load(*args, **kwargs):
        for task in letter_tasks(*args, **kwargs):
            yield replace(task, verifier=verify)

    return load


def test_a_run_whose_attempts_all_fail_ends_with_the_reason(tmp_path, model, monkeypatch):
    async def broken(_attempt):
        raise ZeroDivisionError("what a pity")

    monkeypatch.setattr(draws, "load_tasks", ruled(broken))
    run = RlRun.create(tmp_path / "run", small_recipe(model), "test")
    with pytest.raises(TrainingError, match=r"failed {'reward': 3\d}.*ZeroDivisionError: what a"):
        Trainer(run).train()
    _, about = load_tensors(run.state)
    assert about["step"] == 3  # and the same command goes on from there


def test_a_run_that_teaches_nothing_says_so(tmp_path, model, monkeypatch):
    async def never(_attempt):
        return Verdict(0.0, ("no",))

    monkeypatch.setattr(draws, "load_tasks", ruled(never))
    recipe = small_recipe(model, rollout={"dynamic_sampling": True})
    with pytest.raises(NoSignalError, match="groups 0 were all right and the others all wrong"):
        Trainer(RlRun.create(tmp_path / "run", recipe, "test")).train()


def test_dynamic_sampling_trains_on_what_tells_something(tmp_path, model):
    recipe = small_recipe(
        model, rollout={"dynamic_sampling": True, "group_size": 2, "most_draws": 3.0}
    )
    steps = records(trained(tmp_path / "run", recipe), "step")
    for record in steps:
        groups = record["groups"]
        useless = groups["all_right"] + groups["all_wrong"] + groups["failed"]
        assert groups["kept"] == groups["drawn"] - useless
        assert groups["kept"] <= 4 and groups["drawn"] <= 12
    assert any(record["groups"]["drawn"] > 4 for record in steps)


def test_a_model_with_a_reference_stays_near_it(tmp_path, model):
    """The KL's weight holds the policy: with a large one it moves less."""

    def moved(weight):
        recipe = small_recipe(model, objective={"kl_weight": weight}, train={"steps": 8})
        return records(trained(tmp_path / str(weight), recipe), "step")[-1]["kl"]

    assert 0 <= moved(5.0) < moved(0.001)


def test_a_missing_model_leaves_no_folder_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["rl", "rl-laptop"], ["distill", "distill"]):
        result = CliRunner().invoke(app, command)
        assert isinstance(result.exception, CheckpointError)
        assert "no finished model at runs/laptop" in str(result.exception)
    assert not list(tmp_path.iterdir())
