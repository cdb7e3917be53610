"""The prefix cache against a plain list of what was put in, and its order of forgetting."""

from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciale.engine.pages import PagePool
from speciale.engine.prefix import PrefixCache

SIZE = 4


def cache_of(*texts, pages=64, size=SIZE):
    """A cache that holds the texts, whose writers are gone."""
    cache = PrefixCache(PagePool(pages, size))
    for text in texts:
        put(cache, text)
    return cache


def put(cache, text):
    """Inserts a text as a sequence that ends would; returns the pages it had."""
    pages = [cache.pool.take() for _ in range(-(-len(text) // cache.pool.page_tokens))]
    cache.insert(text, pages)
    for page in pages:
        cache.pool.release(page)
    cache.check()
    return pages


def found(cache, text, limit=None):
    """Tokens that are known of a text; the pages are given back."""
    pages, count = cache.match(text, len(text) if limit is None else limit)
    assert len(pages) == -(-count // cache.pool.page_tokens)
    for page in pages:
        cache.pool.release(page)
    return count


def common(one, other):
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other))))


# --- finding --------------------------------------------------------------------------------------


def test_hits_are_counted_in_tokens():
    cache = cache_of("abcdefghij")
    assert found(cache, "abcdefghij") == 10
    assert (cache.hit_tokens, cache.miss_tokens) == (10, 0)
    assert found(cache, "abcdefXhijk") == 6
    assert (cache.hit_tokens, cache.miss_tokens) == (16, 5)
    assert found(cache, "zzz") == 0
    assert (cache.hit_tokens, cache.miss_tokens) == (16, 8)
    cache.match("abcd", 4, count=False)
    assert (cache.hit_tokens, cache.miss_tokens) == (16, 8)


@pytest.mark.parametrize("limit", range(11))
def test_no_more_than_the_limit_is_found(limit):
    assert found(cache_of("abcdefghij"), "abcdefghijkl", limit) == limit


def test_each_page_found_has_one_more_holder():
    cache = cache_of("abcdefgh", "abcdefXY")
    pages, count = cache.match("abcdeXYZ", 8)
    assert count == 5 and len(pages) == 2
    assert [cache.pool.refs(page) for page in pages] == [2, 2]
    assert cache.evictable == cache.pages - 2 == 1


@given(st.lists(st.text("ab", max_size=13), max_size=8), st.text("ab", max_size=13))
def test_the_longest_known_beginning_is_found(texts, wanted):
    cache = cache_of(*texts, size=3)
    longest = max((common(text, wanted) for text in texts), default=0)
    assert found(cache, wanted) == longest


def test_a_part_of_a_page_is_found_on_either_side_in_order():
    cache = cache_of("abbb", "addd")
    assert found(cache, "abbc") == 3  # behind abbb
    assert found(cache, "adda") == 3  # before addd


# --- inserting ------------------------------------------------------------------------------------


def test_what_is_known_keeps_its_page():
    cache = cache_of("abcdefgh")
    before = cache.check()
    assert put(cache, "abcdefgh") != before
    assert cache.check() == before and cache.pool.free == 62


def test_a_longer_page_takes_the_place_of_its_beginning():
    cache = cache_of("abcdef")
    put(cache, "abcdefg")
    assert cache.pages == 2 and found(cache, "abcdefgh") == 7
    put(cache, "abcdefgh")
    assert cache.pages == 2 and found(cache, "abcdefghi") == 8
    put(cache, "abcde")  # nothing new
    assert cache.pages == 2
    put(cache, "abcdeX")  # neither begins the other
    assert cache.pages == 3 and found(cache, "abcdeX") == 6


def test_who_holds_the_beginning_keeps_it():
    cache = cache_of("abcdef")
    pages, _ = cache.match("abcdef", 6)
    put(cache, "abcdefgh")
    assert [cache.pool.refs(page) for page in pages] == [2, 1]


def test_insertion_goes_on_from_the_node_it_returned():
    cache = PrefixCache(PagePool(8, SIZE))
    pages = [cache.pool.take() for _ in range(3)]
    node = cache.insert("abcdefghij", pages, 4)
    assert cache.pages == 1
    # The beginning is not even looked at any more.
    node = cache.insert("????efghij", pages, 8, node)
    assert cache.pages == 2 and found(cache, "abcdefgh") == 8
    cache.clear()
    cache.insert("abcdefghij", pages, 10, node)  # the node is gone: from the start
    assert cache.pages == 3 and found(cache, "abcdefghij") == 10
    cache.check()


# --- forgetting -----------------------------------------------------------------------------------


def test_least_recently_used_goes_first_and_leaves_before_what_they_stand_on():
    cache = cache_of("aaaabbbb", "cccc", "dddd")
    found(cache, "cccc")
    assert cache.evict(1) == 1
    assert found(cache, "aaaabbbb") == 4  # used now, so d is next
    assert cache.evict(1) == 1
    assert [found(cache, text, 4) for text in ("dddd", "cccc", "aaaa")] == [0, 4, 4]
    assert cache.evict(5) == 2
    assert cache.pages == 0 and cache.pool.free == 64


def test_a_page_that_somebody_holds_is_never_evicted():
    cache = cache_of("aaaabbbb", "cccc")
    held, _ = cache.match("aaaabbbb", 8)
    assert cache.evict(9) == 1
    assert sorted(cache.check()) == sorted(held) and cache.evictable == 0
    assert cache.evict(9) == 0
    for page in held:
        cache.pool.release(page)
    assert cache.evictable == 2 and cache.evict(9) == 2


@given(st.data())
def test_evict_takes_the_oldest_leaf_that_nobody_holds(data):
    cache = PrefixCache(PagePool(200, 2))
    held = []
    for _ in range(data.draw(st.integers(1, 25))):
        action = data.draw(st.sampled_from(["put", "hold", "let go", "evict", "evict"]))
        text = data.draw(st.text("ab", max_size=7))
        if action == "put":
            put(cache, text)
        elif action == "hold":
            held.append(cache.match(text, len(text))[0])
        elif action == "let go" and held:
            for page in held.pop():
                cache.pool.release(page)
        elif action == "evict":
            leaves = [
                (node.used, page)
                for page, node in cache._nodes.items()
                if not node.children and cache.pool.refs(page) == 1
            ]
            before = set(cache.check())
            assert cache.evict(1) == bool(leaves)
            assert before - set(cache.check()) == {page for _, page in sorted(leaves)[:1]}
    cache.pool.check(cache.check() + [page for pages in held for page in pages])


def test_forget_lets_go_of_a_leaf_that_one_caller_holds():
    cache = cache_of("aaaabbbb")
    pages, _ = cache.match("aaaabbbb", 8)
    assert not cache.forget(pages[0])  # known pages follow it
    cache.pool.share(pages[1])
    assert not cache.forget(pages[1])  # a second caller holds it
    cache.pool.release(pages[1])
    assert cache.forget(pages[1])
    assert cache.pool.refs(pages[1]) == 1 and found(cache, "aaaabbbb") == 4
    assert not cache.forget(pages[1])


def test_clear_forgets_all_but_takes_no_page_away():
    cache = cache_of("aaaabbbb", "cccc")
    pages, _ = cache.match("aaaabb", 6)
    cache.clear()
    assert cache.pages == cache.evictable == 0 and found(cache, "aaaa") == 0
    assert [cache.pool.refs(page) for page in pages] == [1, 1] and cache.pool.free == 62
    put(cache, "aaaa")
    assert found(cache, "aaaa") == 4


def test_leaves_that_are_gone_do_not_pile_up():
    cache = cache_of("zzzz", pages=12)
    for number in range(500):
        text = "aaaa" + chr(1000 + number)
        put(cache, text)
        put(cache, text + "b")  # takes the place of the one before
        if number % 5 == 4:
            assert cache.evict(5) == 5
    for _ in range(2000):
        page = cache.pool.take()
        cache.insert("y", [page])
        assert cache.forget(page)  # without an eviction that would clear up
        cache.pool.release(page)
    assert len(cache._leaves) < 100
    kept = cache.pages
    assert cache.evict(12) == kept


def test_a_very_long_prefix():
    text = list(range(20_000))
    cache = cache_of(text, pages=10_000, size=2)
    assert found(cache, text) == 20_000
    assert cache.evict(9_999) == 9_999 and found(cache, text) == 2
