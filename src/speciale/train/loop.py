"""The loop that every stage runs: batch, losses, clip, step, balance, measure, checkpoint.

A step is a pure function of model, optimiser, seed and step number, so a killed stage continues
from its last checkpoint to the same bits. Expert biases follow the load of each step (V3 report,
2.1.2, auxiliary-loss-free balancing).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from speciale.errors import TrainingError
from speciale.model import Transformer
from speciale.model.checkpoint import load_state
from speciale.model.config import ModelConfig
from speciale.model.moe import Moe
from speciale.model.parts import held, whole_state
from speciale.train.checkpointing import (
    load_tensors,
    optimiser_tensors,
    restore_optimiser,
    save_tensors,
)
from speciale.train.flops import training_flops
from speciale.train.machine import peak_memory_mb
from speciale.train.objective import Batch, Losses, Share
from speciale.train.optimiser import (
    build_optimiser,
    indexer_parameters,
    learning_rate,
    main_parameters,
)
from speciale.train.parallel.checkpoint import forget_sharded, load_sharded, newest, save_sharded
from speciale.train.parallel.ranks import Ranks
from speciale.train.parallel.sharding import clip_gradients, sharded
from speciale.train.progress import task
from speciale.train.recipe import Stage, StageName

_CHECKPOINT_EVERY = 20.0  # seconds
_LOG_EVERY = 10  # steps
FOREIGN = "it is of another model: delete it and run the same command again"


class StagedRun(Protocol):
    """A run's folder (folder.py) that knows where a stage's weights lie."""

    def finished(self, stage: StageName) -> Path: ...

    def partial(self, stage: StageName) -> Path: ...

    def forget(self, stage: StageName, after_step: int) -> None: ...

    def log(self, **record: Any) -> None: ...


@dataclass(frozen=True)
class StagePlan:
    """What makes one stage differ from another."""

    name: StageName
    settings: Stage
    context: int  # tokens of a row
    start: Callable[[Transformer], None]  # puts the weights in place that it begins with
    batch: Callable[[int], Batch]  # step -> batch, a pure function
    losses: Callable[[Transformer, Share], Losses]
    validate: Callable[[Transformer], dict]  # extra facts every `valid_every` steps
    valid_every: int
    indexer_only: bool = False


def run_stage(
    run: StagedRun,
    config: ModelConfig,
    plan: StagePlan,
    peak_gflops: float,
    ranks: Ranks = Ranks(),  # noqa: B008 - it is frozen
) -> None:
    """Runs one stage from where it starts, or from its own last checkpoint, on all ranks.

    Raises TrainingError where the loss stops being finite, CheckpointError for what it reads.
    """
    if run.finished(plan.name).exists():
        return
    settings = plan.settings
    ranks.check(config, settings.batch_size, plan.context)
    model = _model(config, plan, ranks)
    groups = [g for g in (main_parameters(model), indexer_parameters(model)) if g[0].requires_grad]
    optimiser = build_optimiser([p for group in groups for p in group], settings)
    first, spent = _restore(run, plan, model, optimiser, ranks)
    log = run.log if ranks.leads else _nothing
    if ranks.leads:
        run.forget(plan.name, after_step=first)
    tokens_per_step = settings.batch_size * plan.context
    uses_mtp = plan.indexer_only or settings.mtp_weight > 0
    flops = training_flops(config, plan.name, plan.context, uses_mtp)
    peak = peak_gflops * 1e9 * ranks.world

    start = last_save = last_log = time.monotonic()
    load_sum: list[Tensor] = []
    with task(plan.name, settings.steps, first, shown=ranks.leads) as progress:
        for step in range(first, settings.steps):
            parts, loads = _gradients(plan, model, plan.batch(step), ranks)
            _check_finite(plan, step + 1, parts)
            norm = sum(clip_gradients(g, settings.gradient_clip, ranks) for g in groups)
            _check_finite(plan, step + 1, {"the gradient norm": norm})
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(settings, step)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            if not plan.indexer_only:
                _rebalance(model, loads, settings.bias_speed)
            load_sum = [a + b for a, b in zip(load_sum, loads)] if load_sum else loads

            done = step + 1
            now = time.monotonic()
            seconds = spent + now - start
            if done % _LOG_EVERY == 0 or done == settings.steps:
                steps = (done - 1) % _LOG_EVERY + 1 if done > first + _LOG_EVERY else done - first
                rate = steps * tokens_per_step / max(now - last_log, 1e-9)
                mfu = rate * flops / peak
                last_log = now
                log(
                    kind="train",
                    stage=plan.name,
                    step=done,
                    tokens=done * tokens_per_step,
                    **parts,
                    lr=optimiser.param_groups[0]["lr"],
                    grad_norm=norm,
                    tokens_per_second=rate,
                    mfu=mfu,
                    seconds=seconds,
                    expert_load=[(x / x.sum()).tolist() for x in load_sum],
                )
                load_sum = []
                text = f"{_words(parts)} · {rate:,.0f} tok/s · MFU {mfu:.0%}"
                progress.advance(done - progress.done, text)
            late = ranks.as_leader(now - last_save > _CHECKPOINT_EVERY)
            saves = late and done < settings.steps
            if saves or done == settings.steps:
                _check_finite(plan, done, {"the largest weight": ranks.largest(_largest(model))})
            if done % plan.valid_every == 0 or done == settings.steps:
                facts = plan.validate(model)
                log(kind="valid", stage=plan.name, step=done, **facts)
            if saves:
                _save(run, plan.name, model, optimiser, done, seconds, ranks)
                last_save = time.monotonic()
    seconds = spent + time.monotonic() - start
    tokens = settings.steps * tokens_per_step
    log(
        kind="stage",
        stage=plan.name,
        seconds=seconds,
        tokens=tokens,
        steps=settings.steps,
        flops=tokens * flops,
        mfu=tokens * flops / seconds / peak,
        peak_memory_mb=peak_memory_mb(),
    )
    weights = whole_state(model)
    if ranks.leads:
        save_tensors(run.finished(plan.name), weights, {"stage": plan.name})
        run.partial(plan.name).unlink(missing_ok=True)
        forget_sharded(run.partial(plan.name))
    ranks.wait()


def _gradients(
    plan: StagePlan, model: Transformer, batch: Batch, ranks: Ranks
) -> tuple[dict[str, float], list[Tensor]]:
    """Adds up the gradients of a batch; its losses, and by layer the tokens of each expert [E]."""
    parts: dict[str, float] = {}
    loads: list[Tensor] = []
    for share in ranks.shares(batch):
        losses = plan.losses(model, share)
        losses.total.backward()
        parts = {key: parts.get(key, 0.0) + value for key, value in losses.parts.items()}
        own = [_load(ids, model.config.n_routed_experts) for ids in losses.routing]
        loads = [a + b for a, b in zip(loads, own)] if loads else own
    ranks.total(*loads)
    return ranks.sums(parts), loads


def _nothing(**_record: Any) -> None:
    """What ranks log that do not lead."""


def _model(config: ModelConfig, plan: StagePlan, ranks: Ranks) -> Transformer:
    def trained(name: str) -> bool:
        return not plan.indexer_only or ".indexer." in name

    if ranks.world > 1:
        return sharded(config, ranks, trained)
    model = Transformer(config)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained(name))
    return model


def _restore(
    run: StagedRun,
    plan: StagePlan,
    model: Transformer,
    optimiser: torch.optim.Optimizer,
    ranks: Ranks,
) -> tuple[int, float]:
    """Loads where to start; returns the steps done and the seconds they took.

    The last checkpoint may be of another number of ranks.
    """
    partial = run.partial(plan.name)
    if (folder := newest(partial)) is not None:
        about = load_sharded(folder, model, optimiser, ranks)
    elif partial.exists():
        tensors, about = load_tensors(partial)
        weights = {n: t for n, t in tensors.items() if not n.startswith("optimiser.")}
        load_state(model, weights, str(partial), FOREIGN)
        restore_optimiser(optimiser, tensors)
    else:
        plan.start(model)
        return 0, 0.0
    return about["step"], about["seconds"]


def _save(
    run: StagedRun,
    stage: StageName,
    model: Transformer,
    optimiser: torch.optim.Optimizer,
    step: int,
    seconds: float,
    ranks: Ranks,
) -> None:
    about = {"stage": stage, "step": step, "seconds": seconds}
    if ranks.world > 1:
        save_sharded(run.partial(stage), model, optimiser, about, ranks)
    else:
        tensors = {**model.state_dict(), **optimiser_tensors(optimiser)}
        save_tensors(run.partial(stage), tensors, about)
        forget_sharded(run.partial(stage))


def _check_finite(plan: StagePlan, step: int, values: dict[str, float]) -> None:
    """Before the values go into a step or a checkpoint, so that the last one stays good."""
    for what, value in values.items():
        if not math.isfinite(value):
            raise TrainingError(
                f"{what} became {value} in stage {plan.name!r} at step {step}: lower "
                f"{plan.name}.learning_rate (now {plan.settings.learning_rate}) in the recipe and "
                "start a new run; the last good checkpoint was kept"
            )


def _largest(model: Transformer) -> Tensor:
    own = (held(p.detach())[0] for p in model.parameters())
    return torch.stack([part.abs().max() for part in own if part.numel()]).max()


def _load(ids: Tensor, experts: int) -> Tensor:
    """Tokens per expert, [E], from expert ids [B, T, K]."""
    return ids.flatten().bincount(minlength=experts).float()


def _rebalance(model: Transformer, loads: list[Tensor], speed: float) -> None:
    routers = [block.mlp.gate for block in model.layers if isinstance(block.mlp, Moe)]
    for router, load in zip(routers, loads):  # the MTP block, last, may not have run
        router.rebalance(load, speed)


def _words(parts: dict[str, float]) -> str:
    names = {"loss": "loss", "mtp_loss": "mtp", "indexer_kl": "kl"}
    return " ".join(f"{names[key]} {value:.3f}" for key, value in parts.items())
