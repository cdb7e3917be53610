"""What is already in the cache: a tree of pages by the tokens they hold, least recently used out.

RadixAttention (Zheng et al. 2024, section 3) with an edge a page: whole pages are found by hash,
and the last, partly equal one by order, so a hit is counted in tokens and not in pages.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import count as counter
from itertools import takewhile

from speciale.engine.pages import PagePool


class Node:
    """A page behind its parent's; one of fewer than `page_tokens` tokens is always a leaf."""

    __slots__ = ("children", "depth", "key", "keys", "page", "parent", "queued", "used")

    def __init__(self, parent: Node | None, key: tuple[int, ...], page: int) -> None:
        self.parent = parent
        self.key = key  # the page's tokens
        self.page = page
        self.depth: int = parent.depth + 1 if parent else 0  # pages from the root
        self.children: dict[tuple[int, ...], Node] = {}
        self.keys: list[tuple[int, ...]] = []  # of the children, sorted; none begins another
        self.used = 0
        self.queued = False  # is in the heap of leaves

    def closest(self, tokens: tuple[int, ...]) -> tuple[Node | None, int]:
        """The child that agrees longest with `tokens` from the start, and for how many tokens.

        In sorted order that is a neighbour of the place where `tokens` would stand.
        """
        place = bisect_left(self.keys, tokens)
        best, most = None, 0
        for key in self.keys[max(place - 1, 0) : place + 1]:
            common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(key, tokens)))
            if common > most:
                best, most = self.children[key], common
        return best, most


class PrefixCache:
    """Holds one reference on the page of each node; counts its hits and misses in tokens."""

    def __init__(self, pool: PagePool) -> None:
        self.pool = pool
        self.hit_tokens = 0
        self.miss_tokens = 0
        self._root = Node(None, (), -1)
        self._nodes: dict[int, Node] = {}  # by page
        self._clock = counter(1)
        self._leaves: list[tuple[int, Node]] = []  # heap by last use; corrected when popped

    @property
    def pages(self) -> int:
        """How many pages the cache holds."""
        return len(self._nodes)

    @property
    def evictable(self) -> int:
        """Pages that only the cache holds, which `evict` can free from the leaves up.

        One of them stays for the time being where two sequences computed the same page at once,
        and the one whose copy was not taken still holds a page further down.
        """
        return self.pool.idle

    def match(self, tokens: Sequence[int], limit: int, count: bool = True) -> tuple[list[int], int]:
        """Pages that hold the longest known beginning of `tokens[:limit]`, and its tokens.

        Each page has one more reference, the caller's. The last may hold only some of the tokens
        wanted, and others behind them: whoever writes there has to copy it first.
        """
        size = self.pool.page_tokens
        limit = min(limit, len(tokens))
        node, pages, found = self._root, [], 0
        while found < limit:
            rest = tuple(tokens[found : min(found + size, limit)])
            child, common = node.children.get(rest), len(rest)
            if child is None:
                child, common = node.closest(rest)
                if child is None:
                    break
            self.pool.share(child.page)
            self._touch(child)
            pages.append(child.page)
            found += common
            if common < size:
                break
            node = child
        if count:
            self.count(found, len(tokens))
        return pages, found

    def count(self, found: int, wanted: int) -> None:
        """Counts a request for `wanted` tokens of which `found` were known."""
        self.hit_tokens += found
        self.miss_tokens += wanted - found

    def insert(
        self,
        tokens: Sequence[int],
        pages: Sequence[int],
        length: int | None = None,
        known: Node | None = None,
    ) -> Node | None:
        """Makes the first `length` tokens (by default all), which lie in `pages`, known.

        What is known already keeps its page; the caller's is not taken. Returns the node of the
        last whole page: given back as `known`, the next call goes on from there.
        """
        size = self.pool.page_tokens
        length = len(tokens) if length is None else length
        node = known if known is not None and self._holds(known) else self._root
        while (start := node.depth * size) < length:
            key = tuple(tokens[start : min(start + size, length)])
            child = node.children.get(key) or self._extend(node, key, pages[node.depth])
            self._touch(child)
            if len(key) < size:
                break
            node = child
        return None if node is self._root else node

    def evict(self, wanted: int) -> int:
        """Frees up to `wanted` pages, least recently used leaves first; returns how many.

        A leaf that a sequence holds is in use: it counts as used just now and goes to the back,
        so that a call meets it once.
        """
        freed = 0
        now = next(self._clock)
        while freed < wanted and self._leaves and self._leaves[0][0] <= now:
            queued, node = heappop(self._leaves)
            node.queued = False
            if node.children or not self._holds(node):
                continue
            if node.used == queued:
                if self.pool.refs(node.page) == 1:
                    self._remove(node)
                    freed += 1
                    continue
                self._touch(node)
            self._queue(node)
        return freed

    def forget(self, page: int) -> bool:
        """Lets go of a page that only the caller holds besides, so that it may write there.

        False where that is not so, or where known pages follow it.
        """
        node = self._nodes.get(page)
        if node is None or node.children or self.pool.refs(page) != 2:
            return False
        self._remove(node)
        return True

    def clear(self) -> None:
        """Forgets everything, as after a change of the weights."""
        for page in self._nodes:
            self.pool.unkeep(page)
        self._nodes = {}
        self._leaves = []
        self._root = Node(None, (), -1)

    def check(self) -> list[int]:
        """Asserts that the tree is sound; returns its pages."""
        size = self.pool.page_tokens
        for page, node in self._nodes.items():
            assert node.page == page and node.parent.children[node.key] is node
            assert 0 < len(node.key) <= size and (len(node.key) == size or not node.children)
            assert node.children or node.queued, "a leaf that cannot be evicted"
        for node in (self._root, *self._nodes.values()):
            assert node.keys == sorted(node.children), "keys are not those of the children"
            for one, other in zip(node.keys, node.keys[1:]):
                assert other[: len(one)] != one, "a child that another one makes useless"
        return list(self._nodes)

    def _holds(self, node: Node) -> bool:
        return self._nodes.get(node.page) is node

    def _touch(self, node: Node) -> None:
        node.used = next(self._clock)

    def _queue(self, node: Node) -> None:
        node.queued = True
        heappush(self._leaves, (node.used, node))

    def _extend(self, parent: Node, key: tuple[int, ...], page: int) -> Node:
        """The child of these tokens: a new one, or one that begins with them already."""
        place = bisect_left(parent.keys, key)
        if place < len(parent.keys) and parent.keys[place][: len(key)] == key:
            return parent.children[parent.keys[place]]
        # At most one child can be a beginning of the new one, and it stands right before it.
        if place and key[: len(before := parent.keys[place - 1])] == before:
            self._remove(parent.children[before])
        node = Node(parent, key, page)
        self.pool.keep(page)
        self._nodes[page] = parent.children[key] = node
        insort(parent.keys, key)
        self._touch(node)
        self._queue(node)
        if len(self._leaves) > 4 * len(self._nodes) + 64:  # mostly leaves that are gone
            self._leaves = [(n.used, n) for n in self._nodes.values() if n.queued]
            heapify(self._leaves)
        return node

    def _remove(self, node: Node) -> None:
        parent = node.parent
        del self._nodes[node.page], parent.children[node.key]
        del parent.keys[bisect_left(parent.keys, node.key)]
        self.pool.unkeep(node.page)
        if not parent.children and not parent.queued and parent is not self._root:
            self._queue(parent)
