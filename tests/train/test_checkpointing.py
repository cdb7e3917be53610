"""A checkpoint comes back bit for bit, or not at all and with a sentence that says what to do."""

import errno
import os
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from micro import write_micro
from speciale.errors import CheckpointError, SpecialeError
from speciale.model import Transformer
from speciale.train.checkpointing import (
    load_tensors,
    optimiser_tensors,
    restore_optimiser,
    save_tensors,
)
from speciale.train.loop import StagePlan, run_stage
from speciale.train.optimiser import build_optimiser
from speciale.train.recipe import read_recipe
from speciale.train.run import Run
from speciale.train.stages import stage_model, start_of

ADVICE = "delete it and run the same command again"


@pytest.fixture
def recipe(tmp_path):
    return read_recipe(str(write_micro(tmp_path / "source")))


def small(seed=0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 4))
    return model


def step(model, optimiser, number):
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(number))
    model(x).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)


def same(a, b):
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) and a[name].dtype == b[name].dtype for name in a)


def test_model_and_optimiser_continue_to_the_same_bits(tmp_path, recipe):
    model = small()
    optimiser = build_optimiser(list(model.parameters()), recipe.pretrain)
    for number in range(3):
        step(model, optimiser, number)
    path = tmp_path / "deep" / "part.safetensors"
    save_tensors(path, {**model.state_dict(), **optimiser_tensors(optimiser)}, {"step": 3})
    tensors, about = load_tensors(path)
    assert about == {"step": 3}
    assert os.listdir(path.parent) == [path.name]

    other = small(seed=1)
    resumed = build_optimiser(list(other.parameters()), recipe.pretrain)
    other.load_state_dict({n: t for n, t in tensors.items() if not n.startswith("optimiser.")})
    restore_optimiser(resumed, tensors)
    for number in range(3, 6):
        step(model, optimiser, number)
        step(other, resumed, number)
    assert same(model.state_dict(), other.state_dict())
    assert same(optimiser_tensors(optimiser), optimiser_tensors(resumed))

    # Without its moments the next step would be another one, so they do matter.
    fresh = build_optimiser(list(other.parameters()), recipe.pretrain)
    step(model, optimiser, 6)
    step(other, fresh, 6)
    assert not same(model.state_dict(), other.state_dict())


def test_every_kind_of_tensor_comes_back(tmp_path):
    tensors = {
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 4),
        "bf16": torch.randn(3, 5).bfloat16(),
        "ints": torch.arange(7),
        "turned": torch.randn(4, 6).T,  # not contiguous
        "nan": torch.tensor([float("nan"), -0.0]),
    }
    save_tensors(tmp_path / "a", tensors, {})
    loaded, _ = load_tensors(tmp_path / "a")
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].shape == tensor.shape
        bits = [t.contiguous().reshape(-1).view(torch.uint8) for t in (loaded[name], tensor)]
        assert torch.equal(*bits)


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "pretrain.safetensors"
    with pytest.raises(CheckpointError) as caught:
        load_tensors(path)
    assert str(caught.value) == f"checkpoint {path} does not exist: run the stage first"


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "part.safetensors"
    tensors = {"a": torch.randn(64, 64), "b": torch.randn(500)}
    save_tensors(path, tensors, {"stage": "sft", "step": 7, "seconds": 1.5})
    return path


def test_a_cut_file_is_named_wherever_it_was_cut(checkpoint):
    whole = checkpoint.read_bytes()
    for size in (0, 1, 7, 8, 50, 300, len(whole) // 2, len(whole) - 1):
        checkpoint.write_bytes(whole[:size])
        with pytest.raises(CheckpointError) as caught:
            load_tensors(checkpoint)
        text = str(caught.value)
        assert text.startswith(f"checkpoint {checkpoint} is corrupt or cut off (")
        assert ADVICE in text
        assert "\n" not in text


def test_a_flipped_bit_anywhere_is_found(checkpoint):
    """In the tensors, their names and shapes, and in the step that the stage goes on from."""
    whole = checkpoint.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(header), *range(header, len(whole), 997), len(whole) - 1]
    tensors, about = load_tensors(checkpoint)
    for place in places:
        for bit in (0, 3, 6):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            checkpoint.write_bytes(flipped)
            try:
                loaded, found = load_tensors(checkpoint)
            except CheckpointError as error:
                assert str(checkpoint) in str(error)
                assert ADVICE in str(error)
            else:  # only where nothing that is read has changed, such as a space
                assert found == about, (place, bit)
                assert same(loaded, tensors), (place, bit)
                assert place < header


def test_another_safetensors_file_is_no_checkpoint(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        load_tensors(path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_the_checkpoint_that_was_there(checkpoint, monkeypatch, code):
    whole = checkpoint.read_bytes()

    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpecialeError, match=f"full while writing {checkpoint}: free some space"):
        save_tensors(checkpoint, {"a": torch.zeros(3)}, {"step": 8})
    assert checkpoint.read_bytes() == whole
    assert os.listdir(checkpoint.parent) == [checkpoint.name]
    monkeypatch.undo()
    save_tensors(checkpoint, {"a": torch.zeros(3)}, {"step": 8})
    assert load_tensors(checkpoint)[1] == {"step": 8}


def plan(run, stage):
    settings, start = run.recipe.stage(stage), start_of(run, stage)
    return StagePlan(
        stage, settings, 16, start, batch=None, losses=None, validate=None, valid_every=1
    )


def test_a_checkpoint_of_another_model_is_refused_by_name(tmp_path, recipe):
    run = Run.create(tmp_path / "run", recipe, "test")
    other = recipe.model_copy(update={"model": {**recipe.model, "hidden_size": 40}})
    wrong = Transformer(other.model_config_checked()).state_dict()
    for path in (run.finished("pretrain"), run.partial("warmup")):
        save_tensors(path, wrong, {"stage": "pretrain", "step": 1, "seconds": 1.0})
    for path in (run.partial("warmup"), run.finished("pretrain")):
        with pytest.raises(CheckpointError) as caught:
            run_stage(run, run.config, plan(run, "warmup"), peak_gflops=1.0)
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert "has shape" in text
        assert "40" in text
        assert ADVICE in text
        path.unlink()


def test_a_checkpoint_that_lacks_weights_is_refused_by_name(tmp_path, recipe):
    run = Run.create(tmp_path / "run", recipe, "test")
    path = run.finished("sparse")
    state = Transformer(run.config).state_dict()
    first = min(state)
    save_tensors(path, {n: t for n, t in state.items() if n != first}, {})
    with pytest.raises(CheckpointError, match=f"{path} lacks '{first}' .*{ADVICE}"):
        stage_model(run, "sparse")
    save_tensors(path, {**state, "extra": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match=f"{path} holds 'extra'.*{ADVICE}"):
        stage_model(run, "sparse")


def test_finished_weights_are_read_by_any_safetensors_reader(tmp_path):
    save_tensors(tmp_path / "a", {"w": torch.arange(4.0)}, {"stage": "sft"})
    assert load_file(tmp_path / "a")["w"].tolist() == [0, 1, 2, 3]
