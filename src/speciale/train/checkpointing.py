"""Training state on disk: whole or absent, and checked when read back.

One safetensors file holds model, optimiser and the step; a checksum over all of them finds what the
format cannot, a flipped bit. Batches are pure functions of seed and step, so no more is needed
to resume bit-identically.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from speciale.errors import CheckpointError
from speciale.files import atomic
from speciale.model.parts import place


def save_tensors(path: Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Writes tensors with JSON-able facts about them; atomic."""
    tensors = {name: tensor.contiguous() for name, tensor in sorted(tensors.items())}
    # One entry: safetensors writes several in any order, and equal states must make equal files.
    metadata = {"about": json.dumps({**about, "checksum": _checksum(about, tensors)})}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_tensors` wrote; CheckpointError if any bit of it changed."""
    advice = "delete it and run the same command again: the stage resumes from what is before it"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        about = json.loads(metadata["about"])
        checksum = about.pop("checksum")
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {path} does not exist: run the stage first") from None
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise CheckpointError(f"checkpoint {path} is corrupt or cut off ({error}): {advice}") from (
            None
        )
    if checksum != _checksum(about, tensors):
        raise CheckpointError(f"checkpoint {path} is corrupt (its checksum is off): {advice}")
    return tensors, about


def _checksum(about: dict[str, Any], tensors: dict[str, Tensor]) -> int:
    checksum = zlib.crc32(json.dumps(about).encode())
    for name, tensor in tensors.items():
        checksum = zlib.crc32(name.encode(), checksum)
        if tensor.numel():  # an empty one has no bytes to look at
            checksum = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy(), checksum)
    return checksum


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as flat names: `optimiser.<parameter number>.<what>`."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser.{number}.{what}": tensor
        for number, entry in state.items()
        for what, tensor in entry.items()
    }


def restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Fills an AdamW from whole tensors by name, others than its own aside; where its parameters
    are cut among ranks, this rank's part."""
    make_state(optimiser, tensors)
    for name, target in optimiser_tensors(optimiser).items():
        place(target, tensors[name])


def make_state(optimiser: Optimizer, names: Iterable[str]) -> None:
    """Gives AdamW, empty, the state whose tensors have these names."""
    numbers = {int(name.split(".")[1]) for name in names if name.startswith("optimiser.")}
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for number in numbers:
        parameter = parameters[number]
        optimiser.state[parameter] = {
            "step": torch.zeros((), device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
