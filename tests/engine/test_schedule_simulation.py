"""All promises of the scheduler at once in random worlds, and faults that these worlds must see."""

import pytest

from engine import schedule_simulation
from engine.schedule_simulation import simulate
from speciale.engine import prefix as prefix_module
from speciale.engine import scheduler as scheduler_module


def test_a_random_world_keeps_every_promise():
    counts = simulate(20_000, seed=1)
    # Everything that can go wrong was given the chance to.
    rare = {name for name, count in counts.items() if count < 50}
    assert rare <= {"empty"} and counts["empty"] > 0, counts


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_random_world_keeps_every_promise_for_a_million_steps():
    simulate(1_000_000, seed=2)


FAULTS = {
    "a shared page is written": (
        "scheduler", "self.pool.refs(seq.pages[first]) > 1", "False",
    ),
    "a copy is forgotten": (
        "scheduler", "self._copies[seq] = seq.pages[first], page", "pass",
    ),
    "a copy goes the wrong way": (
        "scheduler", "= seq.pages[first], page", "= page, seq.pages[first]",
    ),
    "the copied page is not released": (
        "scheduler", "self.pool.release(seq.pages[first])", "pass",
    ),
    "a page is not released": (
        "scheduler", "for page in seq.pages:", "for page in seq.pages[1:]:",
    ),
    "a page still to be copied is shared": (
        "scheduler", "length -= length % self.pool.page_tokens", "pass",
    ),
    "a copy outlives its sequence": (
        "scheduler", "self._copies.pop(seq, None)", "pass",
    ),
    "a token not yet computed is shared": (
        "scheduler", "whole = computed // size * size", "whole = computed + bool(computed % size)",
    ),
    "work outlives its pages": (
        "scheduler", "if work := self._work.pop(seq, None):", "if work := None:",
    ),
    "the wrong one loses its pages": (
        "scheduler", "self.running[-1]", "self.running[0]",
    ),
    "old keys are shared after new weights": (
        "scheduler", "if keep and seq.cacheable:", "if seq.cacheable:",
    ),
    "a cancelled sequence goes on": (
        "scheduler", "if seq.state is not State.RUNNING:\n            return", "pass",
    ),
    "nothing is let go of to write alone": (
        "scheduler", "shared and self.prefix.forget(seq.pages[first])", "False",
    ),
    "the wrong page is shared": (
        "prefix", "pages.append(child.page)", "pages.insert(0, child.page)",
    ),
    "a match takes no reference": (
        "prefix", "self.pool.share(child.page)", "pass",
    ),
    "a part of a page counts as a whole one": (
        "prefix", "found += common", "found = min(found + size, limit)",
    ),
    "a page in use is evicted": (
        "prefix", "if self.pool.refs(node.page) == 1:", "if True:",
    ),
    "a page is evicted from under others": (
        "prefix", "if node.children or not self._holds(node):", "if not self._holds(node):",
    ),
    "a node that is gone is gone on from": (
        "prefix", "known is not None and self._holds(known)", "known is not None",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_simulation_sees(fault, monkeypatch):
    name, right, wrong = FAULTS[fault]
    module, kind = {
        "scheduler": (scheduler_module, "Scheduler"),
        "prefix": (prefix_module, "PrefixCache"),
    }[name]
    with open(module.__file__, encoding="utf-8") as file:
        source = file.read()
    assert source.count(right) == 1, f"{right!r} is in {name}.py {source.count(right)} times"
    faulty = {"__name__": module.__name__}
    exec(compile(source.replace(right, wrong), f"faulty {name}.py", "exec"), faulty)
    original = getattr(schedule_simulation, kind)
    for attribute, value in vars(faulty[kind]).items():
        if callable(value) and attribute in vars(original):
            monkeypatch.setattr(original, attribute, value)
    with pytest.raises(AssertionError):
        simulate(20_000, seed=1)
