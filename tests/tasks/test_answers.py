"""Which part of a text is the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciale.tasks.answers import final_answer, shown


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("  42\n", "42"),
        ("so <answer> 4 </answer> or rather <answer>5</answer>.", "5"),
        ("<answer>a\nb</answer>", "a\nb"),
        ("<answer>```json\n[1]\n```</answer>", "[1]"),
        ("```\nx\n```", "x"),
        ("```py\nx = 1\n\n```  ", "x = 1"),
        ("```\n```", ""),
        ("```", "```"),
        ("text ```x``` text", "text ```x``` text"),
        (r"thus \boxed{\frac{1}{2}} and \boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{1} but <answer>2</answer>", "2"),
        (r"<answer>\boxed{3}</answer>", r"\boxed{3}"),
        (r"\boxed{never closed", r"\boxed{never closed"),
        ("<answer>never closed", "<answer>never closed"),
        ("</answer>7<answer>", "</answer>7<answer>"),
        ("<answer></answer>", ""),
        ("<answer>1</answer></answer>", "1</answer>"),
        ("", ""),
    ],
)
def test_final_answer(text, answer):
    assert final_answer(text) == answer


@given(st.text(alphabet="<>/answer\\boxed{}` \n1") | st.text())
def test_any_text_has_an_answer(text):
    assert final_answer(text) in text or final_answer(text) == ""


def test_shown_is_one_short_line():
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("\x1b" * 1000)) < 500
