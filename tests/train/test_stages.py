"""Stages: how long their rows are, and that a later one goes on in the text."""

import json

from speciale.train.run import Run
from speciale.train.stages import _text_batches, train_stage


def with_context(run, stage, context):
    table = run.recipe.stage(stage).model_copy(update={"context": context})
    return Run(run.folder, run.recipe.model_copy(update={stage: table}))


def test_a_stage_may_have_rows_of_its_own(micro):
    run = with_context(micro, "pretrain", 32)
    for stage in ("pretrain", "warmup"):
        train_stage(run, stage)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    tokens = {line["stage"]: line["tokens"] for line in lines if line["kind"] == "stage"}
    assert tokens == {
        "pretrain": run.recipe.pretrain.steps * 2 * 32,
        "warmup": run.recipe.warmup.steps * 2 * 64,
    }


def test_a_stage_goes_on_where_the_one_before_it_stopped(micro):
    """Rows of one length: no window of an epoch comes in both."""
    first, second = (_text_batches(micro, stage) for stage in ("pretrain", "warmup"))
    before = {
        tuple(row) for n in range(micro.recipe.pretrain.steps) for row in first(n).ids.tolist()
    }
    after = {tuple(row) for row in second(0).ids.tolist()}
    assert before and after and not before & after
    halved = with_context(micro, "pretrain", 32)  # half the tokens: the next stage begins sooner
    steps = micro.recipe.pretrain.steps
    assert _text_batches(halved, "warmup")(steps // 2).ids.equal(second(0).ids)
