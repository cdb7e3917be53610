"""Rates refill exactly, and a reserved rate goes first."""

import pytest
from accounts_kit import Clock, make_key, run
from hypothesis import given
from hypothesis import strategies as st

from speciale.serve.accounts import keys
from speciale.serve.accounts.database import Database
from speciale.serve.accounts.metering import Refused, Spent
from speciale.serve.accounts.rates import UNIT, refill, take, wait_ms


def test_requests_a_minute_refill(url):
    secret, clock = make_key(url, requests_per_minute=3), Clock()

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        for i in range(3):
            await accounts.admit(key, f"a{i}", "m", 1, 1)
        with pytest.raises(Refused, match=r"3 requests a minute.*in 20 s") as refused:
            await accounts.admit(key, "b", "m", 1, 1)
        assert (refused.value.kind, refused.value.retry_after_s) == ("requests", 20)
        clock.now += 19.5
        with pytest.raises(Refused) as refused:
            await accounts.admit(key, "b", "m", 1, 1)
        assert refused.value.retry_after_s == 1
        clock.now += 0.5
        await accounts.admit(key, "b", "m", 1, 1)  # a refused one took nothing
        clock.now += 3600
        for i in range(3):  # a minute's worth, not an hour's
            await accounts.admit(key, f"c{i}", "m", 1, 1)
        with pytest.raises(Refused):
            await accounts.admit(key, "d", "m", 1, 1)

    run(url, scenario, clock=clock)


def test_tokens_a_minute_count_the_answer_when_it_is_known(url):
    secret, clock = make_key(url, tokens_per_minute=600), Clock()

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        first = await accounts.admit(key, "a", "m", 400, 10_000)  # 200 left
        await accounts.settle(first, Spent(0, 400, 800))  # 600 in debt
        with pytest.raises(Refused, match="600 tokens a minute") as refused:
            await accounts.admit(key, "b", "m", 100, 1)
        assert (refused.value.kind, refused.value.retry_after_s) == ("tokens", 70)
        clock.now += 70
        second = await accounts.admit(key, "b", "m", 100, 1)
        await accounts.settle(second, Spent(status=503))  # never ran: the 100 come back
        third = await accounts.admit(key, "c", "m", 100, 1)
        await accounts.settle(third, Spent(0, 100, 0))
        with pytest.raises(Refused):
            await accounts.admit(key, "d", "m", 9_000, 1)
        clock.now += 60
        await accounts.admit(key, "d", "m", 9_000, 1)  # larger than any minute: from a full one

    run(url, scenario, clock=clock)


@pytest.mark.parametrize("spill_over", [False, True])
def test_a_reserved_rate_goes_first_and_past_it_waits_or_is_refused(url, spill_over):
    clock = Clock()
    secret = make_key(
        url, reserved_tokens_per_minute=600, spill_over=spill_over, tokens_per_minute=50
    )

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        first = await accounts.admit(key, "a", "m", 500, 50)
        assert first.priority == 1  # and no token of the plain rate
        await accounts.settle(first, Spent(0, 500, 50))
        if spill_over:
            assert (await accounts.admit(key, "b", "m", 51, 50)).priority == 0
            with pytest.raises(Refused) as refused:
                await accounts.admit(key, "c", "m", 51, 50)
            assert refused.value.kind == "tokens"
        else:
            with pytest.raises(Refused, match="600 reserved tokens") as refused:
                await accounts.admit(key, "b", "m", 51, 50)
            assert (refused.value.kind, refused.value.retry_after_s) == ("reserved", 1)
        clock.now += 1
        assert (await accounts.admit(key, "d", "m", 51, 50)).priority == 1

    run(url, scenario, clock=clock)


def test_a_limit_changed_counts_at_once(url):
    secret, clock = make_key(url), Clock()

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        await accounts.admit(key, "a", "m", 1, 1)
        keys.set_limits(Database(url), "k", {"requests_per_minute": 1})
        await accounts.admit(key, "b", "m", 1, 1)
        with pytest.raises(Refused):
            await accounts.admit(key, "c", "m", 1, 1)
        keys.set_limits(Database(url), "k", {"requests_per_minute": None})
        await accounts.admit(key, "c", "m", 1, 1)

    run(url, scenario, clock=clock)


rates = st.integers(1, 10**6)


@given(rates, st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**5), max_size=8))
def test_refilling_often_or_once_is_the_same(rate, level, steps):
    at_once = refill(level, rate, sum(steps))
    for step in steps:
        level = refill(level, rate, step)
    assert refill(level, rate, 0) == at_once <= rate * UNIT


@given(rates, st.integers(-(10**9), 10**9), st.integers(0, 10**7))
def test_the_wait_is_just_long_enough(rate, level, amount):
    level = min(level, rate * UNIT)
    wait = wait_ms(level, rate, amount)
    assert wait_ms(refill(level, rate, wait), rate, amount) == 0
    assert wait == 0 or wait_ms(refill(level, rate, wait - 1), rate, amount) == 1
    assert take(None, amount) is None
