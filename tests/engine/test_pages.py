"""The page pool: counts of holders, and what it refuses."""

import pytest

from speciale.engine.pages import PagePool


def test_a_page_is_free_again_after_its_last_holder():
    pool = PagePool(3, 4)
    assert (pool.count, pool.page_tokens, pool.free) == (3, 4, 3)
    pages = [pool.take() for _ in range(3)]
    assert sorted(pages) == [0, 1, 2] and pool.free == 0
    assert pool.take() is None
    pool.share(1)
    pool.release(1)
    assert pool.refs(1) == 1 and pool.free == 0
    pool.release(1)
    assert pool.refs(1) == 0 and pool.free == 1
    assert pool.take() == 1


def test_mistakes_are_refused():
    pool = PagePool(2, 4)
    page = pool.take()
    pool.release(page)
    with pytest.raises(AssertionError, match="released more often"):
        pool.release(page)
    with pytest.raises(AssertionError, match="is free and cannot be shared"):
        pool.share(page)
    pool.keep(page := pool.take())
    with pytest.raises(AssertionError, match="kept twice"):
        pool.keep(page)
    pool.release(page)
    with pytest.raises(AssertionError, match="under the prefix cache"):
        pool.release(page)


def test_idle_counts_what_only_the_cache_holds():
    pool = PagePool(4, 4)
    one, two = pool.take(), pool.take()
    pool.keep(one)
    pool.keep(two)
    assert pool.idle == 0
    pool.release(one)
    pool.release(two)
    assert pool.idle == 2
    pool.share(one)
    assert pool.idle == 1
    pool.unkeep(one)
    assert pool.idle == 1 and pool.refs(one) == 1
    pool.unkeep(two)
    assert pool.idle == 0 and pool.free == 3


def test_check_names_the_page_that_is_miscounted():
    pool = PagePool(3, 4)
    one, two = pool.take(), pool.take()
    pool.share(two)
    pool.check([one, two, two])
    for held in ([one, two], [one, one, two, two], [two, two], []):
        with pytest.raises(AssertionError, match="pages counted"):
            pool.check(held)
