"""Short problems as tasks: by family and level, split for good, scored in this process."""

import asyncio
from itertools import islice

import pytest

from speciale.errors import DataError
from speciale.tasks import load_tasks
from speciale.tasks.task import Attempt


def verdict(task, answer):
    return asyncio.run(task.verify(Attempt(answer)))


def test_a_task_takes_its_answer_with_or_without_tags():
    for task in load_tasks("problems/chain_sum", count=5, level=2):
        assert task.level == 2 and task.source == "problems/chain_sum"
        assert verdict(task, task.answer).score == 1
        assert verdict(task, f"It is <answer> {task.answer} </answer>").score == 1
        wrong = verdict(task, str(int(task.answer) + 1))
        assert wrong.score < 1 and task.answer in wrong.reasons[0]


def test_levels_come_in_turn_and_the_same_again():
    tasks = list(load_tasks("problems/products", count=12, seed=4))
    assert {task.level for task in tasks} == {1, 2, 3}
    again = list(load_tasks("problems/products", count=12, seed=4))
    assert [t.id for t in tasks] == [t.id for t in again]
    assert len({(t.level, t.id) for t in tasks}) == 12


def test_a_split_never_meets_the_other():
    def questions(split):
        found = islice(load_tasks("problems/chain_sum", split=split, level=2), 200)
        return {task.prompt[0]["content"] for task in found}

    assert not questions("train") & questions("heldout")


@pytest.mark.parametrize(
    ("source", "level", "words"),
    [
        ("problems/chain_sums", None, "did you mean chain_sum"),
        ("problems/xyzzy", None, "they are chain_sum"),
        ("problems/gcd", 9, "no level 9"),
    ],
)
def test_what_is_not_there_is_named(source, level, words):
    with pytest.raises(DataError, match=words):
        load_tasks(source, level=level)
