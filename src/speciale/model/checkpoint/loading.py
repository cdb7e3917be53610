"""Filling a model from a checkpoint, file by file: memory stays near one file plus the model.

The model may be a part: fewer layers, a rank's experts, parameters that FSDP cut (DTensor). What it
does not hold is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from speciale.errors import CheckpointError
from speciale.model.checkpoint.pieces import Piece
from speciale.model.checkpoint.weights import Weights
from speciale.model.parts import held, place
from speciale.model.transformer import Transformer

_READERS = 4  # threads: while one waits for the disk, others compute and copy
_ADVICE = "copy the weights and config.json again from one place"


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
def fill(model: nn.Module, weights: Weights) -> None:
    """Copies into the model all that it holds of the weights.

    Parameters that are cut among ranks (DTensor) get this rank's part.
    """
    state = model.state_dict()
    wanted = []
    for piece in weights.in_order():
        if piece.parameter in state:
            local, own = held(state[piece.parameter])
            if piece.expert is None or own[0].start <= piece.expert < own[0].stop:
                wanted.append((piece, local, own))
    if missing := sorted(state.keys() - {p.parameter for p in weights.pieces.values()}):
        raise CheckpointError(
            f"{weights.folder} lacks {missing[0]!r} ({len(missing)} weights) of the model that is "
            "to be filled: load it with its own config.json"
        )

    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(_READERS, "read", torch.set_num_threads, (1,)) as pool:
            list(pool.map(partial(_fill, weights), *zip(*wanted)))
    finally:
        torch.set_num_threads(threads)  # threads to come would begin with the readers' number


@torch.no_grad()
def _fill(weights: Weights, piece: Piece, local: Tensor, own: tuple[slice, ...]) -> None:
    """Fills what a piece and a rank's part of its parameter have in common."""
    if piece.expert is not None:
        local, own = local[piece.expert - own[0].start], own[1:]
    first = piece.shape[0] if piece.part == "up_proj" else 0  # row of the packed expert
    start = max(own[0].start, first)
    stop = min(own[0].stop, first + piece.shape[0])
    if start >= stop:
        return
    target = local[start - own[0].start : stop - own[0].start]
    if target.shape == piece.shape and target.is_contiguous() and target.device.type == "cpu":
        weights.read(piece, target)
    else:
        target.copy_(weights.get(piece)[(slice(start - first, stop - first), *own[1:])])


def load_state(
    model: Transformer, tensors: Mapping[str, Tensor], where: str, advice: str = _ADVICE
) -> None:
    """Copies whole tensors by our modules' names into the model, of which each rank may hold a
    part. CheckpointError names what does not fit, in `where`, and ends with `advice`; the model is
    then as it was."""
    state = model.state_dict()
    missing, unknown = sorted(state.keys() - tensors.keys()), sorted(tensors.keys() - state.keys())
    if missing or unknown:
        what = f"lacks {missing[0]!r}" if missing else f"holds {unknown[0]!r}, which it should not"
        raise CheckpointError(
            f"{where} {what} ({len(missing)} weights missing, {len(unknown)} unknown) by the "
            f"model's configuration: {advice}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != state[name].shape:
            raise CheckpointError(
                f"{where}: {name} has shape {list(tensor.shape)}, the model's configuration asks "
                f"for {list(state[name].shape)}: {advice}"
            )
    for name, tensor in tensors.items():
        place(state[name], tensor)
