"""Tensors that are cut among ranks (DTensor): what this one holds, and the whole again."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def held(target: Tensor) -> tuple[Tensor, tuple[slice, ...]]:
    """What this rank holds of a tensor, and where that lies in the whole."""
    from torch.distributed.tensor import DTensor  # half a second, only where it is used
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    if not isinstance(target, DTensor):
        return target, tuple(slice(0, size) for size in target.shape)
    shape, offset = compute_local_shape_and_global_offset(
        target.shape, target.device_mesh, target.placements
    )
    return target.to_local(), tuple(slice(o, o + s) for o, s in zip(offset, shape))


def arrived(tensor: Tensor) -> Tensor:
    """The result of an exchange once it is there: without gradients PyTorch hands out a stand-in,
    which a kernel of ours cannot read."""
    from torch.distributed._functional_collectives import AsyncCollectiveTensor

    return tensor.wait() if isinstance(tensor, AsyncCollectiveTensor) else tensor


@torch.no_grad()
def place(target: Tensor, values: Tensor) -> None:
    """Copies a whole tensor, or this rank's part of it, into `target`."""
    local, own = held(target)
    local.copy_(values[own])


def whole(tensor: Tensor) -> Tensor:
    """A tensor on the CPU of which this rank may hold a part; then all ranks must ask."""
    from torch.distributed.tensor import DTensor

    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).cpu()


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights, as `whole`."""
    return {name: whole(tensor) for name, tensor in model.state_dict().items()}
