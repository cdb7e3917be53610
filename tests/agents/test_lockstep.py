"""Lockstep sampling: the engine sees the same requests in the same order, whatever tools take."""

import asyncio
import random

import pytest

from model.configs import random_model, tiny_config
from speciale.agents.lockstep import Lockstep
from speciale.agents.sampler import SamplerError
from speciale.agents.scripted import byte_tokenizer
from speciale.engine.core import Core, EngineOptions
from speciale.engine.params import SamplingParams


@pytest.fixture(scope="module")
def model():
    return random_model(tiny_config(vocab_size=300))


def sampler(model):
    core = Core(model, None, EngineOptions(max_context=200, speculate=False))
    core.runner.paths.crossings = {32: 0, 128: 0, 512: 0}
    return Lockstep(core, byte_tokenizer())


def agents(lockstep, seed, count=6):
    """Agents of one to four turns, with pauses by chance in between."""
    draw = random.Random(seed)

    def agent(number):
        async def work():
            ids = [number + 1, 7, 9]
            for turn in range(1 + number % 4):
                await asyncio.sleep(draw.random() * 0.02)
                params = SamplingParams(max_tokens=3 + number, seed=100 * number + turn)
                ids += (await lockstep.sample(ids, params)).ids
            lockstep.leave()
            await asyncio.sleep(draw.random() * 0.02)
            return ids

        return work

    return [agent(number) for number in range(count)]


def run(model, seed):
    lockstep = sampler(model)
    added = []
    add = lockstep.core.add
    lockstep.core.add = lambda prompt, params: (added.append(list(prompt)), add(prompt, params))[1]
    return asyncio.run(lockstep.run(agents(lockstep, seed))), added


def test_requests_come_in_one_order_whatever_tools_take(model):
    first, order = run(model, 1)
    again, other = run(model, 2)
    assert first == again and order == other and len(order) > 6


def test_an_agent_that_fails_ends_all_and_leaves_nothing(model):
    lockstep = sampler(model)

    async def bad():
        await lockstep.sample([1, 2], SamplingParams(max_tokens=2, seed=0))
        raise KeyError("tool")

    async def long():
        await lockstep.sample([3, 4], SamplingParams(max_tokens=150, seed=0))

    with pytest.raises(KeyError):
        asyncio.run(lockstep.run([long, bad]))
    assert lockstep.core.idle


def test_an_agent_whose_time_is_up_stops_nobody(model):
    lockstep = sampler(model)

    async def late():
        try:
            async with asyncio.timeout(0.05):
                await lockstep.sample([1], SamplingParams(max_tokens=190, seed=0))
        except TimeoutError:
            return "late"

    async def slow_tool():  # holds the engine up until the other one's time is over
        await asyncio.sleep(0.1)
        return (
            await lockstep.sample([2], SamplingParams(max_tokens=4, seed=0, ignore_eos=True))
        ).ids

    result = asyncio.run(lockstep.run([late, slow_tool]))
    assert result[0] == "late" and len(result[1]) == 4
    assert lockstep.core.idle


def test_what_can_never_be_sampled_is_told_to_its_agent(model):
    lockstep = sampler(model)

    async def too_long():
        try:
            await lockstep.sample([1] * 300, SamplingParams(max_tokens=4, seed=0, ignore_eos=True))
        except Exception as error:
            return type(error).__name__

    async def fine():
        return len(
            (await lockstep.sample([1], SamplingParams(max_tokens=4, seed=0, ignore_eos=True))).ids
        )

    assert asyncio.run(lockstep.run([too_long, fine])) == ["RequestError", 4]


def test_an_engine_that_breaks_is_told_to_all_who_wait(model):
    lockstep = sampler(model)

    def broken():
        raise SamplerError("broken")

    lockstep.core.step = broken

    async def ask():
        with pytest.raises(SamplerError):
            await lockstep.sample([1], SamplingParams(max_tokens=4, seed=0, ignore_eos=True))

    asyncio.run(lockstep.run([ask, ask]))
    assert lockstep.core.idle
