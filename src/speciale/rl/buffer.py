"""Groups that wait for their turn, on disk: ids, log-probs, versions, kept sets and routing whole.

They are part of a run's state (house rule: all resumes), so that what was sampled is not lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speciale.rl.rollouts import Group, Rollout
from speciale.rl.sequences import Sequence

PREFIX = "buffer."


def pack(groups: list[Group]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """(tensors named with PREFIX, JSON) of groups."""
    tensors: dict[str, Tensor] = {}
    rows = []
    for g, group in enumerate(groups):
        row = {**vars(group), "failures": dict(group.failures), "rollouts": []}
        for r, rollout in enumerate(group.rollouts):
            names = [f"{PREFIX}{g}.{r}.{s}" for s in range(len(rollout.sequences))]
            for name, sequence in zip(names, rollout.sequences):
                tensors |= {f"{name}.{key}": t for key, t in _tensors(sequence).items()}
            row["rollouts"].append({**vars(rollout), "sequences": names})
        rows.append(row)
    return tensors, rows


def unpack(tensors: Mapping[str, Tensor], rows: list[dict[str, Any]]) -> list[Group]:
    """What `pack` gave, as groups again."""
    groups = []
    for row in rows:
        rollouts = [
            Rollout(**{**each, "sequences": [_sequence(tensors, n) for n in each["sequences"]]})
            for each in row["rollouts"]
        ]
        groups.append(Group(**{**row, "rollouts": rollouts, "failures": Counter(row["failures"])}))
    return groups


def _tensors(sequence: Sequence) -> dict[str, Tensor]:
    sizes = [-1 if ids is None else len(ids) for ids in sequence.kept]
    known = [np.asarray(ids, np.int32) for ids in sequence.kept if ids is not None]
    tensors = {
        "ids": torch.tensor(sequence.ids, dtype=torch.int64),
        "sampled": torch.tensor(sequence.sampled),
        "logprobs": torch.tensor(sequence.logprobs, dtype=torch.float64),  # Python's floats, whole
        "versions": torch.tensor(sequence.versions, dtype=torch.int64),
        "kept_sizes": torch.tensor(sizes, dtype=torch.int64),
        "kept_ids": torch.from_numpy(np.concatenate(known) if known else np.zeros(0, np.int32)),
    }
    if sequence.routing is not None:
        tensors["routing"] = torch.from_numpy(np.asarray(sequence.routing, np.int16))
    return tensors


def _sequence(tensors: Mapping[str, Tensor], name: str) -> Sequence:
    ids = tensors[f"{name}.kept_ids"].numpy()
    kept: list[np.ndarray | None] = []
    at = 0
    for size in tensors[f"{name}.kept_sizes"].tolist():
        kept.append(None if size < 0 else ids[at : at + size])
        at += max(size, 0)
    routing = tensors.get(f"{name}.routing")
    lists = [
        tensors[f"{name}.{key}"].tolist() for key in ("ids", "sampled", "logprobs", "versions")
    ]
    return Sequence(*lists, kept, None if routing is None else routing.numpy())
