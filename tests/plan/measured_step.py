"""What a training step on ranks really keeps and sends, to hold a plan against.

torchrun --nproc-per-node 4 measured_step.py OUT JOBS  # JOBS: layouts and stages, as JSON
"""

import json
import sys
from collections import Counter
from pathlib import Path

import torch
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).parents[1]))
from model.configs import tiny_config
from speciale.model.parts import held
from speciale.train.loop import _load
from speciale.train.objective import Batch, language_losses, warmup_loss
from speciale.train.optimiser import build_optimiser
from speciale.train.parallel.ranks import Layout, Ranks
from speciale.train.parallel.sharding import clip_gradients, sharded
from speciale.train.recipe import Stage

ROWS, CONTEXT = 4, 128


def config():
    """Wide enough that small tensors, which a plan leaves out, weigh little."""
    return tiny_config(
        num_nextn_predict_layers=1, hidden_size=128, intermediate_size=256, vocab_size=512,
        moe_intermediate_size=96, q_lora_rank=64, kv_lora_rank=48, qk_nope_head_dim=32,
        qk_rope_head_dim=16, v_head_dim=32, num_attention_heads=4, num_key_value_heads=4,
        index_n_heads=4, index_head_dim=32, index_topk=32, initializer_range=0.1,
    )  # fmt: skip


class Exchanges(TorchDispatchMode):
    """Bytes that this rank gets from others, by kind of exchange."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func._schema.name
        if name.startswith(("c10d::", "_c10d_functional::")):
            self._count(name.split("::")[1], args, out)
        return out

    def _count(self, name: str, args, out) -> None:
        if "wait" in name or "barrier" in name:
            return
        if "alltoall" in name or "all_to_all" in name:
            taken = args[0] if "alltoall" in name else out
            splits = args[3] if "alltoall" in name else args[1]
            ranks = torch.distributed.get_world_size()
            rank = torch.distributed.get_rank()
            own = splits[rank % len(splits)] if splits else len(taken) // ranks
            row = taken[0].nbytes if len(taken) else 0
            self.bytes["experts"] += taken.nbytes - own * row
        elif "allgather" in name or "all_gather" in name:
            whole = args[0] if "allgather" in name else out
            part = args[1] if "allgather" in name else args[0]
            self.bytes["gather"] += whole.nbytes - part.nbytes
        elif "reduce_scatter" in name:
            whole = args[1] if name.startswith("_reduce") else args[0]
            part = args[0] if name.startswith("_reduce") else out
            self.bytes["scatter"] += whole.nbytes - part.nbytes
        else:
            self.bytes[name] += 0


def measure(layout: dict, stage: str) -> dict:
    ranks = Ranks.join(Layout(**layout))
    warmup = stage == "warmup"
    model = sharded(config(), ranks, lambda name: not warmup or ".indexer." in name)
    model.initialise(0)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = build_optimiser(trained, Stage(steps=1, learning_rate=1e-3))

    def step() -> None:
        ids = torch.randint(0, 512, (ROWS, CONTEXT + 1), generator=torch.Generator().manual_seed(1))
        for share in ranks.shares(Batch(ids)):
            if warmup:
                losses = warmup_loss(model, share)
            else:
                dense = stage == "pretrain"
                attention = "dense" if dense else "sparse"
                losses = language_losses(model, share, attention, 0.3, not dense)
            losses.total.backward()
        clip_gradients(trained, 1.0, ranks)
        optimiser.step()
        loads = [_load(chosen, config().n_routed_experts) for chosen in losses.routing]
        ranks.total(*loads)

    step()
    optimiser.zero_grad(set_to_none=True)
    with Exchanges() as exchanges:
        step()
    state = sum(held(p)[0].nbytes for p in model.parameters())
    state += sum(held(p.grad)[0].nbytes for p in trained if p.grad is not None)
    state += sum(
        held(t)[0].nbytes for s in optimiser.state.values() for t in s.values() if t.numel() > 1
    )
    everyone = ranks.collect(state)
    return {"state": sum(everyone) / ranks.world, "moved": mean_of(ranks, exchanges.bytes)}


def mean_of(ranks: Ranks, own: Counter) -> dict[str, float]:
    every = ranks.collect(dict(own))
    return {key: sum(each.get(key, 0) for each in every) / ranks.world for key in own}


if __name__ == "__main__":
    found = [measure(**job) for job in json.loads(sys.argv[2])]
    if torch.distributed.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
