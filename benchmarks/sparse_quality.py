"""Does sparse attention keep the quality of dense, where a sliding window does not?

One dense model is trained; then, on the same tokens, it is continued three ways: dense, sparse
(indexer warm-up first, then the sparse stage of V3.2-Exp, k = L/8), and with a sliding window of
the same k. Measured: held-out text loss, and a retrieval task: (key, value) tokens stand at the
start of the context, text follows for longer than all layers' windows together, then values are
asked for by key. A pair is one token, so that one attention hop finds it: with key and value as two
tokens the dense model itself had not learnt the task after 600 to 900 steps.

    python benchmarks/sparse_quality.py [--seeds 3] [--dense-steps 1000] [--more-steps 150]
"""

import argparse
import copy
import tempfile
from pathlib import Path

import numpy as np
import torch

from _results import write
from speciale.model import Transformer
from speciale.train.objective import Batch, language_losses, warmup_loss
from speciale.train.optimiser import (
    build_optimiser,
    indexer_parameters,
    learning_rate,
    main_parameters,
)
from speciale.train.packing import PackedTokens
from speciale.train.prepare import prepare
from speciale.train.progress import console, task
from speciale.train.recipe import Stage, read_recipe
from speciale.train.run import Run
from speciale.train.stages import recall, valid_loss

LENGTH, K, PAIRS = 128, 16, 6
TEXT_ROWS, RETRIEVAL_ROWS = 8, 16
SIZE = 16  # different keys, and different values
# Token ids that the task takes for its own: a pair, a key that is asked for, a value.
PAIR, ASKED, VALUE = 300, 300 + SIZE**2, 300 + SIZE**2 + SIZE


def retrieval_rows(text: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Replaces the ends of text rows [B, L+1] by pairs and questions; returns ids and the mask."""
    ids, learn = text.copy(), np.zeros(text.shape, dtype=bool)
    for row, mask in zip(ids, learn):
        keys, values = rng.choice(SIZE, PAIRS, replace=False), rng.integers(0, SIZE, PAIRS)
        asked = rng.integers(0, PAIRS, PAIRS)
        row[:PAIRS] = PAIR + keys * SIZE + values
        row[-2 * PAIRS :] = np.stack((ASKED + keys[asked], VALUE + values[asked]), 1).ravel()
        mask[-2 * PAIRS + 1 :: 2] = True  # the values
    return ids, learn


def batches(tokens: PackedTokens, step: int, seed: int) -> tuple[Batch, Batch]:
    """Text and retrieval of one step; a pure function of seed and step."""
    ids = tokens.batch(step, TEXT_ROWS + RETRIEVAL_ROWS, LENGTH, seed)
    asked, learn = retrieval_rows(ids[TEXT_ROWS:], np.random.default_rng([seed, step]))
    text = Batch(torch.from_numpy(ids[:TEXT_ROWS]))
    return text, Batch(torch.from_numpy(asked), learn=torch.from_numpy(learn))


@torch.no_grad()
def retrieval_accuracy(model: Transformer, tokens: PackedTokens, attention: str) -> float:
    rng = np.random.default_rng(12345)
    right = asked = 0
    for step in range(8):
        ids, learn = retrieval_rows(tokens.batch(step, 32, LENGTH, 7), rng)
        ids, learn = torch.from_numpy(ids), torch.from_numpy(learn)
        guess = model(ids[:, :-1], attention=attention).argmax(-1)
        hits = guess == ids[:, 1:]
        right += int(hits[learn[:, 1:]].sum())
        asked += int(learn.sum())
    return right / asked


def train(model, tokens, stage: Stage, label: str, loss_of, first_step: int, seed: int) -> None:
    optimiser = build_optimiser([p for p in model.parameters() if p.requires_grad], stage)
    groups = [
        [p for p in group if p.requires_grad]
        for group in (main_parameters(model), indexer_parameters(model))
    ]
    with task(label, stage.steps) as progress:
        for step in range(stage.steps):
            losses = [loss_of(model, b.share()) for b in batches(tokens, first_step + step, seed)]
            sum(x.total for x in losses).backward()
            for group in filter(None, groups):
                torch.nn.utils.clip_grad_norm_(group, stage.gradient_clip)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(stage, step)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            names = ("text", "retrieval")
            text = [f"{n} {k} {v:.3f}" for n, x in zip(names, losses) for k, v in x.parts.items()]
            progress.advance(1, ", ".join(text))


def one_seed(run: Run, seed: int, dense_steps: int, more_steps: int) -> dict:
    tokens = PackedTokens(run.data / "train.tokens")
    valid = PackedTokens(run.data / "valid.tokens")
    model = Transformer(run.config)
    model.initialise(seed)
    first = Stage(steps=dense_steps, learning_rate=2e-3, decay_share=0.2)
    more = Stage(steps=more_steps, learning_rate=1e-3)
    warm = Stage(steps=120, learning_rate=3e-3)

    def language(attention, kl):
        return lambda m, b: language_losses(m, b, attention, 0.0, kl)

    train(model, tokens, first, f"seed {seed} dense", language("dense", False), 0, seed)
    row = {"seed": seed, "retrieval before": retrieval_accuracy(model, valid, "dense")}
    for attention in ("dense", "window", "sparse"):
        branch = copy.deepcopy(model)
        if attention == "sparse":
            for name, parameter in branch.named_parameters():
                parameter.requires_grad_(".indexer." in name)
            train(branch, tokens, warm, f"seed {seed} warm-up", warmup_loss, 0, seed)
            branch.requires_grad_(True)
        loss_of = language(attention, attention == "sparse")
        label = f"seed {seed} + {attention}"
        train(branch, tokens, more, label, loss_of, dense_steps, seed)
        row[f"loss {attention}"] = valid_loss(run, branch, attention)
        row[f"retrieval {attention}"] = retrieval_accuracy(branch, valid, attention)
        if attention == "sparse":
            row["indexer recall"] = float(np.mean(recall(run, branch)))
    row["sparse vs dense loss %"] = 100 * (row["loss sparse"] / row["loss dense"] - 1)
    row["window vs dense loss %"] = 100 * (row["loss window"] / row["loss dense"] - 1)
    console.print(row)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dense-steps", type=int, default=1000)
    parser.add_argument("--more-steps", type=int, default=150)
    arguments = parser.parse_args()
    overrides = [
        "model.num_nextn_predict_layers=0",
        f"model.index_topk={K}",
        f"data.context={LENGTH}",
        "data.text_megabytes=8",
        "data.problem_share=0",
        "data.conversations=1",
        "evaluation.valid_sequences=256",
    ]
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", read_recipe("tiny", overrides), "benchmark")
        prepare(run)
        rows = [
            one_seed(run, seed, arguments.dense_steps, arguments.more_steps)
            for seed in range(arguments.seeds)
        ]
    write("sparse_quality", rows)


if __name__ == "__main__":
    main()
