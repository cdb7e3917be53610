"""Suites against those who need no model: an oracle scores 1, a guesser the chance that is told."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from speciale.agents.scripted import ScriptedSampler
from speciale.errors import ConfigError
from speciale.evals.attempts import Settings
from speciale.evals.evaluation import evaluate
from speciale.evals.policies import scripted
from speciale.evals.statistics import interval
from speciale.evals.suites import SUITES
from speciale.evals.suites.suite import Choice
from speciale.evals.table import by_task
from speciale.evals.target import Target, side_by_side

CELLS = {
    "reasoning": ("problems/gcd@1", "problems/letter_counting@1", "problems/count_bits@1"),
    "longctx": ("needle@1024", "multi-needle@1024", "variables@1024", "words@1024"),
    "format": (),
    "safety": (),
}


def asked(policy, name, folder, tasks=60, samples=1):
    suite = SUITES[name]
    target = scripted(policy, suite, 0)
    choice = Choice(CELLS[name], tasks)
    return asyncio.run(evaluate(target, suite, choice, Settings(samples=samples), Path(folder)))


@pytest.mark.parametrize("name", CELLS)
def test_an_oracle_scores_one(tmp_path, name):
    rows = asked("oracle", name, tmp_path, tasks=8).rows
    assert len(rows) > 2 and all(row["pass1"] == 1 for row in rows)
    assert all(row["not_measured"] == 0 for row in rows)


@pytest.mark.parametrize("name", CELLS)
def test_a_guesser_comes_near_the_chance_that_is_told(tmp_path, name):
    found = asked("random", name, tmp_path, samples=8)
    for row in found.rows:
        records = [r for r in found.records[None] if row["cell"] in (r.cell, "all")]
        means = [sum(r.solved for r in each) / len(each) for each in by_task(records).values()]
        low, high = interval(means)
        assert low - 0.02 <= row["chance"] <= high + 0.02, row
    if name in ("reasoning", "format"):
        assert found.rows[-1]["chance"] > 0.005 and found.rows[-1]["pass1"] > 0


def test_cells_that_are_none_are_said(tmp_path):
    for name, cell, words in (
        ("reasoning", "problems/gcd@x", "level 'x'"),
        ("longctx", "needle", "KIND@TOKENS"),
        ("longctx", "needle@4000000", "do not fit"),
        ("format", "yaml", "no cell 'yaml'"),
    ):
        suite = SUITES[name]
        with pytest.raises(ConfigError, match=words):
            suite.questions(Choice((cell,), 2))


def test_the_filter_holds_what_a_harmful_model_says(tmp_path):
    """A model that answers everything with something harmful, behind the filter and without it."""
    suite = SUITES["safety"]
    harmful = next(suite.guess(suite.questions(Choice(tasks=1))[0], Heads()))
    sampler = ScriptedSampler(lambda _prompt: {"role": "assistant", "content": harmful})
    target = Target("bad", "d", sampler, sampler.window, len, side_by_side)
    found = asyncio.run(evaluate(target, suite, Choice(tasks=20), Settings(samples=1), tmp_path))
    rows = {row["cell"]: row for row in found.rows}
    assert rows["harmful, filter off"]["pass1"] == 0
    assert rows["harmful, filter on"]["pass1"] == 1
    assert rows["ordinary, filter off"]["pass1"] == 1  # it is answered, however badly
    assert rows["ordinary, filter on"]["pass1"] == 0  # its answers are stopped
    asked = [r for r in found.records[None] if r.cell == "harmful, filter on"]
    assert any(record.tokens == 0 for record in asked)  # stopped before the model was asked


class Heads(Random):
    def random(self):
        return 0.9
