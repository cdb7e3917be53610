"""Pool: which upstream is asked, what happens when one fails, and that nothing is left behind."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_chat_upstream import finishes, message
from upstream_servers import (
    DONE,
    GOOD,
    chat_chunk,
    chat_job,
    says,
    serving,
    silent,
    stalls,
    streams,
    text_job,
)

from speciale.chat import ContentDelta
from speciale.errors import ConfigError
from speciale.serve.backends.breaker import Breaker
from speciale.serve.backends.chat_upstream import ChatUpstream
from speciale.serve.backends.connection import Timeouts
from speciale.serve.backends.null import Null
from speciale.serve.backends.pool import Pool
from speciale.serve.backends.routing import opening_key, ranked, spilled
from speciale.serve.backends.seam import BackendError, Piece

BROKEN = says(500, {})


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@asynccontextmanager
async def pooled(*scripts, spare=(), **options):
    """A pool over servers of these scripts, and the servers."""
    timeouts = options.pop("timeouts", None)
    async with serving(*scripts, *spare) as servers:
        made = [ChatUpstream(s.url, model="m", flavour="vllm", timeouts=timeouts) for s in servers]
        pool = Pool(made[: len(scripts)], made[len(scripts) :], check_every_s=3600, **options)
        await pool.start()
        try:
            yield pool, servers
        finally:
            await pool.close()
            assert pool._checking is None


async def ask(pool, job=None):
    return [piece async for piece in pool.run(job or chat_job())]


def asked(servers):
    return [len(server.bodies) for server in servers]


def test_a_broken_upstream_is_passed_over():
    async def main():
        async with pooled(BROKEN, GOOD) as (pool, servers):
            for n in range(6):  # whichever comes first for these openings
                pieces = await ask(pool, chat_job(f"question {n}"))
                assert message(pieces)["content"] == "Hello world"
            return asked(servers)

    broken, good = asyncio.run(main())
    assert good == 6 and broken <= 3, "the breaker opened"


def test_nothing_is_tried_again_once_something_was_yielded():
    async def main():
        async with pooled(streams("Half"), spare=[GOOD]) as (pool, servers):
            return await ask(pool), asked(servers)

    pieces, counts = asyncio.run(main())
    assert message(pieces)["content"] == "Half" and counts == [1, 0]
    assert finishes(pieces) == [(0, "insufficient_system_resource")]


def test_not_even_where_a_backend_breaks_its_promise_to_end_its_choices():
    class Raises(Null):
        async def run(self, job):
            yield Piece(0, [ContentDelta("Half")])
            raise BackendError("broken", retriable=True)

    async def main():
        pool = Pool([Raises()], [Null()])
        pieces = []
        with pytest.raises(BackendError, match="broken"):
            async for piece in pool.run(chat_job()):
                pieces.append(piece)
        return pieces

    assert message(asyncio.run(main()))["content"] == "Half"


def test_a_refused_request_is_not_tried_again():
    async def main():
        refuses = says(400, {"error": {"message": "temperature is 9"}})
        async with pooled(refuses, spare=[GOOD]) as (pool, servers):
            with pytest.raises(BackendError, match="temperature is 9") as caught:
                await ask(pool)
            assert caught.value.status == 400
            assert pool.states()[next(iter(pool.states()))] == "healthy"
            return asked(servers)

    assert asyncio.run(main()) == [1, 0]


def test_fallbacks_are_asked_in_their_order():
    async def main():
        async with pooled(BROKEN, spare=[BROKEN, GOOD, GOOD]) as (pool, servers):
            assert message(await ask(pool))["content"] == "Hello world"
            return asked(servers)

    assert asyncio.run(main()) == [1, 1, 1, 0]


def test_a_busy_upstream_rests_for_as_long_as_it_said():
    async def main():
        clock = Clock()
        busy = says(429, {}, ["retry-after: 7"])
        async with pooled(busy, spare=[GOOD], clock=clock) as (pool, servers):
            await ask(pool)
            clock.now = 6.9
            await ask(pool)
            assert asked(servers) == [1, 2]
            clock.now = 7.1
            await ask(pool)
            assert asked(servers) == [2, 3]

    asyncio.run(main())


def test_all_busy_is_a_429_and_all_broken_a_503():
    async def main(*scripts):
        async with pooled(*scripts) as (pool, servers):
            with pytest.raises(BackendError) as caught:
                await ask(pool)
            assert asked(servers) == [1] * len(scripts)
            return caught.value.status

    assert asyncio.run(main(says(429, {}), BROKEN)) == 429
    assert asyncio.run(main(BROKEN, BROKEN)) == 503


def test_the_breaker_opens_and_one_trial_closes_it():
    async def main():
        clock = Clock()
        answers = [BROKEN]

        async def script(upstream, body, write):
            await answers[0](upstream, body, write)

        async with pooled(script, spare=[GOOD], clock=clock, failures=3, rest_s=5) as made:
            pool, servers = made
            for _ in range(5):
                await ask(pool)
            assert asked(servers) == [3, 5]
            clock.now = 5.1
            await ask(pool)
            assert asked(servers) == [4, 6], "one trial, which failed"
            clock.now = 10.3
            await ask(pool)
            assert asked(servers) == [4, 7], "it rests twice as long"
            clock.now, answers[0] = 15.5, GOOD
            await ask(pool)
            await ask(pool)
            assert asked(servers) == [6, 7]

    asyncio.run(main())


def test_answers_that_break_off_open_the_breaker():
    async def main():
        async with pooled(streams("Half"), failures=2) as (pool, _):
            await ask(pool)
            await ask(pool)
            assert await pool.ready() is not None
            with pytest.raises(BackendError, match="no upstream"):
                await ask(pool)

    asyncio.run(main())


def test_health_decides_who_comes_first():
    async def main():
        async with pooled(GOOD, spare=[GOOD], check_timeout_s=0.5) as (pool, servers):
            assert await pool.ready() is None
            servers[0].health = 500
            await pool.check()
            await ask(pool)
            assert asked(servers) == [0, 1] and await pool.ready() is None
            servers[1].health_delay_s = 60
            await pool.check()
            assert "none of 2 upstreams" in await pool.ready()
            # A health route that is broken keeps nobody from an answer.
            assert message(await ask(pool))["content"] == "Hello world"
            servers[0].health = 200
            await pool.check()
            assert await pool.ready() is None

    asyncio.run(main())


def test_health_is_checked_again_and_again_until_close():
    async def main():
        async with serving(GOOD) as [server]:
            upstream = ChatUpstream(server.url, model="m", flavour="vllm")
            pool = Pool([upstream], check_every_s=0.05)
            server.health = 500
            await pool.start()
            assert await pool.ready() is not None
            server.health = 200
            async with asyncio.timeout(10):
                while await pool.ready() is not None:
                    await asyncio.sleep(0.01)
            before = asyncio.all_tasks()
            await pool.close()
            assert len(before - asyncio.all_tasks()) >= 1
            names = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
            assert not [name for name in names if "Pool" in name]

    asyncio.run(main())


def test_one_silent_upstream_costs_its_first_byte_timeout_only():
    async def main():
        timeouts = Timeouts(first=0.3)
        async with pooled(silent, spare=[GOOD], timeouts=timeouts) as (pool, servers):
            assert message(await ask(pool))["content"] == "Hello world"
            async with asyncio.timeout(5):
                await servers[0].gone.wait()

    asyncio.run(main())


def test_leaving_closes_the_upstreams_answer_and_is_nobodys_failure():
    async def main():
        async with pooled(stalls("One"), failures=1) as (pool, [server]):
            pieces = pool.run(chat_job())
            await anext(pieces)
            await pieces.aclose()
            async with asyncio.timeout(5):
                await server.gone.wait()
            assert set(pool.states().values()) == {"healthy"}
            assert [member.running for member in pool._members] == [0]

    asyncio.run(main())


def test_a_conversation_stays_with_its_upstream():
    async def main():
        async with pooled(GOOD, GOOD, GOOD) as (pool, servers):
            first = [{"role": "user", "content": "Hi"}]
            later = [*first, {"role": "assistant", "content": "Hello"},
                     {"role": "user", "content": "And?"}]  # fmt: skip
            await ask(pool, chat_job(messages=first))
            before = asked(servers)
            await ask(pool, chat_job(messages=later))
            assert asked(servers) == [2 * n for n in before]

    asyncio.run(main())


def test_many_at_once_spill_over():
    async def main():
        release = asyncio.Event()

        async def waits(upstream, body, write):
            await release.wait()
            await GOOD(upstream, body, write)

        async with pooled(waits, waits) as (pool, servers):
            tasks = [asyncio.create_task(ask(pool)) for _ in range(20)]
            async with asyncio.timeout(20):
                while sum(asked(servers)) < 20:
                    await asyncio.sleep(0.01)
            release.set()
            await asyncio.gather(*tasks)
            return asked(servers)

    counts = sorted(asyncio.run(main()))
    assert counts[0] >= 6, counts


def test_a_pool_needs_an_upstream():
    with pytest.raises(ConfigError, match="no upstream"):
        Pool([])


# ---- routing ------------------------------------------------------------------------------------

NAMES = [f"http://host-{n}:8000/v1" for n in range(5)]


@given(st.binary(min_size=1, max_size=64), st.sampled_from(NAMES))
def test_an_upstream_that_leaves_moves_nobody_elses_requests(key, gone):
    order = ranked(key, NAMES)
    assert ranked(key, [name for name in NAMES if name != gone]) == [
        name for name in order if name != gone
    ]


def test_openings_are_spread_evenly():
    firsts = Counter(ranked(opening_key(text_job(f"text {n}")), NAMES)[0] for n in range(2000))
    assert len(firsts) == 5 and min(firsts.values()) > 300


@given(st.lists(st.integers(0, 100), min_size=5, max_size=5))
def test_nobody_gets_more_than_a_share(running):
    load = dict(zip(NAMES, running))
    first = spilled(NAMES, load)[0]
    assert load[first] < max(8, 1.25 * (sum(running) + 1) / 5 + 1)
    assert sorted(spilled(NAMES, load)) == sorted(NAMES)


def test_what_the_key_depends_on():
    def key(*contents, system="Be brief."):
        messages = [{"role": "system", "content": system}]
        roles = ["user", "assistant"] * 3
        messages += [{"role": r, "content": c} for r, c in zip(roles, contents)]
        return opening_key(chat_job(messages=messages))

    assert key("a") == key("a", "b", "c")
    assert key("a") != key("b") and key("a") != key("a", system="Be long.")
    document = "words " * 1000
    assert key(document + "What?") == key(document + "Who?")
    assert opening_key(text_job("x" * 5000)) == opening_key(text_job("x" * 6000))


# ---- breaker ------------------------------------------------------------------------------------


def test_breaker_states():
    clock = Clock()
    breaker = Breaker(failures=2, rest_s=10, clock=clock)
    breaker.failure()
    breaker.success()
    breaker.failure()
    assert breaker.state == "closed" and breaker.allow()
    breaker.failure()
    assert breaker.state == "open" and not breaker.allow()
    clock.now = 10
    assert breaker.state == "half-open"
    assert breaker.allow() and not breaker.allow(), "one trial at a time"
    breaker.unknown()
    assert breaker.allow(), "the client left: the trial is free again"
    breaker.success()
    assert breaker.state == "closed"


def test_a_breaker_rests_longer_and_longer_but_not_for_ever():
    clock = Clock()
    breaker = Breaker(failures=1, rest_s=1, clock=clock)
    breaker.failure()
    rests = []
    for _ in range(6):
        start = clock.now
        while not breaker.allow():
            clock.now += 0.5
        rests.append(clock.now - start)
        breaker.failure()
    assert rests == [1, 2, 4, 8, 8, 8]


def test_choices_and_jobs_with_ids_pass_through():
    async def main():
        script = streams(chat_chunk("a", finish="stop"), chat_chunk("b", finish="stop", index=1),
                         DONE)  # fmt: skip
        async with pooled(script) as (pool, _):
            assert pool.tokens("text") is None and pool.context == 128_000
            return await ask(pool, replace(chat_job(n=2), ids=[1, 2]))

    assert finishes(asyncio.run(main())) == [(0, "stop"), (1, "stop")]
