"""The state of a sharded stage on disk: every rank writes its part, any number of ranks reads it.

torch.distributed.checkpoint; a folder NAME-STEP counts once its about.json is there, which comes
last, and older ones go then.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.optim import Optimizer

from speciale.errors import CheckpointError
from speciale.files import write_atomic
from speciale.model import Transformer
from speciale.train.checkpointing import make_state, optimiser_tensors
from speciale.train.parallel.ranks import Ranks

_ABOUT = "about.json"


def save_sharded(
    partial: Path, model: Transformer, optimiser: Optimizer, about: dict[str, Any], ranks: Ranks
) -> None:
    """Writes model, optimiser and `about`, with its "step", beside `partial`: whole or not."""
    folder = partial.with_name(f"{partial.stem}-{about['step']:08d}")
    if ranks.leads:
        shutil.rmtree(folder, ignore_errors=True)  # what a killed job left
    ranks.wait()
    dcp.save(_state(model, optimiser), checkpoint_id=folder)
    ranks.wait()
    if ranks.leads:
        write_atomic(folder / _ABOUT, json.dumps(about))
        for old in _folders(partial):
            if old != folder:
                shutil.rmtree(old)


def newest(partial: Path) -> Path | None:
    """The folder of the last whole checkpoint."""
    whole = [folder for folder in _folders(partial) if (folder / _ABOUT).exists()]
    return max(whole, default=None)


def load_sharded(
    folder: Path, model: Transformer, optimiser: Optimizer, ranks: Ranks
) -> dict[str, Any]:
    """Fills model and optimiser, on as many ranks as there are; returns what was told about it."""
    try:
        make_state(optimiser, dcp.FileSystemReader(folder).read_metadata().state_dict_metadata)
        state = _state(model, optimiser)
        dcp.load(state, checkpoint_id=folder, no_dist=ranks.world == 1)
        return json.loads((folder / _ABOUT).read_text())
    except (Exception, CheckpointException) as error:  # the last is no Exception
        if isinstance(error, CheckpointException):
            error = next(iter(error.failures.values()))[0]  # of a rank; it has the traceback too
        raise CheckpointError(
            f"checkpoint {folder} cannot be read ({error}): delete it and run the same command "
            "again: the stage resumes from what is before it"
        ) from None


def forget_sharded(partial: Path) -> None:
    for folder in _folders(partial):
        shutil.rmtree(folder)


def _folders(partial: Path) -> list[Path]:
    return sorted(partial.parent.glob(f"{partial.stem}-{'[0-9]' * 8}"))


def _state(model: Transformer, optimiser: Optimizer) -> dict[str, Tensor]:
    """All tensors by name; in place, so that loading fills them."""
    return {**model.state_dict(), **optimiser_tensors(optimiser)}
