"""Verifiers of the user's own, each in a cell of its own."""

import asyncio

import pytest

from speciale.sandbox import Limits
from speciale.tasks.python_check import verify_by_code


def verdict(code, answer="42", messages=()):
    return asyncio.run(verify_by_code(code, answer, messages))


@pytest.mark.parametrize(
    ("body", "score", "reason"),
    [
        ("return 1.0", 1, None),
        ("return True", 1, None),
        ("return answer == '42' and len(messages) == 1", 1, None),
        ("return 0.5", 0.5, "verify gave 0.5."),
        ("return 0.25, 'a quarter'", 0.25, "a quarter"),
        ("print('loud'); return 1", 1, None),
        ("return 2", 0, "verify returned 2, not a number from 0 to 1."),
        ("return 'yes'", 0, "verify returned 'yes', not a number from 0 to 1."),
        ("return float('nan')", 0, "verify returned nan, not a number from 0 to 1."),
        ("return None", 0, "verify returned None, not a number from 0 to 1."),
        ("return answer / 2", 0, "verify raised TypeError: unsupported operand type(s) for /"),
        ("import os; os._exit(0)", 0, "verify gave no result: no output."),
        ("return open('/etc/shadow').read()", 0, "verify raised FileNotFoundError"),
        ("return object()", 0, "verify gave no result: TypeError: Object of type object"),
    ],
)
def test_verdict(body, score, reason):
    code = f"def verify(answer, messages):\n    {body}\n"
    given = verdict(code, messages=[{"role": "user", "content": "x"}])
    assert given.score == score
    assert given.reasons == () if reason is None else given.reasons[0].startswith(reason)


def test_code_that_does_not_end_is_stopped(monkeypatch):
    monkeypatch.setattr("speciale.tasks.python_check.LIMITS", Limits(wall_s=2))
    given = verdict("def verify(answer, messages):\n    while True: pass\n")
    assert given.reasons == ("verify was stopped by its limit on wall time, 2 s.",)


def test_an_answer_with_anything_in_it_arrives():
    answer = "\x00\ud800'\"\\\n" + "é" * 100_000
    code = f"def verify(answer, messages):\n    return len(answer) == {len(answer)}\n"
    assert verdict(code, answer).score == 1
