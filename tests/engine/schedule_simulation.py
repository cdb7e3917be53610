"""A small world around the scheduler: random requests, a device memory of its own, no model.

The memory says what a real one would hold: the slot of a token holds a hash of the weights' version
and of all tokens up to it, as its keys depend on nothing else. So a page that is shared too early,
written by two, copied wrongly or taken back too soon shows when somebody reads it.
`python tests/engine/schedule_simulation.py STEPS SEED` runs it alone.
"""

from __future__ import annotations

import random
import sys
from collections import Counter

from speciale.engine.pages import PagePool
from speciale.engine.prefix import PrefixCache
from speciale.engine.scheduler import Scheduler
from speciale.engine.sequence import Sequence, State
from speciale.errors import OverloadedError, RequestError

EPISODE = 400  # steps with one pool and one set of limits
FREE = "nobody's"


class CountingCache(PrefixCache):
    def __init__(self, pool, counts):
        super().__init__(pool)
        self.counts = counts

    def evict(self, wanted):
        freed = super().evict(wanted)
        self.counts["evicted"] += freed
        return freed

    def forget(self, page):
        gone = super().forget(page)
        self.counts["forgotten"] += gone
        return gone


class World:
    def __init__(self, rng: random.Random, counts: Counter):
        self.rng, self.counts = rng, counts
        self.size = rng.choice([1, 2, 3, 4, 8])
        self.pool = PagePool(rng.randint(6, 40), self.size)
        self.prefix = CountingCache(self.pool, counts)
        sequences = rng.randint(1, 8)
        self.scheduler = Scheduler(
            self.pool,
            self.prefix,
            max_batch_tokens=sequences + rng.randint(0, 24),
            max_sequences=sequences,
            max_waiting=rng.randint(2, 12),
            refresh_last=rng.random() < 0.3,
        )
        self.most: dict[Sequence, int] = {}  # tokens that each live sequence will reach
        self.chains: dict[Sequence, list] = {}
        self.memory = [[FREE] * self.size for _ in range(self.pool.count)]
        self.version = 0
        self.now = 0
        self.ids = 0
        self.empty = False  # the last step was
        self.guesses: dict[Sequence, list[int]] = {}
        self.roots = [self.tokens(rng.randint(0, 3 * self.size)) for _ in range(3)]

    def tokens(self, count: int) -> list[int]:
        return [self.rng.randint(0, 2) for _ in range(count)]

    def chain(self, seq: Sequence, extra: list[int] = ()) -> list:
        """What the slots of the sequence's tokens should hold, and those of `extra` behind them."""
        chain = self.chains.setdefault(seq, [])
        for token in seq.tokens[len(chain) :]:
            chain.append(hash((chain[-1] if chain else self.version, token)))
        if not extra:
            return chain
        longer = list(chain)
        for token in extra:
            longer.append(hash((longer[-1], token)))
        return longer

    # --- what users do ----------------------------------------------------------------------------

    def add(self) -> None:
        rng, room = self.rng, self.pool.count * self.size
        root = rng.choice(self.roots)
        tail = self.tokens(rng.randint(1, rng.choice([4, room])))
        prompt = (root[: rng.randint(0, len(root))] + tail)[: room + 2]
        most = min(len(prompt) + rng.randint(1, rng.choice([4, room])), room + 2)
        first = None
        for _ in range(rng.choice([1, 1, 3])):
            seq = Sequence(
                self.ids,
                list(prompt),
                len(prompt),
                priority=rng.choice([0, 0, 0, 1, -1]),
                deadline=self.now + rng.randint(0, 60) if rng.random() < 0.1 else None,
                after=first,
                cacheable=rng.random() < 0.9,
            )
            self.ids += 1
            first = seq.id if first is None else first
            try:
                self.scheduler.add(seq, max(most, len(prompt)))
            except OverloadedError:
                self.counts["overloaded"] += 1
            except RequestError:
                assert most > room
                self.counts["refused"] += 1
            else:
                assert most <= room
                self.counts["added"] += 1
                self.most[seq] = most

    def end(self, seq: Sequence, how: str) -> None:
        dropped = how in ("cancelled", "expired") and self.rng.random() < 0.7
        (self.scheduler.drop if dropped else self.scheduler.finish)(seq)
        assert seq.state is State.FINISHED and not seq.pages
        self.most.pop(seq)
        self.chains.pop(seq, None)
        self.counts[how] += 1

    def disturb(self, chance: float) -> None:
        """What may come at any moment, also while a step runs."""
        rng = self.rng
        if self.most and rng.random() < chance:
            self.end(rng.choice(list(self.most)), "cancelled")
        if rng.random() < chance:
            self.add()
        if rng.random() < chance / 20:
            self.version += 1
            self.chains.clear()
            self.prefix.clear()
            self.scheduler.restart()
            self.counts["restarts"] += 1

    # --- what the engine does ---------------------------------------------------------------------

    def draft(self, seq: Sequence) -> int:
        self.guesses[seq] = self.tokens(self.rng.choice([0, 0, 1, 2, 5]))
        return len(self.guesses[seq])

    def step(self, chance: float) -> None:
        for seq in self.scheduler.expired(self.now):
            self.end(seq, "expired")
        self.now += 1
        self.guesses.clear()
        step = self.scheduler.schedule(self.draft)
        self.judge(step)
        before = {work: list(work.sequence.pages) for work in step.work}
        chains = {
            w: self.chain(w.sequence, self.guesses.get(w.sequence, [])[: w.drafts])
            for w in step.work
        }
        self.disturb(chance)
        self.copy(step.copies)
        for work, pages in before.items():
            self.read(pages, chains[work], work.start)
        for work, pages in before.items():
            self.write(pages, chains[work], work.start, work.stop + work.drafts)
        self.scheduler.check()
        self.disturb(chance)
        for work in step.work:
            self.settle(work)
        self.scheduler.check()
        self.audit()
        for page in range(self.pool.count):
            if not self.pool.refs(page):
                self.memory[page] = [FREE] * self.size

    def audit(self) -> None:
        """What the prefix cache would give to others is what it says."""
        last = {}  # what the last slot of a node's page holds
        for page, node in self.prefix._nodes.items():  # parents come before their children
            chain = [last.get(node.parent, self.version)]
            for token in node.key:
                chain.append(hash((chain[-1], token)))
            assert self.memory[page][: len(node.key)] == chain[1:], f"page {page} is not as known"
            last[node] = chain[-1]

    def judge(self, step) -> None:
        """The promises of a step that hold whatever it contains."""
        served = {work.sequence for work in step.work}
        assert len(served) == len(step.work), "a sequence twice in a step"
        assert served.isdisjoint(step.preempted), "preempted and served"
        rows = sum(work.stop - work.start + work.drafts for work in step.work)
        assert rows <= self.scheduler.max_batch_tokens, f"{rows} rows are over the budget"
        for seq, start, stop, drafts in step.work:
            assert seq.state is State.RUNNING
            assert start == seq.computed < stop <= len(seq.tokens)
            assert drafts <= len(self.guesses.get(seq, ()))
            for index in range(start // self.size, -(-(stop + drafts) // self.size)):
                assert self.pool.refs(seq.pages[index]) == 1, "a page to write to is shared"
            self.counts["rows"] += stop - start
            self.counts["drafts"] += drafts
        written = {page for seq in served for page in seq.pages}
        assert all(to in written for _, to in step.copies), "a copy that nobody is waiting for"
        for seq in self.scheduler.running:
            assert seq in served or seq.uncomputed > 1, "a decode was left out"
            for loser in step.preempted:
                order = (-seq.priority, seq.arrival), (-loser.priority, loser.arrival)
                assert order[0] < order[1], "the wrong one lost its pages"
        assert served or not self.empty or self.scheduler.idle, "two steps in a row did nothing"
        self.empty = not served and not self.scheduler.idle
        self.counts["empty"] += self.empty
        self.counts["preempted"] += len(step.preempted)
        self.counts["copies"] += len(step.copies)

    def copy(self, copies) -> None:
        old = [list(page) for page in self.memory]
        seen = set()
        for source, target in copies:
            assert source not in seen and target not in seen, "the order of copies matters"
            seen.add(target)
            self.memory[target] = list(old[source])

    def read(self, pages: list[int], chain: list, count: int) -> None:
        for index in range(-(-count // self.size)):
            want = chain[index * self.size : min((index + 1) * self.size, count)]
            got = self.memory[pages[index]][: len(want)]
            assert got == want, f"page {pages[index]} does not hold what is read from it"

    def write(self, pages: list[int], chain: list, start: int, stop: int) -> None:
        for place in range(start, stop):
            self.memory[pages[place // self.size]][place % self.size] = chain[place]

    def settle(self, work) -> None:
        seq = work.sequence
        if seq.state is not State.RUNNING:  # cancelled or restarted while the step ran
            computed = seq.computed
            self.scheduler.advance(seq, work.stop)
            assert seq.computed == computed and not seq.pages
            return
        computed, done = work.stop, False
        if computed == len(seq.tokens):
            # Of the guesses, as many as are right; then what is sampled behind them.
            right = self.rng.randint(0, work.drafts)
            new = self.guesses.get(seq, [])[:right] + self.tokens(1)
            new = new[: self.most[seq] - len(seq.tokens)]
            seq.tokens += new
            computed += max(len(new) - 1, 0)
            done = len(seq.tokens) >= self.most[seq]
            self.counts["accepted"] += len(new) - 1
        self.scheduler.advance(seq, computed)
        if done:
            self.end(seq, "finished")

    def drain(self) -> None:
        """Without newcomers all come to their end, and nothing is left over."""
        limit = 1000 + 20 * sum(self.most.values())
        while not self.scheduler.idle:
            self.step(0)
            limit -= 1
            assert limit, "the steps lead nowhere"
        assert not self.most
        assert self.prefix.evictable == self.prefix.pages == self.pool.count - self.pool.free
        if self.rng.random() < 0.5:
            kept = self.prefix.pages
            assert self.prefix.evict(self.pool.count) == kept
        self.prefix.clear()
        assert self.pool.free == self.pool.count


def simulate(steps: int, seed: int) -> dict[str, int]:
    """Runs at least so many steps of many small worlds; counts of what happened in them."""
    rng, counts = random.Random(seed), Counter()
    while counts["steps"] < steps:
        world = World(rng, counts)
        for _ in range(min(EPISODE, steps - counts["steps"])):
            if rng.random() < 0.3:
                world.add()
            world.step(0.05)
        world.drain()
        counts["steps"] += world.now
        counts["hit_tokens"] += world.prefix.hit_tokens
        counts["miss_tokens"] += world.prefix.miss_tokens
    return dict(counts)


if __name__ == "__main__":
    for name, count in simulate(int(sys.argv[1]), int(sys.argv[2])).items():
        print(f"{name:12} {count:>10}")
