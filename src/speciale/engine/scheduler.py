"""Which tokens the next step computes, and in which pages: continuous batching in chunks.

Orca's steps (Yu et al. 2022, section 4.1) with Sarathi's chunked prefill (Agrawal et al. 2023,
section 4.2) over vLLM's pages (Kwon et al. 2023, section 4.5: preemption by recomputing).

1. Decodes first. A running sequence with one token to compute gets it in every step. Draft rows
   come behind all of these, at most half of what is left when prompts want to be computed too.
2. Then prompts, in chunks, as far as `max_batch_tokens` goes; several may share a step. Those
   running and those waiting stand in one order, their turn: higher priority first, then the
   shorter rest. A step without a token counts as a quarter of a step's tokens already done, so
   that L tokens are passed by newcomers for at most L / (max_batch_tokens / 4) such steps.
3. A waiting sequence is admitted when its turn comes, a place among `max_sequences` is free, the
   prompt it shares (`after`) is computed and there are pages for its first chunk. What the prefix
   cache knows is not computed. Where pages are short, nobody behind is admitted; a step that
   preempted admits nobody.
4. A page is written by a single holder: a shared one is copied first. Pages come from the free
   ones, then from the prefix cache; then the last of the running (lowest priority, then latest
   arrival) loses its own, be it the one that asks. It waits before all others of its priority, and
   recomputes what is gone from the prefix cache by then.

Nothing waits forever on others of its priority. The first in that order loses its pages only when
it runs alone, and then all pages can be had, which `add` has seen to be enough. So it comes to its
end, and the next one is first. For the same reason never two steps in a row are empty.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from itertools import islice

from speciale.engine.pages import PagePool
from speciale.engine.prefix import PrefixCache
from speciale.engine.sequence import Sequence, State, Step, Work
from speciale.errors import ConfigError, OverloadedError, RequestError


def no_drafts(sequence: Sequence) -> int:
    return 0


def _rank(seq: Sequence) -> tuple[int, int]:
    """Who keeps its pages: smaller is surer."""
    return -seq.priority, seq.arrival


class Scheduler:
    """`waiting` in turn and `running` by rank are to be read only.

    With `refresh_last` the last token of a hit is computed anew, for who needs its hidden state.
    """

    def __init__(
        self,
        pool: PagePool,
        prefix: PrefixCache,
        *,
        max_batch_tokens: int = 512,
        max_sequences: int = 64,
        max_waiting: int = 1024,
        refresh_last: bool = False,
    ) -> None:
        if not 0 < max_sequences <= max_batch_tokens:
            raise ConfigError(
                f"max_sequences {max_sequences} is not within 1 and max_batch_tokens "
                f"{max_batch_tokens}, so a step could not serve every running sequence: "
                "lower it or raise max_batch_tokens"
            )
        self.pool = pool
        self.prefix = prefix
        self.max_batch_tokens = max_batch_tokens
        self.max_sequences = max_sequences
        self.max_waiting = max_waiting
        self.refresh_last = refresh_last
        self.waiting: list[Sequence] = []
        self.running: list[Sequence] = []
        self._live: dict[int, Sequence] = {}  # both, by id
        self._arrivals = 0
        # The step being made.
        self._budget = 0
        self._work: dict[Sequence, Work] = {}
        self._copies: dict[Sequence, tuple[int, int]] = {}
        self._preempted: list[Sequence] = []

    @property
    def idle(self) -> bool:
        return not self._live

    # --- sequences come and go --------------------------------------------------------------------

    def add(self, seq: Sequence, most_tokens: int) -> None:
        """Queues a sequence that reaches at most `most_tokens` tokens, its prompt included.

        Raises OverloadedError when the queue is full, RequestError for what can never fit.
        """
        assert seq.id not in self._live, f"sequence {seq.id} is known already"
        assert 0 < seq.prompt_length <= len(seq.tokens) <= most_tokens
        room = self.pool.count * self.pool.page_tokens
        if self._pages_for(most_tokens) > self.pool.count:
            raise RequestError(
                f"the request may reach {most_tokens} tokens ({seq.prompt_length} of them its "
                f"prompt), but the cache holds {room}: shorten the prompt, ask for fewer new "
                "tokens, or give the cache more memory"
            )
        if len(self.waiting) >= self.max_waiting:
            raise OverloadedError(
                f"{len(self.waiting)} sequences are waiting and the queue takes "
                f"{self.max_waiting}: try again later"
            )
        if seq.after not in self._live:
            seq.after = None  # finished; what comes later cannot be meant, nor make a circle
        self._live[seq.id] = seq
        seq.arrival = self._arrivals
        self._arrivals += 1
        insort(self.waiting, seq, key=self._turn)

    def advance(self, seq: Sequence, computed: int) -> None:
        """The step has run: the first `computed` tokens of `seq` are in its pages.

        Drafts that were accepted and the token sampled behind them are in `seq.tokens` by now. A
        sequence that was cancelled in the meantime is left as it is.
        """
        if seq.state is not State.RUNNING:
            return
        before, seq.computed = seq.computed, computed
        size = self.pool.page_tokens
        assert before <= computed <= min(len(seq.tokens), len(seq.pages) * size)
        if not seq.cacheable:
            return
        if before < seq.prompt_length <= computed:
            # With the partial page at its end, which those `after` this one share as well.
            seq.known = self.prefix.insert(seq.tokens, seq.pages, computed, seq.known)
        elif before // size < computed // size:
            whole = computed // size * size
            seq.known = self.prefix.insert(seq.tokens, seq.pages, whole, seq.known)

    def finish(self, seq: Sequence) -> None:
        """Ends a sequence, and leaves its pages to the prefix cache."""
        if seq.state is State.RUNNING and seq.cacheable:
            self.prefix.insert(seq.tokens, seq.pages, seq.computed)
        self.drop(seq)

    def drop(self, seq: Sequence) -> None:
        """Ends a sequence at any moment, and leaves nothing: cancelled, or its values are bad."""
        if seq.state is State.FINISHED:
            return
        (self.running if seq.state is State.RUNNING else self.waiting).remove(seq)
        self._release_pages(seq)
        seq.state = State.FINISHED
        del self._live[seq.id]

    def expired(self, now: float) -> list[Sequence]:
        """Those whose deadline has passed."""
        return [s for s in self._live.values() if s.deadline is not None and s.deadline <= now]

    def restart(self) -> None:
        """All that runs computes its keys anew, for the weights have changed.

        Goes with `prefix.clear()`.
        """
        for seq in list(self.running):
            self._preempt(seq, keep=False)

    # --- one step ---------------------------------------------------------------------------------

    def schedule(self, drafts: Callable[[Sequence], int] = no_drafts) -> Step:
        """The next step; `drafts` says how many guessed tokens a sequence would have checked."""
        self._budget = self.max_batch_tokens
        self._work, self._copies, self._preempted = {}, {}, []
        self._decode(drafts)
        self._prefill()
        return Step(list(self._work.values()), list(self._copies.values()), list(self._preempted))

    def _decode(self, drafts: Callable[[Sequence], int]) -> None:
        for seq in list(self.running):
            # One further down may have lost its pages to one further up.
            if seq.state is State.RUNNING and seq.uncomputed == 1:
                self._serve(seq, len(seq.tokens))
        spare = self._budget
        if self.waiting or len(self._work) < len(self.running):
            spare //= 2
        for seq, work in self._work.items():
            if rows := min(drafts(seq), spare):
                # As many as there are pages for without taking another's.
                self._own(seq, work.start, work.stop + rows, preempting=False)
                rows = min(rows, len(seq.pages) * self.pool.page_tokens - work.stop)
                self._work[seq] = work._replace(drafts=rows)
                self._budget -= rows
                spare -= rows

    def _prefill(self) -> None:
        prompts = [seq for seq in self.running if seq.uncomputed > 1]
        places = self.max_sequences - len(self.running)
        ready = islice(filter(self._ready, self.waiting), places)
        admitting = True
        for seq in sorted([*prompts, *ready], key=self._turn):
            if not self._budget:
                break
            if seq.state is State.WAITING:
                admitting = admitting and not self._preempted and self._admit(seq)
            else:
                self._serve(seq, min(len(seq.tokens), seq.computed + self._budget))
        for seq in (*self.waiting, *prompts):
            if seq not in self._work:
                seq.waited += 1

    def _serve(self, seq: Sequence, stop: int) -> None:
        """Puts tokens up to `stop` into the step, unless `seq` has to give up its own pages."""
        if self._own(seq, seq.computed, stop):
            self._work[seq] = Work(seq, seq.computed, stop)
            self._budget -= stop - seq.computed

    def _turn(self, seq: Sequence) -> tuple[int, float, int]:
        """Whose prompt is computed next: smaller is sooner.

        All that wait age alike, so `waiting` stays sorted.
        """
        if seq.state is State.WAITING and seq.preemptions:
            return -seq.priority, float("-inf"), seq.arrival
        done = seq.waited * self.max_batch_tokens / 4
        return -seq.priority, seq.uncomputed - done, seq.arrival

    def _ready(self, seq: Sequence) -> bool:
        first = self._live.get(seq.after)
        return first is None or first.computed >= first.prompt_length

    def _admit(self, seq: Sequence) -> bool:
        """Lets `seq` run with its first chunk in this step, if there are pages for it."""
        limit = len(seq.tokens) - 1  # at least one is computed, to sample behind it
        seq.pages, found = self.prefix.match(seq.tokens, limit, count=False)
        seq.computed = max(found - self.refresh_last, 0)
        stop = min(len(seq.tokens), seq.computed + self._budget)
        missing = self._pages_for(stop) - len(seq.pages)
        # Asked first: what cannot be enough shall not cost the prefix cache anything.
        if missing > self.pool.free + self.prefix.evictable or not self._own(
            seq, seq.computed, stop, preempting=False
        ):
            self._release_pages(seq)
            return False
        self.waiting.remove(seq)
        seq.state = State.RUNNING
        insort(self.running, seq, key=_rank)
        if not seq.preemptions:
            seq.cached_tokens = found
            self.prefix.count(found, len(seq.tokens))
        self._serve(seq, stop)
        return True

    # --- pages ------------------------------------------------------------------------------------

    def _pages_for(self, tokens: int) -> int:
        return -(-tokens // self.pool.page_tokens)

    def _own(self, seq: Sequence, start: int, stop: int, preempting: bool = True) -> bool:
        """Gives `seq` pages for tokens [start, stop) that it alone holds.

        False if they cannot be had: with `preempting`, `seq` has then lost its own.
        """
        first, pages = start // self.pool.page_tokens, self._pages_for(stop)
        while True:
            # Only the first can be shared: what lies behind it was never known to anyone else.
            shared = first < len(seq.pages) and self.pool.refs(seq.pages[first]) > 1
            if not shared and len(seq.pages) >= pages:
                return True
            page = self._take()
            if page is None:
                if shared and self.prefix.forget(seq.pages[first]):
                    continue
                if not preempting:
                    return False
                self._preempt(victim := self.running[-1])
                if victim is seq:
                    return False
            elif shared:
                self._copies[seq] = seq.pages[first], page
                self.pool.release(seq.pages[first])
                seq.pages[first] = page
            else:
                seq.pages.append(page)

    def _take(self) -> int | None:
        page = self.pool.take()
        if page is None and self.prefix.evict(1):
            page = self.pool.take()
        return page

    def _preempt(self, seq: Sequence, keep: bool = True) -> None:
        """Sends `seq` back to wait; with `keep`, what it has computed goes to the prefix cache."""
        if work := self._work.pop(seq, None):
            self._budget += work.stop - work.start + work.drafts
        length = seq.computed
        if seq in self._copies:
            # The page at its end was to be copied in this step, and holds nothing yet.
            length -= length % self.pool.page_tokens
        if keep and seq.cacheable:
            self.prefix.insert(seq.tokens, seq.pages, length)
        self.running.remove(seq)
        self._release_pages(seq)
        seq.state = State.WAITING
        seq.preemptions += 1
        insort(self.waiting, seq, key=self._turn)
        self._preempted.append(seq)

    def _release_pages(self, seq: Sequence) -> None:
        for page in seq.pages:
            self.pool.release(page)
        seq.pages, seq.computed, seq.known = [], 0, None
        self._copies.pop(seq, None)

    def check(self) -> None:
        """Asserts the whole accounting: of pages, queues and the prefix cache."""
        held = self.prefix.check()
        for seq in self.running:
            held += seq.pages
            assert seq.state is State.RUNNING and self._live[seq.id] is seq
            assert 0 <= seq.computed <= len(seq.pages) * self.pool.page_tokens
            assert len(set(seq.pages)) == len(seq.pages) > 0
        for seq in self.waiting:
            assert seq.state is State.WAITING and self._live[seq.id] is seq
            assert not seq.pages and not seq.computed
        assert len(self.running) + len(self.waiting) == len(self._live)
        assert len(self.running) <= self.max_sequences
        assert self.running == sorted(self.running, key=_rank)
        self.pool.check(held)
