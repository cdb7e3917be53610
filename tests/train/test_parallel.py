"""Ranks compute what one process computes: loss curves of FSDP, expert and context parallel and of
all together, checkpoints that go on with another number of ranks, and layouts that cannot be."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from speciale.errors import CheckpointError, ConfigError
from speciale.train.parallel.checkpoint import newest
from speciale.train.parallel.ranks import Layout, Ranks
from speciale.train.progress import console
from train.staged import config, train

STEPS = 8
LAYOUTS = {
    2: [
        {},
        {"context": 2},
        {"experts": 2, "context": 2},
        {"micro_batch": 4},
        {"recompute": True, "experts": 2, "context": 2, "micro_batch": 5},
    ],
    4: [
        {},
        {"context": 4},
        {"experts": 4},
        {"experts": 2},
        {"context": 2},
        {"experts": 2, "context": 2},
        {"experts": 4, "context": 2},
        {"experts": 2, "context": 4},
        {"recompute": True, "experts": 2, "context": 2},
    ],
}


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setattr(console, "quiet", True)


def on_ranks(count: int, out: Path, jobs: list[dict]) -> subprocess.CompletedProcess:
    script = Path(__file__).with_name("staged.py")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, *launch, str(script), str(out), json.dumps(jobs)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def run_on_ranks(count: int, out: Path, jobs: list[dict]) -> None:
    done = on_ranks(count, out, jobs)
    assert done.returncode == 0, done.stderr[-3000:]


def steps_of(folder: Path) -> dict[int, dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines if line["kind"] == "train"}


def assert_same(found: Path, expected: Path, steps: int = STEPS) -> None:
    ours, theirs = steps_of(found), steps_of(expected)
    assert ours.keys() == theirs.keys() == set(range(1, steps + 1))
    for step, one in theirs.items():
        for name in ("loss", "mtp_loss", "indexer_kl"):
            if name in one:
                assert abs(one[name] - ours[step][name]) < 1e-5, (found.name, step, name)
        assert one["expert_load"] == ours[step]["expert_load"], (found.name, step)
        assert abs(one["grad_norm"] - ours[step]["grad_norm"]) < 1e-3 * one["grad_norm"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process gets of each stage."""
    folder = tmp_path_factory.mktemp("alone")
    for stage in ("pretrain", "warmup", "sparse"):
        train(folder / stage, {}, stage, STEPS)
    return folder


def jobs_of(layouts: list[dict], stages=("sparse",)) -> list[dict]:
    return [
        {"name": f"{stage}-{n}", "layout": layout, "stage": stage, "steps": STEPS}
        for stage in stages
        for n, layout in enumerate(layouts)
    ]


@pytest.mark.slow
def test_two_ranks_get_the_curves_of_one(alone, tmp_path):
    jobs = jobs_of(LAYOUTS[2]) + jobs_of(LAYOUTS[2][-1:], ("pretrain", "warmup"))
    run_on_ranks(2, tmp_path, jobs)
    for job in jobs:
        assert_same(tmp_path / job["name"], alone / job["stage"])


@pytest.mark.slow
def test_four_ranks_get_the_curves_of_one_in_every_layout(alone, tmp_path):
    jobs = jobs_of(LAYOUTS[4], ("sparse", "pretrain", "warmup"))
    run_on_ranks(4, tmp_path, jobs)
    for job in jobs:
        assert_same(tmp_path / job["name"], alone / job["stage"])


@pytest.mark.slow
def test_float32_too(tmp_path):
    train(tmp_path / "alone", {}, "pretrain", STEPS, single=True)
    job = {"name": "ranks", "layout": {"experts": 2}, "stage": "pretrain", "steps": STEPS}
    run_on_ranks(2, tmp_path, [{**job, "single": True}])
    assert_same(tmp_path / "ranks", tmp_path / "alone")


@pytest.mark.slow
def test_the_weights_at_the_end_are_those_of_one(alone, tmp_path):
    from safetensors.torch import load_file

    run_on_ranks(2, tmp_path, jobs_of([{"experts": 2}]))
    ours = load_file(tmp_path / "sparse-0" / "sparse.safetensors")
    theirs = load_file(alone / "sparse" / "sparse.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.allclose(ours[name], tensor, atol=1e-5), name


def test_one_process_may_go_in_micro_batches_too(alone, tmp_path):
    train(tmp_path / "parts", {"micro_batch": 5}, "sparse", STEPS)
    assert_same(tmp_path / "parts", alone / "sparse")


def test_the_comparison_can_fail(alone, tmp_path):
    """A rank's loss that is averaged over its own tokens is another one."""
    train(tmp_path / "other", {}, "sparse", STEPS, bias_speed=0.02)
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "other", alone / "sparse")


@pytest.mark.slow
def test_a_checkpoint_of_four_goes_on_on_one_two_and_three(alone, tmp_path):
    job = {"layout": {"experts": 2, "context": 2}, "stage": "sparse", "steps": STEPS}
    run_on_ranks(4, tmp_path, [{**job, "name": "four", "stop": 4}])
    partial = tmp_path / "four" / "sparse.part.safetensors"
    assert newest(partial).name == "sparse.part-00000004"
    assert len(list((tmp_path / "four").glob("sparse.part-*"))) == 1  # older ones are gone
    for count in (1, 2, 3):
        shutil.copytree(tmp_path / "four", tmp_path / str(count))
    train(tmp_path / "1", {}, "sparse", STEPS)
    run_on_ranks(2, tmp_path, [{**job, "name": "2"}])
    run_on_ranks(3, tmp_path, [{**job, "name": "3", "layout": {}}])
    for count in (1, 2, 3):
        assert_same(tmp_path / str(count), alone / "sparse")
        assert not list((tmp_path / str(count)).glob("sparse.part*"))


@pytest.mark.slow
def test_a_checkpoint_of_one_goes_on_on_two(alone, tmp_path):
    train(tmp_path / "one", {}, "sparse", STEPS, stop=4)
    assert (tmp_path / "one" / "sparse.part.safetensors").exists()
    run_on_ranks(2, tmp_path, [{"name": "one", "layout": {"experts": 2}, "steps": STEPS}])
    assert_same(tmp_path / "one", alone / "sparse")


@pytest.mark.slow
def test_a_checkpoint_that_lacks_a_part_is_named(tmp_path):
    run_on_ranks(2, tmp_path, [{"name": "run", "layout": {}, "stop": 2}])
    folder = newest(tmp_path / "run" / "sparse.part.safetensors")
    next(folder.glob("__1_*.distcp")).unlink()
    with pytest.raises(CheckpointError, match=r"sparse\.part-00000002 cannot be read"):
        train(tmp_path / "run", {}, "sparse", STEPS)


def test_a_half_written_checkpoint_does_not_count(tmp_path):
    for step, whole in ((3, True), (7, False)):
        folder = tmp_path / f"sparse.part-{step:08d}"
        folder.mkdir()
        if whole:
            (folder / "about.json").write_text("{}")
    assert newest(tmp_path / "sparse.part.safetensors").name == "sparse.part-00000003"


def test_layouts_that_cannot_be(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="--context-ranks 2 does not divide the 3 processes"):
        Ranks.join(Layout(context=2))
    with pytest.raises(ConfigError, match="--expert-ranks 4 does not divide"):
        Ranks.join(Layout(experts=4))
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(ConfigError, match="torchrun"):
        Ranks.join(Layout(recompute=True))
    with pytest.raises(ConfigError, match="FP8"):
        Ranks.join(Layout(fp8=True))
    for layout, told in (
        (Layout(), "batch_size 12 cannot be shared by 8 ranks"),
        (Layout(context=8), "the training context 30 cannot be shared by 8 ranks"),
    ):
        with pytest.raises(ConfigError, match=told):
            Ranks(layout, 0, 8).check(config(), 12, 30)
    with pytest.raises(ConfigError, match="n_routed_experts 8 cannot be shared by 6 ranks"):
        Ranks(Layout(experts=6), 0, 6).check(config(), 12, 30)
