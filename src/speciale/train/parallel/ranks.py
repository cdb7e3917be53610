"""Who does what: the ranks of a job laid out for rows, chunks of sequences and experts.

world = data x context. The same ranks, laid out again, are groups of `experts` ranks that hold all
experts together. A process that torchrun did not start is a world of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from speciale.errors import ConfigError
from speciale.model.config import ModelConfig
from speciale.train.objective import Batch, Share
from speciale.train.parallel.sequence import SequenceChunk

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Layout:
    """How the ranks share the work. It changes no result, so it is no part of a recipe."""

    context: int = 1  # ranks that share each sequence
    experts: int = 1  # ranks that hold the experts together
    micro_batch: int | None = None  # rows that a rank computes at once; None: all of its own
    recompute: bool = False  # activations in the backward pass, instead of keeping them
    fp8: bool = False  # matmuls of linear layers by torchao, on GPUs that have FP8


@dataclass(frozen=True)
class Ranks:
    """This process's place in a layout."""

    layout: Layout = Layout()
    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @classmethod
    def join(cls, layout: Layout) -> Ranks:
        """Joins the job that torchrun started, if it did. ConfigError where sizes do not fit."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        for size, name in ((layout.context, "context"), (layout.experts, "expert")):
            if world % size:
                raise ConfigError(
                    f"--{name}-ranks {size} does not divide the {world} processes of this job: "
                    f"start a multiple of {size} (torchrun --nproc-per-node) or change it"
                )
        if layout.fp8 and not torch.cuda.is_available():
            raise ConfigError("--fp8 needs GPUs that multiply FP8 (H100 and later): leave it out")
        if world == 1:
            if layout.recompute or layout.fp8:
                raise ConfigError("--recompute and --fp8 are for jobs that torchrun starts")
            return cls(layout)
        cuda = torch.cuda.is_available()
        local = int(os.environ["LOCAL_RANK"])
        device = torch.device("cuda", local) if cuda else CPU
        if cuda:
            torch.cuda.set_device(device)
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
            # Long: in RL the others wait for the leader's rollouts. torchrun sees who died.
            dist.init_process_group(backend, timeout=timedelta(hours=12))
        return cls(layout, dist.get_rank(), world, device)

    @property
    def data(self) -> int:
        """Ranks among which the rows of a batch are shared."""
        return self.world // self.layout.context

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def check(self, config: ModelConfig, batch_size: int, context: int) -> None:
        """ConfigError where model or batch cannot be cut so."""
        experts = self.layout.experts
        checks = [
            (batch_size, self.data, "batch_size", "the processes"),
            (context, self.layout.context, "the training context", "--context-ranks"),
            (config.n_routed_experts, experts, "n_routed_experts", "--expert-ranks"),
        ]
        if experts > 1:  # each expert's rows are then cut by FSDP
            for key in ("moe_intermediate_size", "hidden_size"):
                checks.append((getattr(config, key), self.world // experts, key, "the processes"))
        for value, size, what, key in checks:
            if value % size:
                raise ConfigError(
                    f"{what} {value} cannot be shared by {size} ranks alike: change it or {key}"
                )

    @cached_property
    def all(self) -> DeviceMesh:
        """One dimension: every rank."""
        return init_device_mesh(self.device.type, (self.world,), mesh_dim_names=("all",))

    @cached_property
    def sequences(self) -> DeviceMesh:
        shape = (self.data, self.layout.context)
        return init_device_mesh(self.device.type, shape, mesh_dim_names=("data", "context"))

    @cached_property
    def experts(self) -> DeviceMesh:
        """`copies` ranks hold the same experts, which FSDP cuts among them."""
        shape = (self.world // self.layout.experts, self.layout.experts)
        return init_device_mesh(self.device.type, shape, mesh_dim_names=("copies", "experts"))

    def shares(self, batch: Batch) -> Iterator[Share]:
        """This rank's rows and chunk of a batch that every rank has, a micro-batch at a time."""
        rows = len(batch.ids) // self.data
        first = rows * (self.rank // self.layout.context)
        chunk = None
        if self.layout.context > 1:
            group = self.sequences["context"].get_group()
            chunk = SequenceChunk.of(batch.ids.shape[1] - 1, group)
        batch = batch.to(self.device)
        at_once = self.layout.micro_batch or rows
        for start in range(first, first + rows, at_once):
            yield batch.share(slice(start, min(start + at_once, first + rows)), chunk)

    def total(self, *tensors: Tensor) -> None:
        """Adds each tensor up over all ranks, in place."""
        if self.world > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    def sums(self, parts: dict[str, float]) -> dict[str, float]:
        """Each value added up over all ranks."""
        values = torch.tensor(list(parts.values()), dtype=torch.float64, device=self.device)
        self.total(values)
        return dict(zip(parts, values.tolist()))

    def largest(self, value: Tensor) -> float:
        if self.world > 1:
            dist.all_reduce(value, dist.ReduceOp.MAX)
        return float(value)

    def collect(self, own: Any) -> list[Any]:
        """What each rank has, in the order of ranks."""
        if self.world == 1:
            return [own]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, own)
        return found

    def tell(self, message: Any = None) -> Any:
        """What the leader says, on every rank."""
        if self.world == 1:
            return message
        said = [message]
        dist.broadcast_object_list(said, 0)
        return said[0]

    def deal(self, rows: list[tuple]) -> list[tuple]:
        """This rank's share of rows, whose last member says that they count. All ranks get as many:
        where there are too few, the first row again, which does not count."""
        padded = rows + [(*rows[0][:-1], False)] * (-len(rows) % self.world)
        return padded[self.rank :: self.world]

    def as_leader(self, choice: bool) -> bool:
        """What the leader chose: clocks of ranks differ, and all must do the same."""
        if self.world == 1:
            return choice
        told = torch.tensor([float(choice)], device=self.device)
        dist.broadcast(told, 0)
        return bool(told)

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()

    def leave(self) -> None:
        """Ends this process's part in the job."""
        if self.world > 1:
            dist.destroy_process_group()
