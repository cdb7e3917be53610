"""The scheduler's promises one by one; all at once they are held in test_schedule_simulation.py."""

import pytest

from speciale.engine.pages import PagePool
from speciale.engine.prefix import PrefixCache
from speciale.engine.scheduler import Scheduler
from speciale.engine.sequence import Sequence, State
from speciale.errors import ConfigError, OverloadedError, RequestError

SIZE = 4
TOKEN = 7  # what is "sampled"


class Bench:
    """A scheduler with sequences by name; each step samples a token wherever one is due."""

    def __init__(self, pages=64, size=SIZE, **limits):
        limits = {"max_batch_tokens": 16, "max_sequences": 4, **limits}
        self.pool = PagePool(pages, size)
        self.prefix = PrefixCache(self.pool)
        self.scheduler = Scheduler(self.pool, self.prefix, **limits)
        self.all = []
        self.most = {}

    def add(self, prompt, new=8, **more):
        """`prompt` is a list of tokens, or the length of one that nothing else begins with."""
        if isinstance(prompt, int):
            prompt = [1000 + len(self.all)] * prompt
        seq = Sequence(len(self.all), list(prompt), len(prompt), **more)
        self.scheduler.add(seq, len(prompt) + new)
        self.all.append(seq)
        self.most[seq] = len(prompt) + new
        return seq

    def step(self, drafts=lambda seq: 0):
        step = self.scheduler.schedule(drafts)
        for work in step.work:
            done = work.stop == len(work.sequence.tokens)
            if done:
                work.sequence.tokens.append(TOKEN)
            self.scheduler.advance(work.sequence, work.stop)
            if done and len(work.sequence.tokens) >= self.most[work.sequence]:
                self.scheduler.finish(work.sequence)
        self.scheduler.check()
        return step

    def steps(self, count):
        return [self.step() for _ in range(count)]

    def run(self):
        """To the end of all."""
        steps = []
        while not self.scheduler.idle:
            steps.append(self.step())
            assert len(steps) < 10_000
        return steps


def brief(step):
    return [(work.sequence.id, work.start, work.stop) for work in step.work]


# --- steps ----------------------------------------------------------------------------------------


def test_a_prompt_comes_in_chunks_and_then_token_by_token():
    bench = Bench(max_batch_tokens=5, max_sequences=1)
    seq = bench.add(12, new=3)
    assert [brief(step) for step in bench.run()] == [
        [(0, 0, 5)], [(0, 5, 10)], [(0, 10, 12)], [(0, 12, 13)], [(0, 13, 14)],
    ]  # fmt: skip
    assert seq.state is State.FINISHED and bench.scheduler.idle
    assert len(seq.tokens) == 15


def test_several_sequences_share_a_step_and_decodes_come_first():
    bench = Bench()
    bench.add(2)
    bench.step()
    bench.add(6)
    bench.add(20)
    assert brief(bench.step()) == [(0, 2, 3), (1, 0, 6), (2, 0, 9)]
    assert brief(bench.step()) == [(0, 3, 4), (1, 6, 7), (2, 9, 20)]


def test_no_more_run_than_allowed():
    bench = Bench(max_sequences=2)
    for _ in range(3):
        bench.add(2, new=3)
    assert [len(bench.step().work) for _ in range(3)] == [2, 2, 2]
    assert brief(bench.step()) == [(2, 0, 2)]


def test_drafts_take_rows_and_leave_half_to_prompts():
    bench = Bench()
    bench.add(2)
    bench.add(2)
    bench.step()
    step = bench.step(drafts=lambda seq: 9)
    assert [work.drafts for work in step.work] == [9, 5]  # nothing else to do: all 16 rows
    assert all(len(work.sequence.pages) * SIZE >= work.stop + work.drafts for work in step.work)
    bench.add(20)
    step = bench.step(drafts=lambda seq: 9)
    assert [(w.sequence.id, w.stop - w.start, w.drafts) for w in step.work] == [
        (0, 1, 7), (1, 1, 0), (2, 7, 0),
    ]  # fmt: skip


def test_drafts_take_pages_from_the_prefix_cache_but_from_nobody_else():
    bench = Bench(pages=3, max_sequences=2)
    bench.add(3, new=2)
    bench.run()  # leaves one page behind
    one, two = bench.add(3, new=9), bench.add(3, new=9)
    bench.step()
    assert bench.prefix.evictable == 1 and bench.pool.free == 0
    # Both copy the page with their prompt's end; then one page is left that nobody needs.
    step = bench.step(drafts=lambda seq: 5)
    assert [work.drafts for work in step.work] == [4, 0] and not step.preempted
    assert len(step.copies) == 2 and bench.prefix.evictable == 0
    bench.scheduler.finish(two)
    step = bench.step(drafts=lambda seq: 5)
    assert [(w.sequence, w.drafts) for w in step.work] == [(one, 5)] and not step.preempted


# --- sharing --------------------------------------------------------------------------------------


def test_a_known_beginning_is_not_computed_again():
    bench = Bench()
    bench.add(range(10), new=1)
    bench.run()
    seq = bench.add([*range(10), 50, 51])
    step = bench.step()
    assert brief(step) == [(1, 10, 12)] and seq.cached_tokens == 10
    assert len(step.copies) == 1 and step.copies[0][1] == seq.pages[2]  # 8 and 9 lay in its page
    assert (bench.prefix.hit_tokens, bench.prefix.miss_tokens) == (10, 12)


def test_pages_are_shared_as_soon_as_they_are_full():
    bench = Bench()
    bench.add(range(60), priority=1)
    bench.steps(2)
    seq = bench.add([*range(30), 99])
    bench.scheduler.drop(bench.all[0])
    assert brief(bench.step()) == [(seq.id, 30, 31)]


def test_the_last_token_of_a_prompt_is_always_computed():
    bench = Bench()
    bench.add(range(8), new=1)
    bench.run()
    bench.add(range(8))
    assert brief(bench.step()) == [(1, 7, 8)]


@pytest.mark.parametrize("length, copies", [(10, 1), (8, 1)])
def test_refresh_last_computes_the_last_known_token_again(length, copies):
    bench = Bench(refresh_last=True)
    bench.add(range(length), new=1)
    bench.run()
    seq = bench.add([*range(length), 50])
    step = bench.step()
    assert brief(step) == [(1, length - 1, length + 1)]
    assert len(step.copies) == copies and seq.cached_tokens == length


def test_samples_of_a_request_share_its_prompt():
    bench = Bench(max_batch_tokens=6, max_sequences=3)
    bench.add(range(10), new=3)
    bench.add(range(10), new=3, after=0)
    bench.add(range(10), new=3, after=0)
    assert brief(bench.step()) == [(0, 0, 6)]
    assert brief(bench.step()) == [(0, 6, 10)]
    step = bench.step()
    assert brief(step) == [(0, 10, 11), (1, 9, 10), (2, 9, 10)]
    # All three write to the page that holds 8 and 9, and the prefix cache keeps it as it was.
    assert len({old for old, _ in step.copies}) == 1 and len(step.copies) == 3
    assert len({seq.pages[0] for seq in bench.all}) == 1
    assert len({seq.pages[2] for seq in bench.all}) == 3


def test_who_waits_for_another_runs_when_that_one_is_cancelled():
    bench = Bench()
    first = bench.add(40)
    second = bench.add(40, after=0)
    bench.step()
    assert second.state is State.WAITING
    bench.scheduler.drop(first)
    assert brief(bench.step()) == [(1, 0, 16)]


def test_nobody_waits_for_one_that_comes_later():
    bench = Bench()
    first = bench.add(2, after=1)
    bench.add(2, after=0)
    assert first.after is None
    bench.run()


def test_private_sequences_leave_nothing():
    bench = Bench(pages=4, max_sequences=2)
    bench.add(range(8), new=6, cacheable=False)
    bench.add([9] * 4, new=6, cacheable=False)
    steps = bench.run()
    assert sum(len(step.preempted) for step in steps) > 0
    assert bench.prefix.pages == 0 and bench.pool.free == 4


# --- order ----------------------------------------------------------------------------------------


def test_a_short_request_passes_a_very_long_one():
    bench = Bench(pages=30_000, max_batch_tokens=512, max_sequences=64)
    long = bench.add(100_000)
    for _ in range(6):
        bench.steps(30)
        short, done = bench.add(20), long.computed
        assert brief(bench.step()) == [(short.id, 0, 20), (long.id, done, done + 492)]
        bench.scheduler.drop(short)
    assert long.uncomputed < 10_000


def test_a_long_request_is_not_passed_for_ever():
    """Newcomers that would fill each step by themselves pass L tokens for L / 4 steps at most."""
    bench = Bench(pages=400, max_sequences=16)
    bench.steps(1)
    length = 400
    long = bench.add(length)
    bound = length // (16 // 4)
    starts = []
    for step in range(3 * bound):
        bench.add(15, new=1, cacheable=False)
        bench.add(1, new=1, cacheable=False)
        if any(work.sequence is long for work in bench.step().work):
            starts.append(step)
    assert bound * 0.9 < starts[0] <= bound
    assert long.state is State.FINISHED
    # Once it is served it is not interrupted: its chunks fill the steps one after the other.
    assert starts[: length // 16] == list(range(starts[0], starts[0] + length // 16))


def test_priority_comes_before_length_and_age():
    bench = Bench(max_sequences=1)
    bench.add(2, new=1)
    bench.add(2, new=1)
    bench.steps(1)
    urgent = bench.add(15, new=1, priority=1)
    late = bench.add(2, new=1, priority=-1)
    order = [work.sequence.id for step in bench.run() for work in step.work]
    assert order == [urgent.id, 1, late.id]


def test_nobody_is_admitted_past_one_that_lacks_pages():
    bench = Bench(pages=8)
    bench.add(4, new=1)
    bench.add(20, new=8)
    bench.steps(3)
    large, small = bench.add(15, priority=1), bench.add(1)
    # Of 8 pages 6 are held, one is known and one is free; the large one needs 4.
    assert brief(bench.step()) == [(1, 21, 22)]
    assert [large.state, small.state] == [State.WAITING] * 2
    assert (bench.prefix.evictable, bench.pool.free) == (1, 1)  # and the attempt cost nothing


@pytest.mark.parametrize(
    "priorities, loser", [((0, 0, 0), 2), ((0, 0, 1), 1), ((0, -1, 0), 1), ((-1, 0, 0), 0)]
)
def test_the_last_in_order_loses_its_pages(priorities, loser):
    bench = Bench(pages=6, max_sequences=3)
    for priority in priorities:
        bench.add(7, new=16, priority=priority)
    for _ in range(9):
        if (step := bench.step()).preempted:
            break
    assert [seq.id for seq in step.preempted] == [loser]
    assert sorted(seq for seq, _, _ in brief(step)) == [i for i in range(3) if i != loser]
    assert bench.all[loser].preemptions == 1
    assert bench.scheduler.waiting == [bench.all[loser]]
    bench.run()
    assert [len(seq.tokens) for seq in bench.all] == [23] * 3


def test_a_preempted_sequence_waits_before_its_class_and_keeps_what_survives():
    bench = Bench(pages=6, max_sequences=2)
    bench.add(7, new=9)
    loser = bench.add(7, new=14)
    while not loser.preemptions:
        bench.step()
    computed = len(loser.tokens) - 1
    urgent, short = bench.add(1, new=1, priority=1), bench.add(1, new=1)
    assert bench.scheduler.waiting == [urgent, loser, short]
    bench.scheduler.drop(bench.all[0])
    bench.scheduler.drop(urgent)
    work = bench.step().work[0]
    assert work.sequence is loser
    assert computed - SIZE <= work.start < computed  # it lost the page that the other one took
    bench.run()
    assert len(loser.tokens) == 21


def test_what_a_preempted_sequence_computed_is_known():
    bench = Bench(pages=5, max_sequences=2)
    private, loser = bench.add(7, new=9, cacheable=False), bench.add(4, new=9)
    bench.step()
    bench.step(drafts=lambda seq: 5 if seq is loser else 0)  # it holds a page for drafts
    assert bench.pool.free == 0
    assert bench.step().preempted == [loser]
    bench.scheduler.drop(private)
    assert brief(bench.step()) == [(loser.id, 5, 6)]


def test_work_of_a_step_is_taken_back_from_who_loses_its_pages_later_in_it():
    bench = Bench(pages=7, max_batch_tokens=8, max_sequences=2)
    old = bench.add(24, new=4)
    bench.step()
    young = bench.add(3, new=12)
    seen = []
    while old.uncomputed > 1:
        step = bench.step()
        seen += [(len(step.work), seq) for seq in step.preempted]
        assert young not in step.preempted or [w.sequence for w in step.work] == [old]
    assert seen and {seq for _, seq in seen} == {young}
    bench.run()


def test_rows_that_are_taken_back_go_to_others():
    bench = Bench(pages=3, size=16, max_batch_tokens=8)
    bench.add(1, new=9, priority=-1, cacheable=False)
    bench.step()
    mid = bench.add(40, new=1, cacheable=False)
    bench.step()
    old = bench.add(19, new=1, cacheable=False)
    bench.steps(2)
    step = bench.step()
    assert [seq.id for seq in step.preempted] == [0]
    assert brief(step) == [(old.id, 14, 19), (mid.id, 7, 10)]


# --- what is refused, and ends --------------------------------------------------------------------


def test_what_can_never_fit_is_refused_with_both_figures():
    bench = Bench(pages=5)
    bench.add(12, new=8)
    with pytest.raises(RequestError, match=r"may reach 21 tokens \(12 .* holds 20: shorten"):
        bench.add(12, new=9)
    bench.run()


def test_a_full_queue_is_an_overload_with_both_figures():
    bench = Bench(max_waiting=2)
    bench.add(1)
    bench.add(1)
    with pytest.raises(OverloadedError, match=r"2 sequences are waiting and the queue takes 2"):
        bench.add(1)
    bench.step()
    bench.add(1)


def test_impossible_limits_are_refused():
    with pytest.raises(ConfigError, match=r"max_sequences 17 is not within 1 and .* 16"):
        Bench(max_sequences=17)
    with pytest.raises(ConfigError, match="max_sequences 0"):
        Bench(max_sequences=0)


def test_deadlines_are_told_of_those_that_wait_and_those_that_run():
    bench = Bench(max_sequences=1)
    running, waiting = bench.add(2, deadline=5.0), bench.add(2, deadline=3.0)
    bench.add(2)
    bench.step()
    assert bench.scheduler.expired(2.9) == []
    assert bench.scheduler.expired(3.0) == [waiting]
    assert bench.scheduler.expired(9.0) == [running, waiting]
    bench.scheduler.drop(running)
    assert bench.scheduler.expired(9.0) == [waiting]


def test_cancelled_while_its_step_runs():
    bench = Bench()
    seq, other = bench.add(10), bench.add(4)
    step = bench.scheduler.schedule()
    assert len(step.work) == 2
    bench.scheduler.drop(seq)
    bench.scheduler.advance(seq, 10)
    bench.scheduler.advance(other, 4)
    bench.scheduler.drop(seq)  # twice does no harm
    assert seq.computed == 0 and bench.prefix.pages == 1
    bench.scheduler.check()


def test_drop_leaves_nothing_and_finish_leaves_all_that_is_computed():
    bench = Bench()
    kept, dropped = bench.add(2, new=20), bench.add(2, new=20)
    bench.steps(6)  # 2 + 5 tokens computed, which is two pages
    bench.prefix.clear()
    bench.scheduler.drop(dropped)
    assert bench.prefix.pages == 0 and bench.pool.free == 62
    bench.scheduler.finish(kept)
    assert bench.prefix.pages == 2
    assert bench.prefix.match(kept.tokens, 8) == (bench.prefix.check(), 7)


def test_restart_computes_everything_again():
    bench = Bench()
    one, two = bench.add(range(10), new=4), bench.add(6, new=4)
    bench.steps(2)
    bench.scheduler.restart()
    bench.prefix.clear()
    assert bench.pool.free == bench.pool.count and not bench.scheduler.running
    assert bench.scheduler.waiting == [one, two]
    assert brief(bench.step()) == [(0, 0, 12), (1, 0, 4)]
    bench.run()
    assert [len(one.tokens), len(two.tokens)] == [14, 10]
