"""AdamW with a warm-up, stable, decay schedule, and clipping of model and indexer apart.

AdamW: arXiv 1711.05101, betas and decay as in the V3 report, 4.2; warm-up/stable/decay: MiniCPM,
arXiv 2404.06395. Model and indexer are clipped apart because a shared norm would let the size of
one loss steer the step of the other.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from speciale.model import Transformer
from speciale.train.recipe import Stage


class Rates(Protocol):
    learning_rate: float
    weight_decay: float


def indexer_parameters(model: Transformer) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if ".indexer." in name]


def main_parameters(model: Transformer) -> list[nn.Parameter]:
    return [p for name, p in model.named_parameters() if ".indexer." not in name]


def build_optimiser(parameters: list[nn.Parameter], stage: Rates) -> torch.optim.AdamW:
    """Weight decay for matrices, none for norms and biases."""
    matrices = [p for p in parameters if p.ndim >= 2]
    vectors = [p for p in parameters if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.learning_rate, betas=(0.9, 0.95), fused=True)


def learning_rate(stage: Stage, step: int) -> float:
    """Learning rate of `step` (from 0)."""
    rise = max(1, round(stage.warmup_share * stage.steps))
    fall = round(stage.decay_share * stage.steps)
    if step < rise:
        return stage.learning_rate * (step + 1) / rise
    left = stage.steps - step
    if left > fall:
        return stage.learning_rate
    share = stage.final_share + (1 - stage.final_share) * left / max(1, fall)
    return stage.learning_rate * share
