"""A stage of a tiny model on made-up text, by whoever calls: one process or the ranks of torchrun.

torchrun --nproc-per-node 4 staged.py OUT JOBS    # JOBS: a JSON list of arguments of `train`
"""

import json
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from model.configs import tiny_config
from speciale.train import loop
from speciale.train.loop import StagePlan, run_stage
from speciale.train.objective import Batch, language_losses, warmup_loss
from speciale.train.parallel.ranks import Layout, Ranks
from speciale.train.recipe import Stage

ROWS, CONTEXT = 12, 32  # 12: for 1, 2, 3 and 4 ranks


class Folder:
    """A run's folder, as far as the loop asks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.mkdir(parents=True, exist_ok=True)

    def finished(self, stage):
        return self.path / f"{stage}.safetensors"

    def partial(self, stage):
        return self.path / f"{stage}.part.safetensors"

    def forget(self, stage, after_step):
        pass

    def log(self, **record):
        with open(self.path / "metrics.jsonl", "a") as file:
            file.write(json.dumps(record) + "\n")


def config():
    """Weights so large that indexers and routers choose clearly."""
    return tiny_config(num_nextn_predict_layers=1, index_topk=12, initializer_range=0.2)


def batch(step: int) -> Batch:
    """Text with something to learn: tokens of a walk; two documents a row in odd steps."""
    generator = torch.Generator().manual_seed(step)
    jumps = torch.randint(0, 3, (ROWS, CONTEXT + 1), generator=generator)
    ids = (jumps.cumsum(1) + torch.arange(ROWS)[:, None] * 8) % 97
    if step % 2 == 0:
        return Batch(ids)
    documents = (torch.arange(CONTEXT + 1) > 20).long().expand(ROWS, -1)
    learn: Tensor = torch.rand(ids.shape, generator=generator) < 0.7
    return Batch(ids, documents.contiguous(), learn)


class Stopped(Exception):
    pass


@torch.no_grad()
def valid(model) -> dict[str, float]:
    return {"hidden": float(model.hidden(batch(0).ids[:1, :-1]).abs().mean())}


@contextmanager
def conditions(dtype: torch.dtype, checkpoint_every: float):
    """Of precision, and of a loop that logs every step."""
    before = torch.get_default_dtype(), loop._LOG_EVERY, loop._CHECKPOINT_EVERY
    torch.set_default_dtype(dtype)
    loop._LOG_EVERY, loop._CHECKPOINT_EVERY = 1, checkpoint_every
    try:
        yield
    finally:
        torch.set_default_dtype(before[0])
        loop._LOG_EVERY, loop._CHECKPOINT_EVERY = before[1:]


def train(
    folder: Path, layout: dict, stage: str = "sparse", steps: int = 12, stop: int | None = None,
    bias_speed: float = 0.01, single: bool = False,
) -> None:  # fmt: skip
    """Runs a stage, or what is left of it; `stop`: no further than this step, with a checkpoint.

    In float64 unless told: where two scores of experts or tokens are equal but for the rounding of
    float32, ranks may choose otherwise than one process does, and all later losses differ.
    """
    ranks = Ranks.join(Layout(**layout))

    def losses(model, share):
        if stage == "warmup":
            return warmup_loss(model, share)
        dense = stage == "pretrain"
        return language_losses(model, share, "dense" if dense else "sparse", 0.3, kl=not dense)

    def one_batch(step):
        if step == stop:
            raise Stopped
        return batch(step)

    settings = Stage(
        steps=steps, batch_size=ROWS, learning_rate=3e-3, bias_speed=bias_speed, decay_share=0.2
    )
    plan = StagePlan(
        stage, settings, CONTEXT, lambda model: model.initialise(7), one_batch, losses,
        valid, 5, stage == "warmup",
    )  # fmt: skip
    dtype = torch.float32 if single else torch.float64
    with suppress(Stopped), conditions(dtype, 0.0 if stop else 1e9):
        run_stage(Folder(folder), config(), plan, 1.0, ranks)
    ranks.wait()


if __name__ == "__main__":
    for number, job in enumerate(json.loads(sys.argv[2])):
        train(Path(sys.argv[1]) / job.pop("name", str(number)), **job)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
