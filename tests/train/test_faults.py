"""Training that cannot go on stops with one sentence, and what it had reached stays good."""

import errno
import math
import os
import re

import pytest
import torch

from speciale.errors import SpecialeError, TrainingError
from speciale.train import loop, stages
from speciale.train.checkpointing import load_tensors
from speciale.train.run import Run
from speciale.train.stages import train_stage


def checkpoints(run):
    return {p.name: p.read_bytes() for p in (run.folder / "stages").iterdir()}


def finite(path):
    return all(bool(tensor.isfinite().all()) for tensor in load_tensors(path)[0].values())


def broken_losses(at, change):
    """`language_losses` whose total is changed from its call number `at` (from 1) on."""
    calls = iter(range(1, 1000))
    losses = stages.language_losses

    def broken(model, *arguments, **named):
        found = losses(model, *arguments, **named)
        return change(found) if next(calls) >= at else found

    return broken


def nan_loss(losses):
    losses.parts["loss"] = math.nan
    return losses


def nan_gradient(losses):
    losses.total = losses.total * torch.tensor(math.nan)
    return losses


@pytest.mark.parametrize("change, what", [(nan_loss, "loss"), (nan_gradient, "gradient norm")])
def test_a_loss_that_is_not_finite_stops_the_stage(micro, monkeypatch, change, what):
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(stages, "language_losses", broken_losses(5, change))
        with pytest.raises(TrainingError) as caught:
            train_stage(micro, "pretrain")
    text = str(caught.value)
    assert f"{what} became nan in stage 'pretrain' at step 5: lower pretrain.learning_rate" in text
    assert "(now 0.003)" in text
    assert "\n" not in text
    partial = micro.partial("pretrain")
    assert load_tensors(partial)[1]["step"] == 4
    assert finite(partial)
    assert not micro.finished("pretrain").exists()
    train_stage(micro, "pretrain")  # the trouble was not in what was kept
    assert finite(micro.finished("pretrain"))


@pytest.mark.parametrize("learning_rate", [1e20, 3e38])
@pytest.mark.parametrize("every", [0.0, 20.0])
def test_an_absurd_learning_rate_leaves_no_broken_checkpoint(
    micro, monkeypatch, learning_rate, every
):
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", every)
    settings = micro.recipe.pretrain.model_copy(update={"learning_rate": learning_rate})
    run = Run(micro.folder, micro.recipe.model_copy(update={"pretrain": settings}))
    with pytest.raises(
        TrainingError, match=rf"'pretrain' at step \d+: .*now {re.escape(str(learning_rate))}"
    ):
        train_stage(run, "pretrain")
    assert not run.finished("pretrain").exists()
    assert all(map(finite, (run.folder / "stages").iterdir()))
    assert "NaN" not in (run.metrics.read_text() if run.metrics.exists() else "")


def test_weights_that_leave_float32_in_the_last_step_are_not_kept(micro, monkeypatch):
    """The loss of the last step is that of the weights before it, and says nothing."""
    last = micro.recipe.pretrain.steps - 1
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr(
        loop, "learning_rate", lambda settings, step: math.inf if step == last else 1e-3
    )
    with pytest.raises(TrainingError, match=r"the largest weight became (nan|inf) .* at step 12"):
        train_stage(micro, "pretrain")
    assert load_tensors(micro.partial("pretrain"))[1]["step"] == last
    assert not micro.finished("pretrain").exists()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fills_up_stops_the_stage_and_it_goes_on_later(micro, monkeypatch, call):
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 0.0)
    real, calls = getattr(os, call), iter(range(100))

    def full(*arguments):
        if next(calls) >= 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(SpecialeError, match=r"disk or quota was full while writing .*pretrain"):
            train_stage(micro, "pretrain")
    assert list(checkpoints(micro)) == ["pretrain.part.safetensors"]
    assert finite(micro.partial("pretrain"))
    reached = load_tensors(micro.partial("pretrain"))[1]["step"]
    assert 0 < reached < micro.recipe.pretrain.steps
    train_stage(micro, "pretrain")
    assert list(checkpoints(micro)) == ["pretrain.safetensors"]


def test_metrics_on_a_full_disk_stop_the_stage_and_it_goes_on_later(micro, monkeypatch):
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 0.0)
    log = Run.log

    def full(run, **record):
        if record.get("step") == 10:
            micro.metrics.rename(micro.folder / "kept")
            os.symlink("/dev/full", micro.metrics)
        log(run, **record)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "log", full)
        with pytest.raises(SpecialeError, match=f"full while writing {micro.metrics}: free"):
            train_stage(micro, "pretrain")
    (micro.folder / "kept").replace(micro.metrics)
    train_stage(micro, "pretrain")
    assert finite(micro.finished("pretrain"))


@pytest.mark.parametrize("stage, before", [("warmup", "pretrain"), ("sft", "sparse")])
def test_a_stage_before_its_turn_says_which_one_is_first(micro, stage, before):
    (micro.data / "chat.npy").unlink()
    with pytest.raises(SpecialeError) as caught:
        train_stage(micro, stage)
    assert str(caught.value) == (
        f"stage {stage!r} continues {before!r}, which {micro.folder} has not finished: "
        f"run `speciale train {before}` first"
    )
    assert not (micro.data / "chat.npy").exists()  # said before the data is made
