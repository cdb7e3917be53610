"""Families of the procedural author at work: solutions solve, verifiers accept them and no others.

V3.2 report, 3.2.3. In the sandbox, as the gates do; the gates themselves are in test_gates.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import sqlite3

import pytest

from speciale.sandbox import Sandbox
from speciale.synth.gates.bench import open_bench
from speciale.synth.gates.difficulty import difficulty
from speciale.synth.gates.values import leaves, replaced
from speciale.synth.general import CATEGORIES, items, make
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.world import State

PATTERNS = {"assign", "best", "bundle", "chain", "reconcile", "route", "schedule"}


def _cover() -> list[Family]:
    """Few families that have all kinds of question among them."""
    missing, chosen = set(PATTERNS), []
    for item in itertools.islice(items(CATEGORIES, 6), 40):
        family = make(item)
        found = {task.about.pattern for task in family.tasks.values()}
        if len(found & missing) >= min(2, len(missing)):
            chosen.append(family)
            missing -= found
        if not missing:
            return chosen
    raise AssertionError(f"no family has {missing}")


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


@pytest.fixture(scope="module")
def runs(sandbox):
    """(family, its runs, rulings): right answers, near misses, an untouched database."""

    async def work():
        found = []
        for family in _cover():
            async with open_bench(family, sandbox) as bench:
                ran, rulings = {}, {}
                for number in family.tasks:
                    run = await bench.run(number)
                    ran[number] = run
                    if run.fault is None:
                        right, _ = await bench.rule(number, [run.answer], run.state)
                        wrong = list(_near(run.answer))
                        near, _ = await bench.rule(number, wrong, run.state)
                        idle, _ = await bench.rule(number, [run.answer], State())
                        rulings[number] = right, near, idle, len(wrong)
                found.append((family, ran, rulings))
        return found

    return asyncio.run(work())


def _near(answer):
    """The answer with one part changed, and a few that are none."""
    yield from (None, [], {}, 0, "", [answer], {"answer": answer})
    for path, leaf in leaves(answer):
        if isinstance(leaf, int):
            yield replaced(answer, path, leaf + 1)
            yield replaced(answer, path, str(leaf))
        else:
            yield replaced(answer, path, leaf + " x")
        yield replaced(answer, path, True)


def test_every_solution_runs_and_its_verifier_accepts_it(runs):
    for family, ran, rulings in runs:
        for number in family.tasks:
            name = f"{family.about.id}/{number} {family.tasks[number].about.pattern}"
            assert ran[number].fault is None, f"{name}: {ran[number].fault}"
            right = rulings[number][0]
            assert right[-1].accepted, f"{name}: {right[-1]}"
            assert 2 <= len(ran[number].calls) <= 100, name


def test_no_verifier_accepts_an_answer_with_one_part_changed(runs):
    for family, _, rulings in runs:
        for number in family.tasks:
            _, near, _, count = rulings[number]
            assert len(near) == count and not any(ruling.accepted for ruling in near), number


def test_a_task_that_writes_is_not_done_by_the_right_answer_alone(runs):
    wrote = 0
    for family, ran, rulings in runs:
        for number, task in family.tasks.items():
            assert ran[number].state.changed == task.about.metadata["changes"]
            idle = rulings[number][2]
            assert idle[-1].accepted != task.about.metadata["changes"]
            wrote += task.about.metadata["changes"]
    assert wrote >= 5


def test_calls_and_space_rise_along_a_chain(runs):
    rises = 0
    for family, ran, _ in runs:
        for number, task in family.tasks.items():
            if task.about.harder_than is None:
                continue
            easier = family.tasks[task.about.harder_than]
            low = difficulty(easier.about.prompt, ran[task.about.harder_than])
            high = difficulty(task.about.prompt, ran[number])
            assert high["calls"] >= low["calls"], f"{family.about.id}/{number}"
            rises += high["calls"] > low["calls"] and high["space_log10"] >= low["space_log10"]
    assert rises >= 10


def test_answers_come_from_the_data(sandbox):
    """With other prices, the same solution gives another answer: nothing of it is written down."""
    family = next(
        made
        for made in (make(item) for item in items(["travel"], 6))
        if any(task.about.pattern == "bundle" for task in made.tasks.values())
    )
    number = next(n for n, task in family.tasks.items() if task.about.pattern == "bundle")
    db = sqlite3.connect(":memory:")
    db.deserialize(family.files["data.sqlite"])
    db.execute("UPDATE hotels SET price_per_night = price_per_night / 3 + 1, guest_score = rowid")
    db.commit()
    other = dataclasses.replace(family, files={**family.files, "data.sqlite": db.serialize()})

    async def answer(made):
        async with open_bench(made, sandbox) as bench:
            run = await bench.run(number)
            ruling, _ = await bench.rule(number, [run.answer], run.state)
            return run, ruling[-1]

    before, right = asyncio.run(answer(family))
    after, wrong = asyncio.run(answer(other))
    assert right.accepted and not wrong.accepted
    assert before.answer != after.answer or after.fault
