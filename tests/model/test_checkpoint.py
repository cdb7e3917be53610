"""Checkpoints: every weight of the released form lands where it belongs, and what is wrong with a
folder is told with the file."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.configs import random_model, tiny_config
from model.released import by_blocks, config_values, fp8_of, shapes, write
from speciale.errors import CheckpointError
from speciale.model import load_model, save_model
from speciale.model.checkpoint.fp8 import dequantise, quantise
from speciale.model.checkpoint.loading import fill
from speciale.model.checkpoint.pieces import pieces_of
from speciale.model.checkpoint.weights import Weights
from speciale.model.moe import Experts

FILE = "model-{:05d}-of-000004.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    return folder, write(folder, config_values())


@pytest.fixture
def copy(checkpoint, tmp_path):
    return shutil.copytree(checkpoint[0], tmp_path / "copy")


def test_the_pieces_are_the_released_names_and_shapes(checkpoint):
    pieces = pieces_of(Weights(checkpoint[0]).config)
    assert {name: piece.shape for name, piece in pieces.items()} == shapes(config_values())


@pytest.mark.parametrize("exact", [True, False])
def test_dequantising_equals_the_loop_over_blocks_bit_for_bit(exact):
    for shape in ((128, 128), (1, 5), (130, 257), (384, 100)):
        weight, scale = fp8_of(shape, torch.Generator().manual_seed(1), exact)
        assert torch.equal(dequantise(weight, scale), by_blocks(weight, scale))


def test_powers_of_two_quantise_back_to_the_same_bits():
    for shape in ((128, 128), (1, 5), (130, 257), (384, 100)):
        weight, scale = fp8_of(shape, torch.Generator().manual_seed(2))
        again, scale_again = quantise(dequantise(weight, scale))
        assert torch.equal(scale, scale_again)
        assert torch.equal(weight.view(torch.uint8), again.view(torch.uint8))


def test_quantising_rounds_by_half_a_step_at_most_and_keeps_zeros():
    drawn = torch.randn(200, 300, generator=torch.Generator().manual_seed(3))
    for power_of_two in (True, False):
        values, scale = quantise(drawn, power_of_two)
        assert values.float().abs().max() <= 448
        error = (dequantise(values, scale) - drawn).abs()
        # three bits behind the point: 1/16 of the value, or half the smallest step 2^-9 of a block
        assert (error <= drawn.abs() / 16 + scale.max() * 2**-10).all()
    values, scale = quantise(torch.zeros(130, 3))
    assert not dequantise(values, scale).any() and torch.equal(scale, torch.ones(2, 1))


def test_every_weight_is_the_reference_dequantisation_bit_for_bit(checkpoint):
    folder, truth = checkpoint
    model = load_model(folder)
    state = model.state_dict()
    seen = set()
    for name, piece in pieces_of(model.config).items():
        if not piece.copy:
            assert torch.equal(piece.within(state[piece.parameter]), truth[name]), name
            seen.add(name)
    assert seen == truth.keys()


@torch.no_grad()
def test_released_and_packed_give_the_logits_of_transformers(checkpoint, tmp_path):
    from transformers import DeepseekV32ForCausalLM

    model = load_model(checkpoint[0])
    ids = torch.randint(0, 300, (2, 48), generator=torch.Generator().manual_seed(0))
    save_model(model, tmp_path, layout="packed")
    theirs = DeepseekV32ForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert (theirs(ids).logits - model(ids)).abs().max() < 1e-4 * model(ids).abs().max()
    assert torch.equal(load_model(tmp_path)(ids), model(ids))


def test_a_model_may_be_loaded_in_bfloat16(checkpoint):
    model = load_model(checkpoint[0], torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.layers[1].mlp.gate.e_score_correction_bias.dtype == torch.float32
    exact = load_model(checkpoint[0])
    for name, tensor in exact.state_dict().items():
        assert torch.equal(tensor.to(model.state_dict()[name].dtype), model.state_dict()[name])


@torch.no_grad()
def test_the_first_layers_alone(checkpoint):
    whole, part = load_model(checkpoint[0]), load_model(checkpoint[0], layers=2)
    assert len(part.layers) == 2 and part.mtp is None
    ids = torch.arange(20)[None]
    seen = []
    hook = whole.layers[1].register_forward_hook(lambda _m, _i, out: seen.append(out[0]))
    whole(ids)
    hook.remove()
    assert torch.equal(part(ids), whole.lm_head(whole.norm(seen[0])))
    with pytest.raises(CheckpointError, match=r"4 layers of .* it has 3"):
        load_model(checkpoint[0], layers=4)


@pytest.fixture
def third_of_four():
    """This process as rank 2 of 4, with a backend that moves nothing."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    torch.distributed.init_process_group("fake", store=FakeStore(), rank=2, world_size=4)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("dim", [0, 1])
def test_a_rank_gets_its_own_part_and_reads_no_other_experts(
    checkpoint, monkeypatch, third_of_four, dim
):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard

    folder, _ = checkpoint
    weights = Weights(folder)
    whole, model = load_model(folder), load_model(folder)
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "experts"))
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            shape = list(parameter.shape)
            placements = [Shard(0)] if len(shape) == 1 else [Shard(dim)]
            cut = mesh["copies"]
            if isinstance(module, Experts):
                # rank 2 is the second of "copies" and the first of "experts"
                placements, cut = [Shard(1), Shard(0)], mesh
                shape[0] //= 2
                shape[1] //= 2
            else:
                shape[placements[0].dim] //= 2
            local = torch.full(shape, torch.nan)
            part = DTensor.from_local(local, cut, placements, run_check=False)
            setattr(module, name, torch.nn.Parameter(part))
    asked = []
    get = weights.get
    monkeypatch.setattr(weights, "get", lambda piece: asked.append(piece) or get(piece))
    fill(model, weights)
    assert {piece.expert for piece in asked} == {None, 0, 1, 2, 3}
    state = model.state_dict()
    for name, tensor in whole.state_dict().items():
        if not isinstance(state[name], DTensor):
            assert torch.equal(state[name], tensor)
            continue
        local = state[name].to_local()
        if ".experts." in name:
            expected = tensor.chunk(2, 0)[0].chunk(2, 1)[1]
        else:
            expected = tensor.chunk(2, dim if tensor.ndim > 1 else 0)[1]
        assert torch.equal(local, expected), name


def edit(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_a_truncated_file_is_named(copy):
    path = copy / FILE.format(3)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model-00003-of-000004.* corrupt or truncated"):
        load_model(copy)


def test_swapped_files_are_named(copy):
    second, third = copy / FILE.format(2), copy / FILE.format(3)
    second.rename(copy / "x")
    third.rename(second)
    (copy / "x").rename(third)
    with pytest.raises(
        CheckpointError, match=r"lies in model-0000[23]-.*, not in model-0000[23]-.*swapped"
    ):
        load_model(copy)


def test_a_file_under_another_ones_name_is_named(copy):
    shutil.copy(copy / FILE.format(2), copy / FILE.format(3))
    with pytest.raises(CheckpointError, match=r"model-00003-.* holds .*, as model-00002-.* does"):
        load_model(copy)


def test_a_missing_file_is_named(copy):
    (copy / FILE.format(4)).unlink()
    with pytest.raises(CheckpointError, match=r"model-00004-of-000004.safetensors is missing"):
        load_model(copy)


def test_a_weight_that_the_index_promises_and_the_file_lacks(copy):
    edit(copy / FILE.format(4), lambda t: t.pop("model.norm.weight"))
    with pytest.raises(CheckpointError, match=r"model-00004-.* lacks model.norm.weight, which"):
        load_model(copy)


def test_a_weight_that_nobody_holds(copy):
    edit(copy / FILE.format(4), lambda t: t.pop("model.norm.weight"))
    index = json.loads((copy / "model.safetensors.index.json").read_text())
    index["weight_map"].pop("model.norm.weight")
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"lacks 'model.norm.weight' \(1 weights missing"):
        load_model(copy)


def test_a_wrong_type_is_named(copy):
    name = "model.layers.0.self_attn.o_proj.weight"
    edit(copy / FILE.format(1), lambda t: t.update({name: t[name].to(torch.int8)}))
    with pytest.raises(CheckpointError, match=rf"model-00001-.*{name} has the type I8"):
        load_model(copy)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t, n: t.pop(f"{n}_scale_inv"), "is FP8 without"),
        (lambda t, n: t.update({f"{n}_scale_inv": torch.ones(3, 3)}), r"\[3, 3\]"),
        (lambda t, n: t.update({n: t[n].float()}), "still has"),
        (lambda t, n: t.update({n: t[n][:-1]}), r"has shape \[159, 160\]"),
    ],
)
def test_scales_that_do_not_fit(copy, change, told):
    name = "model.layers.0.self_attn.o_proj.weight"
    file = copy / FILE.format(1)
    edit(file, lambda t: change(t, name))
    index = json.loads((copy / "model.safetensors.index.json").read_text())
    index["weight_map"] = {
        key: value
        for key, value in index["weight_map"].items()
        if value != file.name or key in load_file(file)
    }
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=told):
        load_model(copy)


def test_an_index_that_points_elsewhere_is_none(copy):
    path = copy / "model.safetensors.index.json"
    for text in ("{}", "[]", '{"weight_map": {"a": "../../secret"}}', "not json"):
        path.write_text(text)
        with pytest.raises(CheckpointError, match="is not a weight index"):
            load_model(copy)


def test_a_dense_model_is_told_how_to_get_indexers(tmp_path):
    write(tmp_path, config_values(model_type="deepseek_v3"), indexers=False)
    with pytest.raises(CheckpointError, match=r"no indexers.*--add-indexers"):
        load_model(tmp_path)


def test_what_is_saved_in_bfloat16_stays_so(tmp_path):
    model = random_model(tiny_config()).to(torch.bfloat16)
    for layout in ("released", "packed"):
        save_model(model, tmp_path / layout, layout=layout)
        again = load_model(tmp_path / layout, torch.bfloat16)
        state = model.state_dict()
        assert all(torch.equal(state[n].float(), t.float()) for n, t in again.state_dict().items())
