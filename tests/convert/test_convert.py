"""Conversion: there and back to the same bits, killed at any moment, and what it refuses."""

import hashlib
import json
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.released import config_values, write
from speciale.convert import conversion
from speciale.convert.conversion import Form, convert
from speciale.convert.upgrade import WithIndexers
from speciale.errors import CheckpointError, ConfigError, SpecialeError
from speciale.model import load_model
from speciale.model.checkpoint.weights import Weights

SHARD = 300_000


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    write(folder, config_values())
    return folder


def run(source: Path, out: Path, layout="released", dtype="bfloat16", **more):
    return convert(Weights(source), out, Form(layout, dtype, SHARD), **more)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    found = {}
    for path in folder.glob("*.safetensors"):
        found |= load_file(path)
    return found


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype
        and torch.equal(a[n].reshape(-1).view(torch.uint8), b[n].reshape(-1).view(torch.uint8))
        for n in a
    )


@pytest.mark.parametrize("way", [("released", "bfloat16"), ("released", "float32")])
def test_fp8_there_and_back_is_the_same_to_the_bit(released, tmp_path, way):
    there = run(released, tmp_path / "there", *way)
    assert there.files > 3 and there.hashes[0] == there.hashes[1]
    back = run(tmp_path / "there", tmp_path / "back", "released", "fp8")
    assert back.hashes == there.hashes
    assert same(tensors(released), tensors(tmp_path / "back"))
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    assert config["quantization_config"] == config_values()["quantization_config"]
    assert "quantization_config" not in json.loads((tmp_path / "there/config.json").read_text())


@torch.no_grad()
def test_packed_and_back_loses_the_mtp_layer_alone(released, tmp_path):
    run(released, tmp_path / "packed", "packed", "float32")
    run(tmp_path / "packed", tmp_path / "back", "released", "fp8")
    was = {n: t for n, t in tensors(released).items() if not n.startswith("model.layers.3.")}
    assert same(was, tensors(tmp_path / "back"))
    ids = torch.arange(40)[None]
    logits = load_model(released)(ids)
    assert torch.equal(load_model(tmp_path / "packed")(ids), logits)
    assert torch.equal(load_model(tmp_path / "back")(ids), logits)


def test_scales_of_v3_are_kept_where_nothing_is_rounded(tmp_path):
    quantised = config_values()["quantization_config"]
    del quantised["scale_fmt"]
    write(tmp_path / "v3", config_values(quantization_config=quantised))
    run(tmp_path / "v3", tmp_path / "again", "released", "fp8")
    assert same(tensors(tmp_path / "v3"), tensors(tmp_path / "again"))


def test_rounding_is_told_by_the_hashes(tmp_path):
    from model.configs import random_model, tiny_config
    from speciale.model import save_model

    save_model(random_model(tiny_config()), tmp_path / "model")
    for dtype in ("bfloat16", "fp8"):
        done = run(tmp_path / "model", tmp_path / dtype, "released", dtype)
        assert done.hashes[0] != done.hashes[1]
    exact = run(tmp_path / "model", tmp_path / "float32", "released", "float32")
    assert exact.hashes[0] == exact.hashes[1]


class Killed(BaseException):
    pass


@pytest.mark.slow
def test_killed_after_any_file_it_goes_on(released, tmp_path, monkeypatch):
    run(released, tmp_path / "whole")
    whole = {
        p.name: hashlib.sha256(p.read_bytes()).digest() for p in (tmp_path / "whole").iterdir()
    }
    save = conversion.save_shard
    files = sum(name.endswith(".safetensors") for name in whole)
    for last in range(files):
        out = tmp_path / f"killed{last}"
        written = []

        def dying(path, own, last=last, written=written):
            if len(written) == last:
                raise Killed
            written.append(path.name)
            save(path, own)

        monkeypatch.setattr(conversion, "save_shard", dying)
        with pytest.raises(Killed):
            run(released, out)
        assert not (out / "config.json").exists()  # nobody takes it for a model
        with pytest.raises(CheckpointError, match=r"config\.json"):
            load_model(out)
        again = []

        def noting(path, own, again=again):
            again.append(path.name)
            save(path, own)

        monkeypatch.setattr(conversion, "save_shard", noting)
        run(released, out)
        assert not set(again) & set(written) and len(again) == files - last
        assert {p.name: hashlib.sha256(p.read_bytes()).digest() for p in out.iterdir()} == whole


def test_another_form_or_source_does_not_go_on(released, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "save_shard", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        run(released, tmp_path / "out")
    with pytest.raises(ConfigError, match="unfinished conversion of another"):
        run(released, tmp_path / "out", "packed", "float32")
    write(tmp_path / "other", config_values(), seed=1)  # the same names and shapes
    with pytest.raises(ConfigError, match="unfinished conversion of another"):
        run(tmp_path / "other", tmp_path / "out")


def test_a_full_disk_is_told_before_anything_is_written(released, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    with pytest.raises(SpecialeError, match=r"needs .* GB more and its disk has 0.0 GB free"):
        run(released, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.safetensors"))
    monkeypatch.undo()
    run(released, tmp_path / "out")


def test_a_disk_that_fills_on_the_way_leaves_whole_files(released, tmp_path):
    """A real file system of 1 MB more than half of what is written."""
    import subprocess

    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount]).returncode:
        pytest.skip("mounting a file system needs root")
    try:
        usage = namedtuple("usage", "total used free")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1 << 40))
            with pytest.raises(SpecialeError, match="disk or quota was full"):
                run(released, mount / "out")
        left = sorted(path.name for path in (mount / "out").iterdir())
        assert "convert.json" in left and "config.json" not in left
        assert all(name.endswith((".json", ".safetensors")) for name in left)
        shutil.move(mount / "out", tmp_path / "out")
    finally:
        subprocess.run(["umount", mount], check=True)
    run(released, tmp_path / "out")
    assert same(tensors(tmp_path / "out"), tensors_of(released, tmp_path))


def tensors_of(released, tmp_path):
    run(released, tmp_path / "whole")
    return tensors(tmp_path / "whole")


def test_a_bit_that_turns_on_the_disk_is_found(released, tmp_path, monkeypatch):
    save = conversion.save_shard

    def turning(path, own):
        save(path, own)
        if "00002" in path.name:
            data = bytearray(path.read_bytes())
            data[-7] ^= 4
            path.write_bytes(data)

    monkeypatch.setattr(conversion, "save_shard", turning)
    with pytest.raises(CheckpointError, match=r"model-00002-.* is not what was written"):
        run(released, tmp_path / "out")
    assert not (tmp_path / "out" / "config.json").exists()


def test_what_cannot_be(released, tmp_path):
    with pytest.raises(ConfigError, match="no FP8 form"):
        run(released, tmp_path / "out", "packed", "fp8")
    with pytest.raises(ConfigError, match="is not empty"):
        run(released, released)
    with pytest.raises(ConfigError, match="has indexers already"):
        WithIndexers(Weights(released))


def test_a_dense_checkpoint_gets_indexers_and_keeps_the_rest(tmp_path):
    values = config_values(model_type="deepseek_v3", architectures=["DeepseekV3ForCausalLM"])
    truth = write(tmp_path / "dense", values, indexers=False)
    index = dict(index_n_heads=2, index_head_dim=64, index_topk=8)

    def upgrade(out):
        source = WithIndexers(Weights(tmp_path / "dense"), seed=3, index=index)
        return convert(source, tmp_path / out, Form("released", "float32", SHARD))

    upgrade("sparse")
    config = json.loads((tmp_path / "sparse" / "config.json").read_text())
    assert config["model_type"] == "deepseek_v32"
    assert config["architectures"] == ["DeepseekV32ForCausalLM"]
    assert {key: config[key] for key in index} == index
    found = tensors(tmp_path / "sparse")
    assert all(torch.equal(found[name], tensor) for name, tensor in truth.items())
    new = {n: t for n, t in found.items() if ".indexer." in n}
    assert len(new) == 5 * 4 and new["model.layers.0.self_attn.indexer.wk.weight"].std() > 0.01
    upgrade("again")
    assert same(found, tensors(tmp_path / "again"))

    model = load_model(tmp_path / "sparse")
    ids = torch.arange(40)[None]
    with torch.no_grad():
        dense = model(ids, attention="dense")
        assert not torch.equal(model(ids), dense)  # untrained indexers choose something
    assert torch.isfinite(dense).all()


def test_the_upgraded_model_warms_up(tmp_path):
    """Its indexers learn from the dense attention: the KL falls, and nothing else moves."""
    from speciale.train.objective import Batch, warmup_loss

    write(tmp_path / "dense", config_values(model_type="deepseek_v3"), indexers=False)
    index = dict(index_n_heads=2, index_head_dim=32, index_topk=8)
    source = WithIndexers(Weights(tmp_path / "dense"), index=index)
    convert(source, tmp_path / "sparse", Form("released", "float32", SHARD))
    model = load_model(tmp_path / "sparse")
    before = {n: t.clone() for n, t in model.state_dict().items()}
    indexers = [p for n, p in model.named_parameters() if ".indexer." in n]
    for parameter in model.parameters():
        parameter.requires_grad_(any(parameter is p for p in indexers))
    optimiser = torch.optim.AdamW(indexers, lr=3e-3)
    batch = Batch(torch.randint(0, 300, (2, 65), generator=torch.Generator().manual_seed(0)))
    losses = []
    for _ in range(15):
        loss = warmup_loss(model, batch.share()).total
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    moved = [n for n, t in model.state_dict().items() if not torch.equal(t, before[n])]
    assert moved and all(".indexer." in name for name in moved)


def test_the_command_and_its_words(released, tmp_path):
    from typer.testing import CliRunner

    from speciale.cli import app

    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["convert", str(released), str(out), "--shard-gb", "0.001"])
    assert done.exit_code == 0, done.output
    assert "the same weights" in done.output and "files," in done.output
    assert "tokenizer-mode deepseek_v32" in (out / "ENCODING.md").read_text()
    assert json.loads((out / "generation_config.json").read_text())["top_p"] == 0.95


def test_a_tokenizer_of_another_model_is_refused(released, tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    from speciale.chat.markers import EOS, SPECIAL_TOKENS

    source = shutil.copytree(released, tmp_path / "source")

    def tokenizer(*words):
        vocab = {word: n for n, word in enumerate(words)}
        Tokenizer(WordLevel(vocab, unk_token=words[0])).save(str(source / "tokenizer.json"))

    assert EOS in SPECIAL_TOKENS
    tokenizer(*(f"w{n}" for n in range(301)))
    with pytest.raises(CheckpointError, match="has 301 tokens, the model 300"):
        run(source, tmp_path / "out")
    tokenizer("a", "b", EOS)
    with pytest.raises(CheckpointError, match=r"the id 2, config\.json says eos_token_id 1"):
        run(source, tmp_path / "out")
    tokenizer("a", EOS)
    run(source, tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").exists()
