"""A run that is stopped anywhere, any number of times, ends in the bits of one that never was."""

import json
import os
import random
from pathlib import Path

import pytest

from micro import write_micro
from speciale import speedrun as whole
from speciale.train import loop, stages
from speciale.train.recipe import STAGES, read_recipe
from speciale.train.run import Run

FACTS = ("kind", "stage", "step", "tokens", "loss", "mtp_loss", "indexer_kl", "lr", "grad_norm")
VALID = ("text_loss", "recall")


class Stopper:
    """Raises KeyboardInterrupt at a seeded random one of the next events."""

    def __init__(self, seed):
        self.draw, self.left = random.Random(seed), None

    def arm(self):
        self.left = self.draw.randint(1, 40)

    def watch(self, function):
        def watched(*args, **kwargs):
            if self.left is None:
                return function(*args, **kwargs)
            self.left -= 1
            before = self.draw.random() < 0.5
            if self.left == 0 and before:
                raise KeyboardInterrupt
            result = function(*args, **kwargs)
            if self.left == 0:
                raise KeyboardInterrupt
            return result

        return watched


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "measure_peak_gflops", lambda *_: 1.0)
    monkeypatch.setattr(whole, "evaluate", lambda run, model: None)
    monkeypatch.setattr(whole, "write_report", lambda folder: folder / "report.html")
    return read_recipe(str(write_micro(tmp_path)))


def contents(folder):
    """Every file that must not depend on how often the run was stopped."""
    found = {}
    for part in ("data", "stages", "model"):
        for path in sorted((folder / part).rglob("*")):
            found[f"{part}/{path.name}"] = path.read_bytes()
    return found


def measured(folder):
    """What the metrics say but for times: one list item a line, in the file's order."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: line[key] for key in FACTS + VALID if key in line} for line in lines]


@pytest.mark.slow
def test_stopped_at_random_events_and_continued(tmp_path, recipe, monkeypatch):
    whole.speedrun(tmp_path / "reference", recipe, "test")
    expected = contents(tmp_path / "reference")
    assert {f"stages/{stage}.safetensors" for stage in STAGES} < expected.keys()
    assert "model/config.json" in expected

    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 0.0)
    stopper = Stopper(seed=1)
    monkeypatch.setattr(os, "replace", stopper.watch(os.replace))
    monkeypatch.setattr(os, "fsync", stopper.watch(os.fsync))
    monkeypatch.setattr(loop, "learning_rate", stopper.watch(loop.learning_rate))
    monkeypatch.setattr(Run, "log", stopper.watch(Run.log))
    folder, stops = tmp_path / "stopped", []
    for _ in range(200):
        stopper.arm()
        try:
            whole.speedrun(folder, recipe, "test")
            break
        except KeyboardInterrupt:
            done = [s for s in STAGES if (folder / "stages" / f"{s}.safetensors").exists()]
            started = (folder / "data" / "chat.npy").exists()
            stops.append(len(done) if started else "data")
    assert len(stops) >= 10
    assert {"data", 0, 1, 2, 3} <= set(stops)  # in the preparation and in each of the four stages
    assert contents(folder) == expected
    assert measured(folder) == measured(tmp_path / "reference")


@pytest.mark.parametrize("at", [1, 6, 11])
def test_a_stage_continues_from_its_checkpoint_not_from_its_start(micro, monkeypatch, at):
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 0.0)
    steps = []
    rate = loop.learning_rate

    def learning_rate(settings, step):
        steps.append(step)
        if step == at and stopping:
            raise KeyboardInterrupt
        return rate(settings, step)

    monkeypatch.setattr(loop, "learning_rate", learning_rate)
    stopping = True
    with pytest.raises(KeyboardInterrupt):
        whole.train_stage(micro, "pretrain")
    assert set(steps) == set(range(at + 1))
    steps.clear()
    stopping = False
    whole.train_stage(micro, "pretrain")
    assert set(steps) == set(range(at, micro.recipe.pretrain.steps))
    assert sorted(p.name for p in (micro.folder / "stages").iterdir()) == ["pretrain.safetensors"]


def test_a_finished_run_does_nothing_again(tmp_path, recipe, monkeypatch):
    whole.speedrun(tmp_path / "run", recipe, "test")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*") if p.is_file()}

    def forbidden(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(loop, "learning_rate", forbidden)
    whole.speedrun(tmp_path / "run", recipe, "test")
    after = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*") if p.is_file()}
    del before[tmp_path / "run" / ".lock"], after[tmp_path / "run" / ".lock"]
    assert before == after


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_at_twenty_random_moments_of_a_real_process(tmp_path, monkeypatch):
    """`kill -9` in the preparation, in each stage and in the evaluation; see the benchmark."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from kill_resume import PARTS, measure, part_of

    recipe = write_micro(tmp_path, pretrain=120, warmup=60, sparse=80, sft=100)
    rows, same = measure(str(recipe), tmp_path / "runs", kills=20, seed=3, every=0.2)
    assert same, rows
    killed = [row for row in rows if isinstance(row["kill"], int)]
    assert len(killed) == 20
    assert {part_of(row["during"]) for row in killed} == set(PARTS)
    assert any(row.get("goes on from", 0) > 0 for row in killed)
