"""The four stages of V3.2, each a plan for the one training loop.

dense pre-training (with MTP) -> indexer warm-up -> sparse training (V3.2-Exp report, 2.1.1) ->
supervised chat training, sparse too (V3.2 report, 3).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from speciale.model import Trace, Transformer
from speciale.model.context import Attention
from speciale.train.conversations import PackedConversations
from speciale.train.indexer_kl import indexer_recall
from speciale.train.loop import StagePlan, check_order, run_stage
from speciale.train.machine import measure_peak_gflops
from speciale.train.objective import Batch, language_losses, token_loss, warmup_loss
from speciale.train.packing import PackedTokens
from speciale.train.prepare import prepare
from speciale.train.progress import task
from speciale.train.recipe import STAGES, StageName
from speciale.train.run import Run


def train_stage(run: Run, stage: StageName) -> None:
    """Runs one stage, or what is left of it; makes the data first where it is missing."""
    if not run.finished(stage).exists():
        check_order(run, stage)  # before the data, which may take minutes
        prepare(run)
        with task("measure matmul peak"):
            # the best so far: a machine that was busy at one moment must not flatter MFU
            peak = max(run.facts().get("peak_gflops", 0.0), measure_peak_gflops())
            run.add_facts(peak_gflops=peak)
        run_stage(run, _plan(run, stage), peak)


def _plan(run: Run, stage: StageName) -> StagePlan:
    plans: dict[StageName, Callable[[], StagePlan]] = {
        "pretrain": lambda: StagePlan(
            "pretrain",
            _text_batches(run, "pretrain"),
            lambda model, batch: language_losses(
                model, batch, "dense", run.recipe.pretrain.mtp_weight, kl=False
            ),
            lambda model: {"loss": valid_loss(run, model, "dense")},
        ),
        "warmup": lambda: StagePlan(
            "warmup",
            _text_batches(run, "warmup"),
            warmup_loss,
            lambda model: {"recall": recall(run, model)},
            indexer_only=True,
        ),
        "sparse": lambda: StagePlan(
            "sparse",
            _text_batches(run, "sparse"),
            lambda model, batch: language_losses(
                model, batch, "sparse", run.recipe.sparse.mtp_weight, kl=True
            ),
            lambda model: {
                "loss": valid_loss(run, model, "sparse"),
                "recall": recall(run, model),
            },
        ),
        "sft": lambda: StagePlan(
            "sft",
            _chat_batches(run),
            lambda model, batch: language_losses(
                model, batch, "sparse", run.recipe.sft.mtp_weight, kl=True
            ),
            lambda model: {"text_loss": valid_loss(run, model, "sparse")},
        ),
    }
    return plans[stage]()


def _text_batches(run: Run, stage: StageName) -> Callable[[int], Batch]:
    """Windows of the training text; every stage goes on where the one before it stopped."""
    tokens = PackedTokens(run.data / "train.tokens")
    context, size = run.recipe.data.context, run.recipe.stage(stage).batch_size
    before = [run.recipe.stage(name) for name in STAGES[: STAGES.index(stage)]]
    # in units of this stage's batches, so that no text is repeated before all was seen
    skip = -(-sum(s.steps * s.batch_size for s in before) // size)

    def batch(step: int) -> Batch:
        return Batch(torch.from_numpy(tokens.batch(skip + step, size, context, run.recipe.seed)))

    return batch


def _chat_batches(run: Run) -> Callable[[int], Batch]:
    rows = PackedConversations(run.data / "chat.npy")
    size, seed = run.recipe.sft.batch_size, run.recipe.seed
    return lambda step: rows.batch(step, size, seed)


def _valid_batches(run: Run, size: int = 8) -> list[torch.Tensor]:
    tokens = PackedTokens(run.data / "valid.tokens")
    count = run.recipe.evaluation.valid_sequences
    batches = range(max(1, count // size))
    size = min(size, count)
    context = run.recipe.data.context
    return [torch.from_numpy(tokens.batch(n, size, context, seed=0)) for n in batches]


@torch.no_grad()
def valid_loss(run: Run, model: Transformer, attention: Attention) -> float:
    """Mean next-token loss in nats on the run's held-out text."""
    losses = [
        token_loss(model, model.hidden(ids[:, :-1], attention=attention), ids[:, 1:]).item()
        for ids in _valid_batches(run)
    ]
    return sum(losses) / len(losses)


@torch.no_grad()
def recall(run: Run, model: Transformer) -> list[float]:
    """Indexer recall per layer on held-out text, against the dense attention's true top-k."""
    trace = Trace(record_attention=True)
    model.hidden(_valid_batches(run)[0][:, :-1], attention="dense", trace=trace)
    return [indexer_recall(record, run.config.index_topk) for record in trace.attention]
