"""The plain verifiers: what they take, what they refuse, and that they say why."""

import asyncio

import pytest

from speciale.tasks.checks import CHECKS, pattern


@pytest.mark.parametrize(
    ("check", "right", "answer", "score"),
    [
        ("exact", "New York", " New  York\n", 1),
        ("exact", "New York", "new york", 0),
        ("exact", "7", "7.", 0),
        ("number", 1000, "1,000.00", 1),
        ("number", "0.5", "It is 1/2", 1),
        ("number", "1/2", "0.5 m", 1),
        ("number", "-3", "−3", 1),
        ("number", "7", "between 7 and 8", 0),
        ("number", "1e3", "1000", 1),
        ("number", 0.1, "0.1", 1),
        ("number", "5", "no idea", 0),
        ("number", "5", "5/0", 0),
        ("number", "5", "9" * 100_000, 0),
        ("choice", "B", "B", 1),
        ("choice", "b", "(B).", 1),
        ("choice", "B", "B) Paris", 1),
        ("choice", "B", "I think that the answer is **B**.", 1),
        ("choice", "B", "Not A. The answer is B", 1),
        ("choice", "A", "A thought: it may be B", 0),
        ("choice", "B", "C", 0),
        ("choice", "B", "Berlin", 0),
        ("json", {"a": [1, True], "b": None}, '{"b": null, "a": [1, true]}', 1),
        ("json", {"a": 1}, '{"a": true}', 0),
        ("json", [1], "[1, 1]", 0),
        ("json", [1], "[" * 100_000, 0),
        ("json", {"a": 1}, '{"a": 1, "b": 2}', 0),
        ("json", 1, "1.0", 1),
        ("json", None, "null", 1),
        ("json", [1], "here: [1]", 0),
    ],
)
def test_check(check, right, answer, score):
    verdict = CHECKS[check](right, answer)
    assert verdict.score == score, verdict
    assert bool(verdict.reasons) == (score == 0)
    assert all(len(reason) < 500 and reason.endswith(".") for reason in verdict.reasons)


def test_a_pattern_matches_the_whole_answer_and_may_take_for_ever(monkeypatch):
    monkeypatch.setattr("speciale.tasks.checks.PATTERN_S", 1)

    async def verdicts():
        asked = [
            pattern(r"\d{4}", "2025", None),
            pattern(r"\d{4}", "20256", None),
            pattern("(a|aa)+b", "a" * 200, None),
        ]
        return await asyncio.gather(*asked)

    right, wrong, slow = asyncio.run(verdicts())
    assert right.score == 1 and wrong.score == slow.score == 0
    assert wrong.reasons == (r"'20256' does not match '\\d{4}'.",)
    assert slow.reasons == ("The answer could not be scored: it took longer than 1 s.",)
