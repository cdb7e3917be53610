"""Long-context tasks: as long as asked for, solved by their own text, the same by their seed."""

import asyncio
import re
from itertools import islice

import pytest

from speciale.evals.suites.longctx import CHAIN, FREQUENT, KINDS, NEEDLES, tasks


def words(text):
    return len(re.findall(r"\w+|[^\w\s]", text))


def drawn(kind, tokens=2000, seed=0, count=3):
    return list(islice(tasks(kind, tokens, words, seed), count))


def text_of(task):
    return task.prompt[0]["content"]


def score(task, answer):
    return asyncio.run(task.verify(answer)).score


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokens", [1024, 20_000])
def test_prompts_are_nearly_as_long_as_asked_for(kind, tokens):
    for task in drawn(kind, tokens):
        assert 0.85 * tokens < words(text_of(task)) <= tokens


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_right_and_a_part_of_it_is_a_part(kind):
    for task in drawn(kind):
        answers = task.answer.split()
        assert score(task, f"They are {', '.join(answers)}.") == 1
        assert score(task, "I do not know") == 0
        assert score(task, answers[0]) == pytest.approx(1 / len(answers))
        assert score(task, " ".join(f"{each}9" for each in answers)) == 0


def test_each_kind_can_be_solved_from_its_text():
    for task in drawn("needle"):
        assert re.findall(r"is: (\d+)", text_of(task)) == [task.answer]
    for task in drawn("multi-needle"):
        key = re.search(r"numbers for ([\w-]+) mentioned", text_of(task))[1]
        found = re.findall(rf"for {key} is: (\d+)", text_of(task))
        assert sorted(found) == sorted(task.answer.split()) and len(found) == NEEDLES
        assert len(re.findall(r"is: \d+", text_of(task))) > NEEDLES
    for task in drawn("variables"):
        text = text_of(task)
        [value] = re.findall(r"have the value (\d+)", text)
        known = set(re.findall(rf"VAR (\w+) = {value}", text))
        for new, old in re.findall(r"VAR (\w+) = VAR (\w+)", text):  # in the order of the text
            if old in known:
                known.add(new)
        assert known == set(task.answer.split()) and len(known) == CHAIN + 1
    for task in drawn("words"):
        body = text_of(task).split("\n")[1].split()
        often = sorted(set(body), key=body.count)[-FREQUENT:]
        assert set(often) == set(task.answer.split())


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_tasks(kind):
    assert list(map(text_of, drawn(kind))) == list(map(text_of, drawn(kind)))
    assert text_of(drawn(kind)[0]) != text_of(drawn(kind, seed=1)[0])
    assert len({text_of(task) for task in drawn(kind, count=5)}) == 5
