"""The four stages of V3.2, each a plan for the one training loop.

dense pre-training (with MTP) -> indexer warm-up -> sparse training (V3.2-Exp report, 2.1.1) ->
supervised chat training, sparse too (V3.2 report, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from speciale.errors import CheckpointError
from speciale.model import Trace, Transformer
from speciale.model.checkpoint import load_state
from speciale.model.config import Attention
from speciale.train.checkpointing import load_tensors
from speciale.train.conversations import PackedConversations
from speciale.train.indexer_kl import indexer_recall
from speciale.train.loop import FOREIGN, StagePlan, run_stage
from speciale.train.machine import measure_peak_gflops
from speciale.train.objective import Batch, Losses, Share, language_losses, token_loss, warmup_loss
from speciale.train.packing import PackedTokens
from speciale.train.parallel.ranks import Layout, Ranks
from speciale.train.prepare import prepare
from speciale.train.progress import task
from speciale.train.recipe import STAGES, Recipe, StageName
from speciale.train.run import Run


def train_stage(run: Run, stage: StageName, ranks: Ranks = Ranks()) -> None:  # noqa: B008
    """Runs one stage, or what is left of it; makes the data first where it is missing."""
    if not run.finished(stage).exists():
        _check_order(run, stage)  # before the data, which may take minutes
        if ranks.leads:
            prepare(run)
            with task("measure matmul peak"):
                # the best so far: a machine that was busy at one moment must not flatter MFU
                peak = max(run.facts().get("peak_gflops", 0.0), measure_peak_gflops(ranks.device))
                run.add_facts(peak_gflops=peak)
        ranks.wait()
        run_stage(run, run.config, _plan(run, stage), run.facts()["peak_gflops"], ranks)


def train_on_ranks(
    folder: Path, recipe: Recipe, stage: StageName, layout: Layout, command: str
) -> Path | None:
    """`train_stage` in a run's folder, by every process of a job alike; the stage's weights, for
    the leader to tell of."""
    ranks = Ranks.join(layout)
    try:
        if ranks.leads:
            run = Run.create(folder, recipe, command)
            with run.locked():
                ranks.wait()
                train_stage(run, stage, ranks)
            return run.finished(stage)
        ranks.wait()
        train_stage(Run(folder, recipe), stage, ranks)
        return None
    finally:
        ranks.leave()


def stage_model(run: Run, stage: StageName) -> Transformer:
    """The model at the end of a finished stage."""
    model = Transformer(run.config)
    tensors, _ = load_tensors(run.finished(stage))
    load_state(model, tensors, str(run.finished(stage)), FOREIGN)
    return model.eval()


def _check_order(run: Run, stage: StageName) -> StageName | None:
    """The stage that this one continues; CheckpointError where the run has not finished it."""
    if stage == STAGES[0]:
        return None
    before = STAGES[STAGES.index(stage) - 1]
    if not run.finished(before).exists() and not run.partial(stage).exists():
        raise CheckpointError(
            f"stage {stage!r} continues {before!r}, which {run.folder} has not finished: "
            f"run `speciale train {before}` first"
        )
    return before


def start_of(run: Run, stage: StageName) -> Callable[[Transformer], None]:
    """Weights drawn anew for the first stage, those of the stage before for the others."""

    def start(model: Transformer) -> None:
        before = _check_order(run, stage)
        if before is None:
            model.initialise(run.recipe.seed)
            return
        tensors, _ = load_tensors(run.finished(before))
        load_state(model, tensors, str(run.finished(before)), FOREIGN)

    return start


def _plan(run: Run, stage: StageName) -> StagePlan:
    settings = run.recipe.stage(stage)
    indexer_only = stage == "warmup"
    attention: Attention = "dense" if stage == "pretrain" else run.config.attention

    def losses(model: Transformer, share: Share) -> Losses:
        if indexer_only:
            return warmup_loss(model, share)
        return language_losses(
            model, share, attention, settings.mtp_weight, kl=attention == "sparse"
        )

    def validate(model: Transformer) -> dict:
        if stage == "sft":
            return {"text_loss": valid_loss(run, model, attention)}
        facts: dict = {}
        if not indexer_only:
            facts["loss"] = valid_loss(run, model, attention)
        if attention == "sparse":
            facts["recall"] = recall(run, model)
        return facts

    return StagePlan(
        stage,
        settings,
        run.recipe.context(stage),
        start_of(run, stage),
        _chat_batches(run) if stage == "sft" else _text_batches(run, stage),
        losses,
        validate,
        run.recipe.evaluation.valid_every,
        indexer_only,
    )


def _text_batches(run: Run, stage: StageName) -> Callable[[int], Batch]:
    """Windows of the training text; every stage goes on where the one before it stopped."""
    tokens = PackedTokens(run.data / "train.tokens")
    recipe = run.recipe
    context, size = recipe.context(stage), recipe.stage(stage).batch_size
    # In this stage's batches: where all rows are as long, no text comes again before all was seen.
    seen = sum(
        recipe.stage(name).steps * recipe.stage(name).batch_size * recipe.context(name)
        for name in STAGES[: STAGES.index(stage)]
    )
    skip = -(-seen // (size * context))

    def batch(step: int) -> Batch:
        return Batch(torch.from_numpy(tokens.batch(skip + step, size, context, recipe.seed)))

    return batch


def _chat_batches(run: Run) -> Callable[[int], Batch]:
    rows = PackedConversations(run.data / "chat.npy")
    size, seed = run.recipe.sft.batch_size, run.recipe.seed
    return lambda step: rows.batch(step, size, seed)


def _valid_batches(run: Run, model: Transformer, size: int = 8) -> list[torch.Tensor]:
    """On the model's device."""
    tokens = PackedTokens(run.data / "valid.tokens")
    count = run.recipe.evaluation.valid_sequences
    batches = range(max(1, count // size))
    size = min(size, count)
    context = run.recipe.data.context
    device = next(model.parameters()).device
    return [torch.from_numpy(tokens.batch(n, size, context, seed=0)).to(device) for n in batches]


@torch.no_grad()
def valid_loss(run: Run, model: Transformer, attention: Attention) -> float:
    """Mean next-token loss in nats on the run's held-out text."""
    losses = [
        token_loss(model, model.hidden(ids[:, :-1], attention=attention), ids[:, 1:]).item()
        for ids in _valid_batches(run, model)
    ]
    return sum(losses) / len(losses)


@torch.no_grad()
def recall(run: Run, model: Transformer) -> list[float]:
    """Indexer recall per layer on held-out text, against the dense attention's true top-k."""
    trace = Trace(partial(indexer_recall, topk=run.config.index_topk))
    model.hidden(_valid_batches(run, model)[0][:, :-1], attention="dense", trace=trace)
    return trace.measured
