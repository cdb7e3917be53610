"""Groups: what an attempt keeps, and what a bad reward, verifier, sampler or recipe costs."""

import asyncio
import itertools

import pytest

from rl.small import letter_tasks, small_recipe
from speciale.agents.sampler import SamplerError
from speciale.agents.scripted import ScriptedSampler
from speciale.errors import ConfigError
from speciale.rl.draws import Draw
from speciale.rl.rewards.component import Rewards
from speciale.rl.rewards.rules import Outcome
from speciale.rl.rollouts import Rollouts, new_group
from speciale.tasks.task import Task, Verdict


class Odd:
    """A reward that does as it is told, attempt by attempt."""

    name = "odd"

    def __init__(self, *acts):
        self._acts = itertools.cycle(acts)

    async def value(self, task, trajectory):
        act = next(self._acts)
        if act == "raise":
            raise KeyError("no such thing")
        if act == "hang":
            await asyncio.sleep(3600)
        return float("nan") if act == "nan" else act


def ask(sampler=None, rewards=None, task=None, **tables):
    """The group of one draw."""
    recipe = small_recipe("nowhere", **tables)
    task = task or next(letter_tasks("letters"))
    draw = Draw(0, "letters", "letters", task, thinking=False)
    sampler = sampler or ScriptedSampler(lambda _: {"role": "assistant", "content": "yes"})
    rollouts = Rollouts(recipe, sampler, {"letters": rewards or Rewards([(1.0, Outcome())])})
    group = new_group(draw)

    async def run():
        await asyncio.gather(*(attempt() for attempt in rollouts.attempts(draw, group)))

    asyncio.run(run())
    return group


def test_an_attempt_keeps_its_ids_scores_and_parts():
    group = ask()
    assert len(group.rollouts) == 8 and group.usable and group.all_right
    rollout = group.rollouts[0]
    [sequence] = rollout.sequences
    assert sequence.learnt == rollout.tokens == sum(sequence.sampled)
    assert rollout.reward == rollout.score == 1 and rollout.parts == {"outcome": 1.0}
    assert not group.informative  # all are right: there is nothing to compare


@pytest.mark.parametrize("act", ["raise", "nan", "hang"])
def test_a_reward_that_fails_costs_its_attempt(act):
    group = ask(rewards=Rewards([(1.0, Odd(1.0, act))], timeout_s=0.2))
    assert group.failures == {"reward": 4} and len(group.rollouts) == 4 and group.usable
    assert "odd" in group.errors[0]


def test_a_group_of_failures_is_no_group():
    group = ask(rewards=Rewards([(1.0, Odd("raise"))]))
    assert not group.rollouts and not group.usable and not group.informative


def test_rewards_that_differ_tell_something_without_an_outcome():
    assert ask(rewards=Rewards([(1.0, Odd(0.0, 1.0))])).informative
    assert not ask(rewards=Rewards([(1.0, Odd(0.5))])).informative


def test_a_verifier_that_disagrees_with_itself_is_distrusted():
    scores = itertools.cycle([1.0, 0.0])

    async def fickle(_attempt):
        return Verdict(next(scores), ("a coin fell",))

    task = Task("0", "coins", [{"role": "user", "content": "?"}], fickle)
    group = ask(task=task, rollout={"recheck_share": 1.0})
    assert group.distrusted and not group.usable and group.failures["verifier"] == 1
    assert "another score the second time" in " ".join(group.errors)


@pytest.mark.parametrize("wrong", ["raise", "hang"])
def test_a_verifier_that_raises_or_hangs_costs_its_attempts(wrong):
    async def verify(_attempt):
        if wrong == "hang":
            await asyncio.sleep(3600)
        raise ValueError("division by zero")

    task = Task("0", "bad", [{"role": "user", "content": "?"}], verify)
    group = ask(task=task, rollout={"attempt_seconds": 0.3})
    assert group.failures["reward"] == 8 and not group.usable


def test_a_sampler_that_goes_away_costs_its_attempts():
    calls = itertools.count()

    def policy(_prompt):
        if next(calls) >= 3:
            raise SamplerError("the server does not answer")
        return {"role": "assistant", "content": "yes"}

    group = ask(sampler=ScriptedSampler(policy))
    assert len(group.rollouts) == 3 and group.failures == {"sampler": 5}
    assert "does not answer" in group.errors[0]


def test_speciale_calls_no_tools():
    with pytest.raises(ValueError, match=r"asks for tools.*variant is speciale"):
        small_recipe("m", variant="speciale", domains={"letters": {
            "sources": ["x"], "thinking": "on", "tools": "python"}})  # fmt: skip
    with pytest.raises(ValueError, match="Speciale always thinks"):
        small_recipe("m", variant="speciale")

    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    task = Task("0", "t", [{"role": "user", "content": "?"}], None, tools=[tool])
    thinks = {"letters": {"sources": ["x"], "thinking": "on"}}
    with pytest.raises(ConfigError, match="task t#0"):
        ask(task=task, variant="speciale", domains=thinks)
