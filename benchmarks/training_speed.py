"""How fast training is, against this machine's float32 matmul peak and two other models.

Each round times, one after the other: the matmul peak (2048^3, best of 8), one optimiser step of
each stage of the recipe, of a plain transformer of equal active size (same width and depth, RoPE
attention, SwiGLU, no sparse anything), and of transformers' DeepseekV32ForCausalLM with our
configuration. "All four stages" weighs each by the recipe's steps. MFU is taken within a round, so
that the machine's drift cancels; medians over rounds.

    python benchmarks/training_speed.py [--recipe laptop] [--rounds 7]
"""

import argparse
import statistics
import time
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from _results import write
from speciale.model import ModelConfig, Transformer
from speciale.model.rope import Rope, rope_frequencies
from speciale.train.flops import active_parameters, training_flops
from speciale.train.objective import Batch, language_losses, warmup_loss
from speciale.train.optimiser import build_optimiser
from speciale.train.recipe import STAGES, read_recipe


class PlainBlock(nn.Module):
    def __init__(self, d: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(d), nn.RMSNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.gate_up, self.down = (
            nn.Linear(d, 2 * inner, bias=False),
            nn.Linear(inner, d, bias=False),
        )

    def forward(self, h, rope):
        q, k, v = self.qkv(self.norm1(h)).unflatten(-1, (3, self.heads, -1)).unbind(2)
        q, k = (rope.half_split(x).transpose(1, 2) for x in (q, k))
        a = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), is_causal=True)
        h = h + self.out(a.transpose(1, 2).flatten(2))
        gate, up = self.gate_up(self.norm2(h)).chunk(2, -1)
        return h + self.down(F.silu(gate) * up)


class PlainTransformer(nn.Module):
    """As many weights in matmuls per token as `active`, at the same width and depth."""

    def __init__(self, config: ModelConfig, active: int) -> None:
        super().__init__()
        d, layers, heads = config.hidden_size, config.num_hidden_layers, config.num_attention_heads
        inner = ((active - d * config.vocab_size) // layers - 4 * d * d) // (3 * d)
        self.embed = nn.Embedding(config.vocab_size, d)
        self.blocks = nn.ModuleList(PlainBlock(d, heads, inner) for _ in range(layers))
        self.norm, self.head = nn.RMSNorm(d), nn.Linear(d, config.vocab_size, bias=False)
        update = {"qk_rope_head_dim": d // heads, "index_head_dim": d}
        self.rope = rope_frequencies(config.model_copy(update=update))

    def forward(self, ids):
        rope = Rope(*self.rope, torch.arange(ids.shape[1]))
        h = self.embed(ids)
        for block in self.blocks:
            h = block(h, rope)
        return self.head(self.norm(h))

    def flops_per_token(self, context: int) -> float:
        weights = sum(p.numel() for p in self.parameters() if p.ndim == 2)
        weights -= self.embed.weight.numel()
        d = self.embed.weight.shape[1]
        return 6 * weights + 3 * len(self.blocks) * 2 * 2 * d * (context + 1) / 2


def transformers_model(config: ModelConfig):
    from transformers import DeepseekV32Config, DeepseekV32ForCausalLM

    values = {k: v for k, v in config.to_dict().items() if k not in ("architectures", "rope_theta")}
    torch.manual_seed(0)
    return DeepseekV32ForCausalLM(DeepseekV32Config(**values)).train()


def stage_loss(model: Transformer, batch: Batch, stage: str, mtp_weight: float) -> torch.Tensor:
    if stage == "warmup":
        return warmup_loss(model, batch).total
    attention = "dense" if stage == "pretrain" else "sparse"
    return language_losses(model, batch, attention, mtp_weight, kl=attention == "sparse").total


def contenders(recipe, config: ModelConfig) -> dict:
    """Label -> (function that does one optimiser step, FLOPs of it)."""
    context, size = recipe.data.context, recipe.pretrain.batch_size
    tokens = context * size
    ids = torch.randint(0, config.vocab_size, (size, context + 1))
    batch = Batch(ids).share()

    def stepper(model, loss_of, parameters=None):
        model.train()
        optimiser = build_optimiser(parameters or list(model.parameters()), recipe.pretrain)

        def step():
            loss_of().backward()
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        return step

    def next_token(model):
        return lambda: F.cross_entropy(
            model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), ignore_index=-100
        )

    ours = {}
    for stage in STAGES:
        model = Transformer(config)
        model.initialise(0)
        if stage == "warmup":
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(".indexer." in name)
        loss_of = partial(stage_loss, model, batch, stage, recipe.stage(stage).mtp_weight)
        trained = [p for p in model.parameters() if p.requires_grad]
        mtp = stage == "warmup" or recipe.stage(stage).mtp_weight > 0
        flops = training_flops(config, stage, context, mtp) * tokens
        ours[f"speciale, {stage}"] = (stepper(model, loss_of, trained), flops)
    plain = PlainTransformer(config, active_parameters(config))
    hf = transformers_model(config)
    hf_flops = tokens * (
        6 * active_parameters(config, mtp=False)
        + 3
        * config.num_hidden_layers
        * 2
        * config.num_attention_heads
        * (config.qk_head_dim + config.v_head_dim)
        * (context + 1)
        / 2
    )
    return {
        **ours,
        "plain transformer": (
            stepper(plain, next_token(plain)),
            plain.flops_per_token(context) * tokens,
        ),
        "transformers V3.2 (no MTP)": (
            stepper(hf, next_token(lambda x: hf(x).logits)),
            hf_flops,
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", default="laptop")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    recipe = read_recipe(arguments.recipe)
    config = recipe.model_config_checked()
    steps = contenders(recipe, config)
    tokens = recipe.data.context * recipe.pretrain.batch_size
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)

    def seconds(step) -> float:
        start = time.perf_counter()
        step()
        return time.perf_counter() - start

    for step, _ in steps.values():
        step()  # warm up
    times: dict[str, list[float]] = {label: [] for label in steps}
    peaks = []
    for _ in range(arguments.rounds):
        peaks.append(2 * 2048**3 / min(seconds(lambda: a @ b) for _ in range(8)))
        for label, (step, _) in steps.items():
            times[label].append(seconds(step))
    rows = []
    for label, (_, flops) in steps.items():
        mfu = statistics.median(flops / t / p for t, p in zip(times[label], peaks))
        rows.append(
            {
                "model": label,
                "tokens/s": round(tokens / statistics.median(times[label])),
                "GFLOP per token": round(flops / tokens / 1e9, 4),
                "MFU %": round(100 * mfu, 1),
            }
        )
    stages = {stage: f"speciale, {stage}" for stage in STAGES}
    steps_of = {stage: recipe.stage(stage).steps for stage in STAGES}
    flops = sum(steps_of[s] * steps[label][1] for s, label in stages.items())
    whole = [
        sum(steps_of[s] * times[label][n] for s, label in stages.items())
        for n in range(arguments.rounds)
    ]
    rows.insert(
        4,
        {
            "model": "speciale, all four stages",
            "tokens/s": round(tokens * sum(steps_of.values()) / statistics.median(whole)),
            "GFLOP per token": round(flops / (tokens * sum(steps_of.values())) / 1e9, 4),
            "MFU %": round(100 * statistics.median(flops / t / p for t, p in zip(whole, peaks)), 1),
        },
    )
    print(f"matmul peak: {statistics.median(peaks) / 1e9:.0f} GFLOP/s, median over rounds")
    write("training_speed", rows)


if __name__ == "__main__":
    main()
