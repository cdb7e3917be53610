"""Mathematics by math-verify, in the sandbox."""

import asyncio

import pytest

from speciale.errors import DataError
from speciale.tasks import Attempt
from speciale.tasks.maths import verify_maths


def verdict(right, answer):
    return asyncio.run(verify_maths(right, Attempt(answer)))


@pytest.mark.parametrize(
    ("right", "answer", "score"),
    [
        (r"\frac{1}{2}", "0.5", 1),
        ("1/2", r"Therefore $x = \frac{2}{4}$.", 1),
        ("1/2", r"\boxed{\dfrac12}", 1),
        (r"\frac{\sqrt{2}}{2}", r"<answer>\frac{1}{\sqrt{2}}</answer>", 1),
        ("x^2 + 2x + 1", "$(x+1)^2$", 1),
        (r"\{1, 2, 3\}", r"\boxed{\{3, 2, 1\}}", 1),
        (r"\{1, 2, 3\}", r"\boxed{\{1, 2\}}", 0),
        ("(0, 1]", r"\boxed{(0,1]}", 1),
        ("(0, 1]", r"\boxed{[0,1]}", 0),
        (r"[0,1) \cup (2,3]", r"The set is $[0,1) \cup (2,3]$.", 1),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"$\begin{pmatrix}1&2\\3&4\end{pmatrix}$", 1),
        ("2^{10}", "1024", 1),
        ("12", "The answer is 12 cm", 1),
        ("12", "The answer is 13", 0),
        (r"\pi", "3.14", 0),
        ("5", "I do not know", 0),
        ("5", "", 0),
        ("5", "\x00\ud800", 0),
    ],
)
def test_equal_or_not(right, answer, score):
    given = verdict(right, answer)
    assert given.score == score, given
    assert bool(given.reasons) == (score == 0)


def test_the_reasons_say_how_the_answer_was_read():
    assert verdict("1/2", r"\boxed{\frac{3}{4}}").reasons == (
        "The answer reads as '3/4', which does not equal '1/2'.",
    )
    assert verdict("1/2", "?!").reasons == ("There is no mathematics in '?!'.",)
    assert "too many" in verdict("1", "1" * 1_000_001).reasons[0]


def test_towers_of_powers_end_and_the_next_answer_is_scored(monkeypatch):
    monkeypatch.setattr("speciale.tasks.maths.SECONDS", 1)
    tower = verdict("1", r"\boxed{9^{9^{9^{9^{9}}}} - 9^{9^{9^{9^{9}}}} + 1}")
    assert tower.score == 0 and "could not be scored" in tower.reasons[0]
    assert verdict("1", "1").score == 1


def test_a_reference_that_is_no_mathematics_is_the_users_error():
    with pytest.raises(
        DataError, match="reference answer '??!' is no mathematics".replace("?", r"\?")
    ):
        verdict("??!", "1")
