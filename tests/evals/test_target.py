"""Targets: the engine in this process gives the same numbers again, servers are told apart."""

import asyncio
import json

import pytest

from model.configs import random_model, tiny_config
from speciale.agents.loop import Plan, run_agent
from speciale.agents.scripted import ScriptedSampler
from speciale.chat import THINK_CLOSE
from speciale.chat.tokenizer import save_tokenizer
from speciale.engine.params import SamplingParams
from speciale.errors import ConfigError
from speciale.evals.attempts import Settings
from speciale.evals.budget import Thrifty
from speciale.evals.evaluation import evaluate
from speciale.evals.suites import SUITES
from speciale.evals.suites.suite import Choice
from speciale.evals.target import ServerOptions, model_digest, open_target
from speciale.model import save_model
from speciale.train.bpe import train_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of random weights with a tokenizer."""
    place = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(["How many bits are there in the number? Find the gcd." * 9], 320)
    save_model(random_model(tiny_config(vocab_size=tokenizer.get_vocab_size())), place)
    save_tokenizer(tokenizer, place)
    return place


def found(folder, out, **more):
    choice = Choice(("problems/gcd@1", "problems/count_bits@1"), 5)

    async def work():
        async with open_target(str(folder)) as target:
            settings = Settings(samples=3, max_tokens=12)
            return await evaluate(target, SUITES["reasoning"], choice, settings, out, **more)

    return asyncio.run(work())


def test_a_model_gives_the_same_again_and_after_a_kill(folder, tmp_path):
    one = found(folder, tmp_path / "one")
    two = found(folder, tmp_path / "two")
    kept = [(r.key, r.answer, r.tokens, r.score) for r in one.records[None]]
    assert kept == [(r.key, r.answer, r.tokens, r.score) for r in two.records[None]]
    path = tmp_path / "two" / "attempts" / "reasoning.jsonl"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 3])
    again = found(folder, tmp_path / "two")
    assert kept == [(r.key, r.answer, r.tokens, r.score) for r in again.records[None]]
    assert one.rows == again.rows


def test_a_digest_is_of_weights_and_tokenizer(folder, tmp_path):
    assert model_digest(folder) == model_digest(folder)
    other = random_model(tiny_config(vocab_size=320), seed=1)
    save_model(other, tmp_path)
    assert model_digest(tmp_path) != model_digest(folder)


def test_budgets_end_the_thinking(folder, tmp_path):
    whole = found(folder, tmp_path).rows
    rows = found(folder, tmp_path, budgets=(0, 4)).rows
    assert [row["budget"] for row in rows] == [0, 0, 0, 4, 4, 4]
    # Neither takes the place of the other.
    kept = {path.name: json.loads(path.read_text())["rows"] for path in tmp_path.glob("*.json")}
    assert kept == {"reasoning.json": whole, "reasoning-budgets.json": rows}


def test_a_thrifty_sampler_thinks_no_longer():
    thoughts = {"role": "assistant", "content": "", "reasoning_content": "one two three four five"}

    def say(prompt):
        return "the answer" if prompt.endswith(THINK_CLOSE) else thoughts | {"content": "long"}

    def answered(budget, limit=200):
        model = Thrifty(ScriptedSampler(say), budget)
        plan = Plan(SamplingParams(max_tokens=limit))
        return asyncio.run(run_agent(model, [{"role": "user", "content": "?"}], None, plan))

    message = answered(7).messages[-1]
    assert message["reasoning_content"] == "one two" and message["content"] == "the answer"
    assert "reasoning_content" not in answered(0).messages[-1]
    assert answered(100).messages[-1]["content"] == "long"  # it ended by itself
    assert answered(7, limit=8).stop == "length"


def test_servers_are_named_whole(monkeypatch):
    async def opened(**options):
        async with open_target("http://localhost:9/v1", ServerOptions(**options)) as target:
            return target

    with pytest.raises(ConfigError, match="--model"):
        asyncio.run(opened())
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(ConfigError, match="NO_KEY holds no key"):
        asyncio.run(opened(model="m", key_env="NO_KEY"))
    one, two = asyncio.run(opened(model="m")), asyncio.run(opened(model="n"))
    assert one.digest != two.digest and one.count("x" * 30) == 10
