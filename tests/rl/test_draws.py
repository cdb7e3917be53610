"""What comes next: weights of domains, the curriculum, and the same draws after a restart."""

import itertools
from collections import Counter

import pytest

from rl.small import letter_tasks, small_recipe
from speciale.errors import ConfigError, DataError
from speciale.rl import draws as module
from speciale.rl.draws import Draws, cells_of


@pytest.fixture(autouse=True)
def _tasks(monkeypatch):
    monkeypatch.setattr(module, "load_tasks", letter_tasks)


def made(**domains):
    return Draws(small_recipe("nowhere", seed=3, domains=domains))


def told(draws, count, informative=lambda draw: True):
    found = []
    for _ in range(count):
        draw = draws.next()
        draws.tell(draw.domain, draw.cell, informative(draw))
        found.append(draw)
    return found


def test_sources_name_their_levels():
    names = [cell.name for cell in cells_of("d", ["a", "b@2", "synth:x/y@1-3"])]
    assert names == ["a", "b@2", "synth:x/y@1", "synth:x/y@2", "synth:x/y@3"]
    with pytest.raises(ConfigError, match="the lower one first"):
        cells_of("d", ["a@3-1"])


def test_domains_come_by_their_weights():
    draws = made(a={"sources": ["x"], "weight": 3.0}, b={"sources": ["y"]})
    counts = Counter(draw.domain for draw in told(draws, 200))
    assert counts == {"a": 150, "b": 50}


def test_what_teaches_nothing_comes_seldom_but_comes():
    draws = made(a={"sources": ["x@1-3"]})
    counts = Counter(d.cell for d in told(draws, 300, lambda draw: draw.cell == "x@2"))
    assert counts["x@2"] > 200 and min(counts.values()) > 5
    assert draws.weights() == {"x@1": 0.1, "x@2": 1.0, "x@3": 0.1}


def test_the_same_draws_after_a_restart():
    def fresh():
        return made(a={"sources": ["x@1-3"]}, b={"sources": ["y"], "thinking": "on"})

    def judged(draw):
        return draw.number % 3 == 0

    one = fresh()
    first = told(one, 40, judged)
    other = fresh()
    other.restore(one.state())
    for a, b in zip(told(one, 40, judged), told(other, 40, judged)):
        assert (a.mark, a.task.id) == (b.mark, b.task.id)
    for draw in first:
        again = other.again(draw.mark)
        assert (again.task.id, again.mark) == (draw.task.id, draw.mark)


def test_a_banned_task_comes_no_more(monkeypatch):
    few = lambda *a, **k: itertools.islice(letter_tasks(*a, **{**k, "seed": 0}), 3)  # noqa: E731
    monkeypatch.setattr(module, "load_tasks", few)
    draws = made(a={"sources": ["x"]})
    first = draws.next()
    draws.ban(first.task)
    assert first.task.id not in {draws.next().task.id for _ in range(10)}
    for draw in [draws.next() for _ in range(2)]:
        draws.ban(draw.task)
    with pytest.raises(DataError, match="no task to train on"):
        draws.next()


def test_a_source_without_tasks_is_named(monkeypatch):
    monkeypatch.setattr(module, "load_tasks", lambda *_, **__: iter(()))
    with pytest.raises(DataError, match="'x@2' has no task to train on"):
        made(a={"sources": ["x@2"]}).next()


def test_a_store_is_named_once():
    domains = {"a": {"sources": ["synth:{store}#chain@1"], "heldout": ["synth:{store}#hops"]}}
    recipe = small_recipe("m", domains=domains, store="x/tasks")
    assert recipe.sources("a") == ["synth:x/tasks#chain@1"]
    assert recipe.sources("a", heldout=True) == ["synth:x/tasks#hops"]
    with pytest.raises(ConfigError, match="store is not set"):
        Draws(small_recipe("m", domains=domains))
