"""Filling a model from a checkpoint, file by file: memory stays near one file plus the model.

The model may be a part: fewer layers, a rank's experts, parameters that FSDP cut (DTensor). What it
does not hold is not read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from speciale.errors import CheckpointError
from speciale.model.checkpoint.weights import Weights
from speciale.model.moe import Experts
from speciale.model.transformer import Transformer


def load_model(
    folder: str | Path, dtype: torch.dtype = torch.float32, layers: int | None = None
) -> Transformer:
    """Loads a model, ready to run: an HF-layout folder, or a run (its `model/`).

    layers: the first so many only, without MTP, to look into a model that is too large.
    Raises CheckpointError with the file, what is wrong with it and what to do.
    """
    weights = Weights(model_place(Path(folder)))
    if weights.dense:
        raise CheckpointError(
            f"{folder} has no indexers, it is a dense model (V3, V3.1): give it some with "
            f"`speciale convert {folder} OUT --add-indexers` and train them"
        )
    model = empty_model(weights, dtype, layers)
    fill(model, weights)
    return model.eval()


def model_place(folder: Path) -> Path:
    """Where the model of a run or of a model folder lies."""
    if not (folder / "config.json").exists() and (folder / "model" / "config.json").exists():
        folder = folder / "model"
    if not folder.exists():
        raise CheckpointError(f"{folder} does not exist: give a model folder or a finished run")
    if (folder / "recipe.toml").exists():
        raise CheckpointError(
            f"the run {folder} is not finished, so it holds no model yet: run its command again"
        )
    return folder


def empty_model(weights: Weights, dtype: torch.dtype, layers: int | None = None) -> Transformer:
    """A model of the weights' shape whose parameters hold nothing yet."""
    config = weights.config
    if layers is not None:
        if not config.first_k_dense_replace <= layers <= config.num_hidden_layers:
            raise CheckpointError(
                f"{layers} layers of {weights.folder} cannot be loaded: it has "
                f"{config.num_hidden_layers}, the first {config.first_k_dense_replace} dense; give "
                "a number between the two"
            )
        config = config.model_copy(
            update={"num_hidden_layers": layers, "num_nextn_predict_layers": 0}
        )
    with torch.device("meta"):
        model = Transformer(config)
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)  # buffers stay float32
    model.to_empty(device="cpu")
    model.reset_rope()
    return model


@torch.no_grad()
def fill(
    model: nn.Module, weights: Weights, done: Callable[[int, int], None] | None = None
) -> None:
    """Copies into the model all that it holds of the weights; `done(pieces, of them)` as it goes.

    A module of experts may hold those from its attribute `first` on.
    """
    state = model.state_dict()
    firsts = {
        name: getattr(module, "first", 0)
        for name, module in model.named_modules()
        if isinstance(module, Experts)
    }
    wanted = []
    for piece in weights.in_order():
        if (target := state.get(piece.parameter)) is None:
            continue
        local, start = _local(target)
        if piece.expert is not None:
            start += firsts[piece.parameter.rpartition(".")[0]]
            if not start <= piece.expert < start + len(local):
                continue
        wanted.append((piece, local, start))
    if missing := sorted(state.keys() - {p.parameter for p in weights.pieces.values()}):
        raise CheckpointError(
            f"{weights.folder} lacks {missing[0]!r} ({len(missing)} weights) of the model that is "
            "to be filled: load it with its own config.json"
        )
    for number, (piece, local, start) in enumerate(wanted, 1):
        values = weights.get(piece)
        if piece.expert is not None:
            piece.within(local, start).copy_(values)
        else:
            local.copy_(values[start : start + len(local)])
        if done is not None:
            done(number, len(wanted))


def _local(target: Tensor) -> tuple[Tensor, int]:
    """What this rank holds of a tensor, and the row at which it begins."""
    from torch.distributed.tensor import DTensor, Shard  # half a second, only where it is used
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    if not isinstance(target, DTensor):
        return target, 0
    assert all(p.dim == 0 for p in target.placements if isinstance(p, Shard)), target.placements
    _, offset = compute_local_shape_and_global_offset(
        target.shape, target.device_mesh, target.placements
    )
    return target.to_local(), offset[0]


def load_state(
    model: Transformer,
    tensors: dict[str, Tensor],
    where: str,
    advice: str = "copy the weights and config.json again from one place",
) -> None:
    """Copies tensors by our modules' names into the model; CheckpointError names what does not fit,
    in the file or folder `where`, and ends with `advice`."""
    own = model.state_dict()
    mtp_prefix = f"layers.{model.config.num_hidden_layers}."
    if model.mtp is not None and not any(name.startswith(mtp_prefix) for name in tensors):
        # transformers' checkpoints have no MTP layer: drop ours rather than invent weights
        del model.layers[-1]
        model.config = model.config.model_copy(update={"num_nextn_predict_layers": 0})
        own = model.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown:
        what = f"lacks {missing[0]!r}" if missing else f"holds {unknown[0]!r}, which it should not"
        raise CheckpointError(
            f"{where} {what} ({len(missing)} weights missing, {len(unknown)} unknown) by the "
            f"model's configuration: {advice}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise CheckpointError(
                f"{where}: {name} has shape {list(tensor.shape)}, the model's configuration asks "
                f"for {list(own[name].shape)}: {advice}"
            )
    model.load_state_dict(tensors)
