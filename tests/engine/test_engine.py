"""`Engine`: many callers on one event loop, cancelled at any moment, and weights that change."""

import asyncio
import random

import pytest

from model.configs import random_model, tiny_config
from speciale import Engine, SamplingParams
from speciale.engine.core import Core, EngineOptions
from speciale.errors import OverloadedError, RequestError


def core(**options):
    return Core(
        random_model(tiny_config(index_topk=10)),
        None,
        EngineOptions(cache_bytes=1 << 20, **options),
    )


async def collect(engine, prompt, params):
    ids = []
    async for update in engine.generate(prompt, params):
        ids += update.ids
        if update.completion is not None:
            assert update.completion.ids == ids
    return ids


def test_many_callers_each_get_their_own_answer():
    prompts = [[n + 1] * (3 * n + 1) for n in range(8)]
    params = SamplingParams(temperature=0, max_tokens=10, ignore_eos=True)

    async def together(engine):
        return await asyncio.gather(*(collect(engine, prompt, params) for prompt in prompts))

    async def main():
        async with Engine(core()) as engine:
            return await together(engine), [await collect(engine, p, params) for p in prompts]

    assert len(set(map(tuple, (answers := asyncio.run(main()))[0]))) > 1
    assert answers[0] == answers[1]


def test_callers_that_leave_at_any_moment_leave_nothing_behind():
    draw = random.Random(0)

    async def caller(engine):
        params = SamplingParams(max_tokens=60, ignore_eos=True, n=draw.choice([1, 3]))
        async for _update in engine.generate([draw.randrange(90) for _ in range(40)], params):
            pass

    async def main():
        engine = Engine(core(max_sequences=4))
        tasks = []
        for _ in range(60):
            tasks.append(asyncio.create_task(caller(engine)))
            await asyncio.sleep(draw.random() * 0.004)
            if draw.random() < 0.8:
                draw.choice(tasks).cancel()
        for task in tasks:
            if draw.random() < 0.5:
                task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(e is None or isinstance(e, asyncio.CancelledError) for e in ended), ended
        await engine.close()
        return engine

    engine = asyncio.run(main())
    assert engine.core.idle and not engine._listeners
    engine.core.prefix.clear()
    assert engine.core.prefix.pool.free == engine.core.prefix.pool.count


def test_errors_reach_the_caller_and_a_full_queue_says_so():
    async def main():
        async with Engine(core(max_sequences=1, max_waiting=1)) as engine:
            with pytest.raises(RequestError, match="empty"):
                await collect(engine, [], None)
            long = SamplingParams(max_tokens=100, ignore_eos=True)
            tasks = [asyncio.create_task(collect(engine, [n], long)) for n in range(6)]
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert any(isinstance(e, OverloadedError) for e in ended)
            assert any(isinstance(e, list) for e in ended)
        with pytest.raises(RequestError, match="closed"):
            await collect(engine, [1], None)

    asyncio.run(main())


def test_weights_change_under_way_and_no_request_is_dropped():
    async def main():
        async with Engine(core(speculate=False)) as engine:
            params = SamplingParams(temperature=0, max_tokens=60, ignore_eos=True)
            state = random_model(engine.core.model.config, seed=5).state_dict()
            versions, changing = [], []

            async def caller(prompt):
                async for update in engine.generate(prompt, params):
                    if update.ids and not changing:
                        changing.append(prompt)
                        versions.append(await engine.update_weights(state))
                    if update.completion is not None:
                        return update.completion

            ended = await asyncio.gather(*(caller([n]) for n in range(4)))
            assert versions == [1]
            assert all(len(done.ids) == 60 for done in ended)
            assert any(set(done.versions) == {0, 1} for done in ended)

    asyncio.run(main())


def test_a_fault_of_ours_is_told_to_every_caller(monkeypatch):
    async def main():
        engine = Engine(core())
        monkeypatch.setattr(engine.core.runner, "run", lambda *a: 1 / 0)
        ended = await asyncio.gather(
            *(collect(engine, [n], SamplingParams(max_tokens=5)) for n in range(3)),
            return_exceptions=True,
        )
        assert all(isinstance(e, ZeroDivisionError) for e in ended), ended
        assert engine.core.idle
        await engine.close()

    asyncio.run(main())


def test_complete_gives_the_same_samples_and_wakes_nobody_before():
    params = SamplingParams(temperature=1.0, max_tokens=10, ignore_eos=True, seed=4, n=3)

    async def main():
        async with Engine(core()) as engine:
            done = await engine.complete([1, 2, 3], params)
            streamed = {}
            async for update in engine.generate([1, 2, 3], params):
                if update.completion is not None:
                    streamed[update.index] = update.completion.ids
            long = SamplingParams(max_tokens=200, ignore_eos=True)
            job = asyncio.create_task(engine.complete([1] * 30, long))
            while engine.core.idle:  # until it runs: a fixed wait may be over after its last token
                await asyncio.sleep(0.001)
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await job
            await engine.complete([5], SamplingParams(max_tokens=1))  # it still serves
            return done, streamed, engine.busy

    done, streamed, busy = asyncio.run(main())
    assert [completion.index for completion in done] == [0, 1, 2]
    assert {completion.index: completion.ids for completion in done} == streamed
    assert busy > 0


def test_requests_with_one_prompt_compute_it_once():
    """Of several requests, not only of the samples of one."""
    one = core()
    prompt = list(range(1, 90)) + [7] * 60
    numbers = [one.add(prompt, SamplingParams(max_tokens=2, seed=n))[0] for n in range(4)]
    other = one.add([9, *prompt[1:]], SamplingParams(max_tokens=2, seed=0))[0]
    computed = {}
    while not one.idle:
        for update in one.step():
            if update.completion is not None:
                computed[update.request] = update.completion.cached_tokens
    assert computed[numbers[0]] == 0 and computed[other] == 0
    assert all(computed[number] >= len(prompt) - 2 for number in numbers[1:])
