"""The recipe's table of rewards: what it builds, what it refuses, and no secret in what it says."""

import asyncio
import tomllib

import pytest
from pydantic import ValidationError

from speciale.agents.trajectory import Step, Trajectory
from speciale.errors import ConfigError, SpecialeError
from speciale.model.config import first_problem
from speciale.rl.rewards import RewardSettings, build
from speciale.rl.rewards.proof import Proof
from speciale.rl.rewards.rubric import Rubric
from speciale.tasks.task import Task

SERVER = {"url": "http://localhost:8000/v1", "model": "judge"}
TOML = """
outcome = 1
length = 0.1
length_limit = 96
format = 0.1
language = 0.05
timeout_s = 300
rubric = { weight = 0.5, url = "http://localhost:8000/v1", model = "judge", key_env = "JUDGE_KEY" }

[proof]
url = "http://localhost:8001/v1"
model = "verifier"
verifications = 4
meta_verifications = 3
confirmations = 2
"""


def settings(**table):
    return RewardSettings.model_validate(table)


def built(**table):
    return {part.name: (weight, part) for weight, part in build(settings(**table)).weighted}


def test_all_of_a_table(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "sk-1")
    table = RewardSettings.model_validate(tomllib.loads(TOML))
    rewards = build(table)
    assert rewards.timeout_s == 300
    weights = {part.name: weight for weight, part in rewards.weighted}
    assert weights == {
        "outcome": 1.0, "length": 0.1, "format": 0.1, "language": 0.05, "rubric": 0.5, "proof": 1.0,
    }  # fmt: skip
    parts = {part.name: part for _, part in rewards.weighted}
    assert isinstance(parts["rubric"], Rubric) and isinstance(parts["proof"], Proof)
    assert parts["length"].limit == 96
    assert (parts["proof"]._verifications, parts["proof"]._metas) == (4, 3)
    assert parts["proof"]._confirmations == 2
    assert (parts["proof"]._alpha, parts["proof"]._beta) == (0.76, 0.24)


def test_a_resolved_table_reads_the_same_again():
    table = RewardSettings.model_validate(tomllib.loads(TOML))
    assert RewardSettings.model_validate(table.model_dump()) == table
    assert "sk-" not in table.model_dump_json()


def test_the_outcome_alone_is_what_an_empty_table_says():
    assert list(built()) == ["outcome"]


def test_components_of_weight_0_are_left_out():
    assert list(built(outcome=0, format=1.0)) == ["format"]
    # A judge that is not asked needs no key.
    assert list(built(rubric={**SERVER, "weight": 0, "key_env": "NOT_SET"})) == ["outcome"]


@pytest.mark.parametrize(
    "table", [{"outcome": 0.0}, {"outcome": 0, "rubric": {**SERVER, "weight": 0.0}}]
)
def test_where_nothing_is_left_it_is_said(table):
    with pytest.raises(ConfigError, match="all rewards of a domain have the weight 0"):
        build(settings(**table))


REFUSED = {
    "unknown": ({"outcom": 1.0}, "unknown key 'outcom'"),
    "negative": ({"length": -0.1}, "length = -0.1"),
    "NaN": ({"outcome": float("nan")}, "outcome"),
    "text": ({"outcome": "1"}, "outcome = '1'"),
    "limit": ({"length_limit": 0}, "length_limit = 0"),
    "time": ({"timeout_s": 0}, "timeout_s = 0"),
    "no url": ({"rubric": {"model": "m"}}, "'rubric.url' is missing"),
    "no model": ({"rubric": {**SERVER, "model": ""}}, "rubric.model"),
    "unknown of a judge": ({"proof": {**SERVER, "votes": 3}}, "unknown key 'proof.votes'"),
    "length pays to fail": ({"outcome": 0.5, "length": 0.5}, "not below what a solution earns"),
    "never confirmed": ({"proof": {**SERVER, "confirmations": 2}}, "more than verifications 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_said_with_its_key(name):
    table, words = REFUSED[name]
    with pytest.raises(ValidationError) as caught:
        settings(**table)
    assert words in first_problem(caught.value)


@pytest.mark.parametrize(
    "judge", [{"key_env": "sk-hunter2"}, {"api_key": "hunter2"}, {"key": "hunter2"}]
)
def test_a_secret_in_the_recipe_is_refused_and_not_repeated(judge):
    with pytest.raises(SpecialeError, match="set key_env to its name") as caught:
        settings(proof={**SERVER, **judge})
    assert "hunter2" not in str(caught.value)


def test_a_key_that_is_not_set_is_said_before_anything_runs(monkeypatch):
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(ConfigError, match="NO_KEY is not set"):
        build(settings(rubric={**SERVER, "key_env": "NO_KEY"}))


def test_with_the_weights_of_a_recipe_a_solution_is_worth_more_than_any_failure():
    async def _unverified(attempt):
        raise AssertionError("rewards do not verify")

    task = Task("1", "s", [{"role": "user", "content": "Which number?"}], _unverified)
    rewards = build(settings(length=0.1, length_limit=96, format=0.1, language=0.05))

    def total(score, tokens):
        message = {"role": "assistant", "content": "five", "reasoning_content": "so"}
        step = Step(0, [], [1] * tokens, [0.0] * tokens, "stop", 0.0, message)
        done = Trajectory(messages=[message], steps=[step], stop="answer", score=score)
        return asyncio.run(rewards.judge(task, done)).total

    assert total(1.0, 48) == pytest.approx(1.1)
    assert total(1.0, 10) > total(1.0, 500) > total(0.0, 1) == total(0.0, 500)
