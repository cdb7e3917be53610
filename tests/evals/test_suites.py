"""Suites against those who need no model: an oracle scores 1, a guesser the chance that is told."""

import asyncio
from pathlib import Path

import pytest

from speciale.errors import ConfigError
from speciale.evals.attempts import Settings
from speciale.evals.evaluation import evaluate
from speciale.evals.policies import scripted
from speciale.evals.statistics import interval
from speciale.evals.suites import SUITES
from speciale.evals.suites.suite import Choice
from speciale.evals.table import by_task

CELLS = {
    "reasoning": ("problems/gcd@1", "problems/letter_counting@1", "problems/count_bits@1"),
    "longctx": ("needle@1024", "multi-needle@1024", "variables@1024", "words@1024"),
    "format": (),
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
    if name != "longctx":
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
