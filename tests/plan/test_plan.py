"""Plans against measured steps: what ranks keep and send, what a forward pass keeps, what a token
costs in the cache; and the released model's known sizes."""

import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from plan.measured_step import CONTEXT, ROWS, config
from speciale.cli import app
from speciale.engine.store import Store, page_bytes
from speciale.errors import ConfigError
from speciale.model import ModelConfig, Transformer
from speciale.ops import PAGE
from speciale.plan.hardware import Hardware
from speciale.plan.serving import cache_form, contexts_of_node, weight_bytes
from speciale.plan.training import (
    Job,
    Parameters,
    kept_bytes,
    state_bytes,
    step_time,
    traffic,
)
from speciale.train.objective import Batch, language_losses
from speciale.train.parallel.ranks import Layout

NEAR = 0.15

JOBS = {
    2: [
        ({}, "pretrain"), ({"experts": 2}, "sparse"), ({"context": 2}, "sparse"),
        ({"experts": 2, "context": 2, "recompute": True}, "sparse"), ({"experts": 2}, "warmup"),
    ],
    4: [
        ({}, "sparse"), ({"experts": 4}, "pretrain"), ({"experts": 2, "context": 2}, "sparse"),
        ({"experts": 2, "context": 4, "recompute": True}, "sparse"),
    ],
}  # fmt: skip


def job_of(ranks: int, layout: dict, stage: str) -> Job:
    return Job(config(), stage, ROWS, CONTEXT, ranks, Layout(**layout), value_bytes=4)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_memory_and_traffic_of_ranks_are_as_planned(ranks, tmp_path):
    script = Path(__file__).with_name("measured_step.py")
    jobs = [{"layout": layout, "stage": stage} for layout, stage in JOBS[ranks]]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    out = tmp_path / "found.json"
    command = [sys.executable, *launch, str(script), str(out), json.dumps(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    parameters = Parameters.of(config())
    for (layout, stage), found in zip(JOBS[ranks], json.loads(out.read_text())):
        job = job_of(ranks, layout, stage)
        planned, moved = traffic(job, parameters), found["moved"]
        where = (ranks, layout, stage, planned, moved)
        assert state_bytes(job, parameters) == pytest.approx(found["state"], rel=NEAR), where
        assert planned.total == pytest.approx(sum(moved.values()), rel=NEAR), where
        if job.layout.experts > 1:
            assert planned.experts == pytest.approx(moved["experts"], rel=NEAR), where


class Kept:
    def __init__(self, tensor):
        self.tensor = tensor


def kept(model: Transformer, stage: str, rows: int, context: int) -> int:
    """Bytes of what autograd keeps of a forward pass, parameters aside."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    alive: weakref.WeakSet[Kept] = weakref.WeakSet()

    def pack(tensor):
        holder = Kept(tensor)
        alive.add(holder)
        return holder

    ids = torch.randint(0, 512, (rows, context + 1), generator=torch.Generator().manual_seed(1))
    share = Batch(ids).share()
    dense = stage == "pretrain"
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda holder: holder.tensor):
        losses = language_losses(model, share, "dense" if dense else "sparse", 0.3, not dense)
    storages = {s.data_ptr(): s.nbytes() for s in (h.tensor.untyped_storage() for h in alive)}
    assert losses.total.requires_grad  # else nothing would be kept
    return sum(size for place, size in storages.items() if place not in own)


@pytest.mark.parametrize("stage", ["pretrain", "sparse"])
@pytest.mark.parametrize(("rows", "context"), [(4, 128), (1, 384)])
def test_activations_are_as_planned(stage, rows, context):
    model = Transformer(config())
    model.initialise(0)
    job = Job(config(), stage, rows, context, 1, Layout(), value_bytes=4, fused=False)
    assert kept_bytes(job) == pytest.approx(kept(model, stage, rows, context), rel=NEAR)


def test_the_cache_is_as_planned():
    shape = config()
    store = Store(shape, 3 * page_bytes(shape, True), True)
    experts = 2 * (shape.num_hidden_layers - shape.first_k_dense_replace) * 2  # int16 ids, K = 2
    tokens = store.pages * PAGE
    layers = shape.num_hidden_layers + 1
    planned = tokens * (layers * cache_form(shape, "float32").total + experts)
    assert planned == store.bytes


def test_the_released_model_has_its_known_sizes():
    shape = ModelConfig()
    parameters = Parameters.of(shape)
    assert parameters.total / 1e9 == pytest.approx(685, rel=0.01)  # its name on Hugging Face
    assert weight_bytes(shape) / 1e9 == pytest.approx(690, rel=0.02)  # 163 files of 4.3 GB, less
    # DeepSeek's FlashMLA keeps a token's latent in 656 bytes a layer, its index key in 132.
    assert cache_form(shape, "fp8").total == 656 + 132
    assert contexts_of_node(shape, Hardware(8), 131072, "fp8") > 40
    assert contexts_of_node(shape, Hardware(8, memory_gb=80), 131072, "fp8") == 0


def test_time_grows_with_what_it_waits_for():
    shape = config()
    parameters = Parameters.of(shape)
    job = Job(shape, "sparse", 16, CONTEXT, 16, Layout(experts=16, context=16))
    near = step_time(job, Hardware(16, gpus_per_node=16), traffic(job, parameters))
    far = step_time(job, Hardware(16), traffic(job, parameters))
    assert near.compute == far.compute and near.exposed * 8 < far.exposed
    assert far.total == max(far.compute, far.sharding) + far.exposed


def test_plans_that_cannot_be():
    with pytest.raises(ConfigError, match="--context-ranks 3 does not divide the 4 GPUs"):
        Job(config(), "sparse", 4, 128, 4, Layout(context=3))
    with pytest.raises(ConfigError, match="4 sequences a step cannot be shared by 8 GPUs"):
        Job(config(), "sparse", 4, 128, 8, Layout())


def test_the_command_prints_the_plan_of_the_cluster():
    command = ["plan", "--recipe", "cluster", "--gpus", "512"]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 0, told.output
    for words in ("billion parameters", "a step:", "contexts of 131,072", "GB of FP8 weights"):
        assert words in told.output
    given = CliRunner().invoke(app, [*command, "--expert-ranks", "8", "--micro-batch", "2"])
    assert "8 hold the experts, 2 rows at once" in given.output  # though the rest is chosen
    wrong = CliRunner().invoke(app, ["plan", "--stage", "rest"])
    assert "no stage 'rest'" in str(wrong.exception)
