"""Which pages of the cache are free and how many hold each of the others: PagedAttention's blocks.

A page is a fixed number of token slots; one with several holders is read by all and written by
none (Kwon et al. 2023, section 4.3). Only numbers live here, the tensors belong to the engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class PagePool:
    """Pages 0 .. count-1 of `page_tokens` tokens each, with a reference count."""

    def __init__(self, count: int, page_tokens: int) -> None:
        assert count > 0 and page_tokens > 0, f"no pages: {count} of {page_tokens} tokens"
        self.count = count
        self.page_tokens = page_tokens
        self.idle = 0  # pages that the prefix cache keeps and nobody else holds
        self._refs = [0] * count
        self._kept: set[int] = set()
        self._free = list(range(count - 1, -1, -1))

    @property
    def free(self) -> int:
        """How many pages nobody holds."""
        return len(self._free)

    def refs(self, page: int) -> int:
        """How many hold this page."""
        return self._refs[page]

    def take(self) -> int | None:
        """A free page for one holder; None when there is none."""
        if not self._free:
            return None
        page = self._free.pop()
        self._refs[page] = 1
        return page

    def share(self, page: int) -> None:
        """One more holder."""
        assert self._refs[page] > 0, f"page {page} is free and cannot be shared"
        if self._refs[page] == 1 and page in self._kept:
            self.idle -= 1
        self._refs[page] += 1

    def release(self, page: int) -> None:
        """One holder less; the page is free after the last."""
        assert self._refs[page] > 0, f"page {page} is released more often than it was taken"
        self._refs[page] -= 1
        if self._refs[page] == 0:
            assert page not in self._kept, f"page {page} is released under the prefix cache"
            self._free.append(page)
        elif self._refs[page] == 1 and page in self._kept:
            self.idle += 1

    def keep(self, page: int) -> None:
        """`share` for the prefix cache, whose lone pages are counted in `idle`."""
        assert page not in self._kept, f"page {page} is kept twice"
        self.share(page)
        self._kept.add(page)

    def unkeep(self, page: int) -> None:
        """`release` for the prefix cache."""
        self._kept.remove(page)
        self.idle -= self._refs[page] == 1
        self.release(page)

    def check(self, held: Iterable[int]) -> None:
        """Asserts that `held`, a page once for each of its holders, is what is counted here."""
        holders = Counter(held)
        wrong = {p: n for p, n in enumerate(self._refs) if n != holders[p]}
        assert not wrong, f"pages counted {wrong}, but held {[(p, holders[p]) for p in wrong]}"
        free = set(self._free)
        assert len(free) == len(self._free), "a page is free twice"
        assert free.isdisjoint(holders), f"pages {free & holders.keys()} are free and held"
        assert len(free) + len(holders) == self.count, "a page is neither free nor held"
        assert self.idle == sum(self._refs[p] == 1 for p in self._kept), "idle is miscounted"
