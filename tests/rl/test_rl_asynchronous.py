"""Bounded staleness: short groups do not overtake long ones until those are too old to use."""

import asyncio
from itertools import count
from types import SimpleNamespace

import pytest

from speciale.rl import asynchronous
from speciale.rl.asynchronous import Continuous, oldest
from speciale.rl.recipe import Rollout

GROUPS = 4


@pytest.fixture(autouse=True)
def _no_sampler(monkeypatch):
    monkeypatch.setattr(asynchronous, "Rollouts", lambda *parts: None)


class Timed(Continuous):
    """Groups that take as long as `lasts(number)` says, in ticks; a step of learning takes one."""

    def __init__(self, staleness, lasts, wanted=lambda number: True):
        settings = Rollout(groups=GROUPS, group_size=2, staleness=staleness)
        draws = SimpleNamespace(next=lambda: SimpleNamespace(number=next(self.numbers)))
        self.numbers, self.lasts, self.wanted = count(), lasts, wanted
        self.now, self.ticked = 0, asyncio.Event()
        super().__init__(SimpleNamespace(rollout=settings), None, draws, {}, 0)

    async def _group(self, draw):
        version, until = self._version, self.now + self.lasts(draw.number)
        while self.now < until:
            await self.ticked.wait()
        rollouts = [SimpleNamespace(oldest=version)] * 2
        group = SimpleNamespace(number=draw.number, rollouts=rollouts)
        self._news.append(group)
        if self.wanted(draw.number):
            self._ready.append(group)

    async def clock(self):
        while True:
            await asyncio.sleep(0)
            self.now += 1
            self.ticked.set()
            self.ticked.clear()

    busy = 0.0

    async def _hand_on(self, model, version):
        await asyncio.sleep(0)

    async def _close_sampler(self):
        pass


def batches(steps, *args):
    async def run():
        source, found = Timed(*args), []
        clock = asyncio.create_task(source.clock())
        for _ in range(steps):
            batch = await asyncio.wait_for(source.collect(), 20)
            found.append((source._version, batch))
            assert len(source._tasks) + len(source._ready) <= args[0] * GROUPS + GROUPS
            await source.update(None)
        clock.cancel()
        await source.close()
        return found

    return asyncio.run(run())


@pytest.mark.parametrize("staleness", [0, 1, 2])
@pytest.mark.parametrize("every", [2, 3, 5])
def test_no_group_is_too_old_and_none_is_lost(staleness, every):
    found = batches(30, staleness, lambda number: 40 if number % every == 0 else 1 + number % 3)
    assert all(batch.stale == 0 for _, batch in found)
    assert all(len(batch.kept) >= GROUPS for _, batch in found)
    ages = {version - oldest(group) for version, batch in found for group in batch.kept}
    assert max(ages) == staleness
    taken = [group.number for _, batch in found for group in batch.kept]
    assert len(set(taken)) == len(taken)
    # Of the groups that were begun, all but the last few had their turn.
    assert set(range(max(taken) - (staleness + 1) * GROUPS)) <= set(taken)


def test_a_fault_between_two_steps_is_raised_at_the_next():
    async def run():
        source = Timed(1, lambda number: 0)
        await source.collect()
        while source._tasks:
            await asyncio.sleep(0)
        source._fault = ValueError("broken")
        with pytest.raises(ValueError, match="broken"):
            await asyncio.wait_for(source.collect(), 20)
        await source.close()

    asyncio.run(run())


def test_most_draws_bound_a_step_in_which_nothing_can_be_learnt():
    found = batches(6, 1, lambda number: 1 + number % 5, lambda number: number % 8 == 0)
    assert all(len(batch.drawn) <= 3 * GROUPS for _, batch in found)
    assert any(len(batch.kept) < GROUPS for _, batch in found)
    assert all(batch.stale == 0 for _, batch in found)
