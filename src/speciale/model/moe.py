"""Mixture of experts without auxiliary loss: sigmoid scores, group-limited top-k, a moving bias.

Experts are chosen by score + bias, weighted by score alone; after each step the bias of an
overloaded expert falls and that of an idle one rises (V3 report, section 2.1.2, equations 12-16).
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speciale import ops
from speciale.model.config import ModelConfig


class Mlp(nn.Module):
    """SwiGLU; the dense layers and the shared expert."""

    def __init__(self, hidden: int, intermediate: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, intermediate, bias=False)
        self.up_proj = nn.Linear(hidden, intermediate, bias=False)
        self.down_proj = nn.Linear(intermediate, hidden, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(h)) * self.up_proj(h))


class Router(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts))

    def forward(self, h: Tensor, replay: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """h [N, hidden] -> expert ids [N, K] and their weights [N, K].

        `replay`: expert ids chosen earlier, while sampling; the weights are then recomputed from
        the current router over those ids (Keep Routing, V3.2 report, section 3.1).
        """
        cfg = self.config
        scores = F.linear(h.float(), self.weight.float()).sigmoid()  # [N, E]
        ids = self._choose(scores.detach()) if replay is None else replay
        weights = scores.gather(1, ids)  # [N, K]
        if cfg.norm_topk_prob:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return ids, weights * cfg.routed_scaling_factor

    def _choose(self, scores: Tensor) -> Tensor:
        cfg = self.config
        choice = scores + self.e_score_correction_bias  # [N, E]
        if cfg.topk_group < cfg.n_group:
            grouped = choice.unflatten(-1, (cfg.n_group, -1))  # [N, G, E/G]
            groups = grouped.topk(2, dim=-1).values.sum(-1).topk(cfg.topk_group, dim=-1).indices
            kept = torch.zeros_like(grouped[..., 0], dtype=torch.bool).scatter(1, groups, True)
            choice = grouped.masked_fill(~kept[..., None], float("-inf")).flatten(-2)
        return choice.topk(cfg.num_experts_per_tok, dim=-1, sorted=False).indices

    @torch.no_grad()
    def rebalance(self, load: Tensor, speed: float) -> None:
        """Moves the bias by `speed` against the load [E] (tokens per expert in the last step)."""
        self.e_score_correction_bias += speed * (load.mean() - load).sign()


class Dispatch(Protocol):
    """How rows reach experts that other ranks hold (expert parallel)."""

    def __call__(
        self, rows: Tensor, ids: Tensor, weights: Tensor, gate_up: Tensor, down: Tensor
    ) -> Tensor: ...


class Experts(nn.Module):
    """The routed experts, packed as transformers 5 packs them."""

    dispatch: Dispatch = staticmethod(ops.expert_mlp)  # this rank holds them all

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        e, m, d = config.n_routed_experts, config.moe_intermediate_size, config.hidden_size
        self.gate_up_proj = nn.Parameter(torch.empty(e, 2 * m, d))
        self.down_proj = nn.Parameter(torch.empty(e, d, m))

    def forward(self, rows: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        """rows [N, hidden], ids and weights [N, K] -> the weighted sum of their experts."""
        return self.dispatch(rows, ids, weights, self.gate_up_proj, self.down_proj)


class Moe(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = Router(config)
        self.experts = Experts(config)
        self.shared_experts = Mlp(
            config.hidden_size, config.moe_intermediate_size * config.n_shared_experts
        )

    def forward(self, h: Tensor, replay: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """h [B, T, hidden] -> output [B, T, hidden] and the expert ids used, [B, T, K]."""
        rows = h.flatten(0, 1)  # [N, hidden]
        ids, weights = self.gate(rows, None if replay is None else replay.flatten(0, 1))
        routed = self.experts(rows, ids, weights)
        return self.shared_experts(h) + routed.view_as(h), ids.view(*h.shape[:2], -1)
