"""Rewards are sums of components; one that fails in any way costs the sample and names itself."""

import asyncio
import pickle
import time
from fractions import Fraction

import numpy as np
import pytest

from speciale.agents.trajectory import Trajectory
from speciale.errors import ConfigError, DataError
from speciale.rl.rewards import Reward, RewardError, Rewards
from speciale.rl.rewards.component import Detailed, question_of
from speciale.tasks.task import Task, Turn


async def _unverified(attempt):
    raise AssertionError("rewards do not verify")


TASK = Task("1", "here", [{"role": "user", "content": "?"}], _unverified)


class Part:
    def __init__(self, name, does):
        self.name, self.does, self.stopped = name, does, False

    async def value(self, task, trajectory):
        try:
            said = self.does()
            return await said if asyncio.iscoroutine(said) else said
        except asyncio.CancelledError:
            self.stopped = True
            raise


def judge(*parts, timeout_s=60.0):
    weighted = [(weight, part) for weight, part in parts]
    return asyncio.run(Rewards(weighted, timeout_s).judge(TASK, Trajectory()))


def good(value=1.0, name="good"):
    return Part(name, lambda: value)


def test_the_sum_of_weight_times_value_and_the_parts_before_their_weights():
    reward = judge((1.0, good(0.5)), (0.1, good(-1.0, "length")), (2.0, good(0.25, "rubric")))
    assert reward == Reward(pytest.approx(0.9), {"good": 0.5, "length": -1.0, "rubric": 0.25})


def test_any_finite_number_will_do_and_details_stand_beside_it():
    values = [1, np.float32(0.5), np.int64(2), Fraction(1, 4)]
    reward = judge(*((1.0, good(value, str(n))) for n, value in enumerate(values)))
    assert reward.total == 3.75 and all(type(v) is float for v in reward.parts.values())
    detailed = judge((2.0, good(Detailed(0.5, {"score": 1, "meta": 0.25}), "proof")))
    assert detailed.parts == {"proof": 0.5, "proof/score": 1.0, "proof/meta": 0.25}
    assert detailed.total == 1.0


async def raises():
    raise KeyError("lost")


async def raises_a_sentence():
    raise DataError("the task has no rubric")


async def gives_up():
    raise asyncio.CancelledError


def raises_at_once():
    raise ZeroDivisionError("x")


BAD = {
    "raise": (raises, "KeyError: 'lost'"),
    "sentence": (raises_a_sentence, "could not be had: the task has no rubric"),
    "at once": (raises_at_once, "ZeroDivisionError"),
    "NaN": (lambda: float("nan"), "gave nan, which is not finite"),
    "infinite": (lambda: float("-inf"), "gave -inf, which is not finite"),
    "NaN of numpy": (lambda: np.float64("nan"), "not finite"),
    "too large": (lambda: 10**400, "which is not finite"),
    "bool": (lambda: True, "gave True, which is no number"),
    "nothing": (lambda: None, "gave None, which is no number"),
    "text": (lambda: "1.0", "'1.0', which is no number"),
    "array": (lambda: np.array([1.0]), "no number"),
    "complex": (lambda: 1j, "no number"),
    "stopped": (gives_up, "stopped before it had a value"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_component_that_fails_names_itself(name):
    does, words = BAD[name]
    with pytest.raises(RewardError) as caught:
        judge((1.0, good()), (0.5, Part("bad", does)))
    assert caught.value.component == "bad" and words in str(caught.value)
    assert "'bad'" in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.component, str(again)) == ("bad", str(caught.value))


def test_a_component_that_is_no_coroutine_fails_as_one_that_raises():
    class Plain:
        name = "plain"

        def value(self, task, trajectory):
            return 1.0

    with pytest.raises(RewardError, match=r"'plain'.*TypeError"):
        judge((1.0, Plain()))


def test_one_that_never_ends_is_stopped_in_time():
    endless = Part("endless", lambda: asyncio.sleep(3600))
    begun = time.monotonic()
    with pytest.raises(RewardError, match=r"'endless'.* took longer than 0.1 s: raise timeout_s"):
        judge((1.0, good()), (1.0, endless), timeout_s=0.1)
    assert time.monotonic() - begun < 2 and endless.stopped


def test_one_that_cannot_be_stopped_does_not_hold_the_caller():
    release = asyncio.Event()

    async def stubborn():
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return 1.0

    async def work():
        rewards = Rewards([(1.0, Part("stubborn", stubborn))], timeout_s=0.1)
        begun = time.monotonic()
        with pytest.raises(RewardError, match="longer than"):
            await rewards.judge(TASK, Trajectory())
        seconds = time.monotonic() - begun
        release.set()
        return seconds

    assert asyncio.run(work()) < 2


def test_a_failure_does_not_wait_for_the_slow_ones_and_stops_them():
    slow = Part("slow", lambda: asyncio.sleep(3600))
    begun = time.monotonic()
    with pytest.raises(RewardError, match="'bad'"):
        judge((1.0, slow), (1.0, Part("bad", raises)))
    assert time.monotonic() - begun < 2 and slow.stopped


def test_cancelling_passes_through_and_stops_the_components():
    async def work():
        slow = Part("slow", lambda: asyncio.sleep(3600))
        job = asyncio.ensure_future(Rewards([(1.0, slow)]).judge(TASK, Trajectory()))
        await asyncio.sleep(0.01)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        await asyncio.sleep(0)
        return slow.stopped

    assert asyncio.run(work())


def test_components_are_judged_side_by_side():
    def nap():
        return asyncio.sleep(0.2, result=1.0)

    begun = time.monotonic()
    reward = judge(*((1.0, Part(str(n), nap)) for n in range(20)))
    assert reward.total == 20 and time.monotonic() - begun < 2


def test_nothing_two_of_one_name_and_a_weight_that_is_no_number_are_refused():
    with pytest.raises(ConfigError, match="no reward has a weight"):
        Rewards([])
    with pytest.raises(ConfigError, match="'good' is there twice"):
        Rewards([(1.0, good()), (1.0, good())])
    with pytest.raises(ConfigError, match="the weight of 'good' is nan"):
        Rewards([(float("nan"), good())])


def test_what_is_open_is_closed():
    closed = []

    class Open(Part):
        async def close(self):
            closed.append(self.name)

    async def work():
        async with Rewards([(1.0, Open("a", lambda: 1.0)), (1.0, good())]) as rewards:
            await rewards.judge(TASK, Trajectory())

    asyncio.run(work())
    assert closed == ["a"]


def test_the_question_is_all_that_the_user_said():
    prompt = [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": [{"type": "text", "text": "one"}]},
        {"role": "assistant", "content": "said"},
        {"role": "user", "content": "two"},
    ]
    turns = [Turn([{"role": "user", "content": "three"}])]
    assert question_of(Task("1", "s", prompt, _unverified, turns=turns)) == "one\n\ntwo\n\nthree"
