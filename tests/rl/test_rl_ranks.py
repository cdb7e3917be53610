"""RL whose learner is on several ranks learns what one process learns, and goes on from its state
with another number of them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from rl.on_ranks import train
from rl.small import letter_tasks, small_model
from speciale.rl import draws, trainer

CASES = {
    "plain": ({}, {}),
    "experts": ({"experts": 2}, {"train": {"updates": 2}}),
    "kl": ({}, {"objective": {"kl_weight": 0.05}, "train": {"train_indexer": True}}),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _as_the_ranks(monkeypatch):
    monkeypatch.setattr(draws, "load_tasks", letter_tasks)
    monkeypatch.setattr(trainer, "write_report", lambda _: None)


def on_ranks(count: int, model: Path, out: Path, layout: dict, tables: dict) -> None:
    script = Path(__file__).with_name("on_ranks.py")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    job = json.dumps({"layout": layout, "tables": tables})
    command = [sys.executable, *launch, str(script), str(model), str(out), job]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]


def steps_of(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "step"]


def assert_same(ours: Path, theirs: Path, start: Path) -> None:
    """The same metrics; and weights that differ by little of the way that they went from `start`,
    since AdamW makes full steps also where a gradient is nothing but rounding."""
    found, expected = steps_of(ours), steps_of(theirs)
    assert len(found) == len(expected) == 4
    for one, other in zip(found, expected):
        assert one["reward"] == other["reward"]  # the same samples
        for key in ("entropy", "kl", "k3", "grad_norm", "masked", "indexer_kl"):
            if key in other:
                assert one[key] == pytest.approx(other[key], rel=1e-3, abs=1e-6), key
        # Where index scores tie, sampler and trainer may select otherwise: rarely, not everywhere.
        assert one["gap"]["mean"] < 1e-3
    ours, theirs, start = (
        load_file(folder / "model.safetensors")
        for folder in (ours / "model", theirs / "model", start)
    )
    apart = sum(float((ours[name] - theirs[name]).square().sum()) for name in start)
    way = sum(float((theirs[name] - start[name]).square().sum()) for name in start)
    assert way > 0 and apart < 0.02**2 * way, (apart / way) ** 0.5


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_learn_what_one_does(model, tmp_path, case):
    layout, tables = CASES[case]
    train(model, tmp_path / "one", {}, json.loads(json.dumps(tables)))
    on_ranks(2, model, tmp_path / "two", layout, tables)
    assert_same(tmp_path / "two", tmp_path / "one", model)


@pytest.mark.slow
def test_a_state_of_two_ranks_goes_on_on_one_and_on_three(model, tmp_path):
    train(model, tmp_path / "one", {}, {})
    on_ranks(2, model, tmp_path / "two", {}, {"train": {"steps": 2}})
    for count in (1, 3):
        folder = shutil.copytree(tmp_path / "two", tmp_path / str(count))
        recipe = folder / "recipe.toml"
        recipe.write_text((tmp_path / "one" / "recipe.toml").read_text())
        shutil.rmtree(folder / "model")
        if count == 1:
            train(model, folder, {}, {})
        else:
            on_ranks(count, model, folder, {}, {})
        assert_same(folder, tmp_path / "one", model)
