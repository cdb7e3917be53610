"""Text that looks the same gets one form, with the right places in the source."""

import base64
import unicodedata
from urllib.parse import quote

import pytest
from disguises import READ, SAME
from hypothesis import given
from hypothesis import strategies as st

from speciale.safety.normalise import fold, folded, plain, views


@pytest.mark.parametrize("kind", SAME)
def test_lookalikes_fold_to_the_same(kind):
    assert folded(SAME[kind]) == "bomb"


@pytest.mark.parametrize("text", ["が", "हिन्दी", "ไทยนี้", "한국어", "日本語", "łódź", "straße"])
def test_letters_of_other_scripts_stay_apart_and_forms_of_one_text_agree(text):
    assert folded(text) == folded(unicodedata.normalize("NFD", text)) != ""
    assert folded("か") != folded("が") and folded("हि") != folded("ही")


@pytest.mark.parametrize("kind", READ)
def test_what_a_reader_sees_is_among_the_views(kind):
    assert any("bomb" in view.text for view in views(READ[kind])), [
        v.text for v in views(READ[kind])
    ]


def test_plain_prose_has_no_other_reading_than_itself():
    text = "The committee of ministers discussed the international situation yesterday."
    assert [view.text for view in views(text)] == [text.lower()]


def test_places_lead_back_to_the_source():
    text = "say  b\u200bó\u200bm-b and %62omb and Ym9tYg== ok"
    found = set()
    for view in views(text):
        at = view.text.find("bomb")
        while at >= 0:
            a, b = view.source(at, at + 4)
            found.add(text[a:b])
            at = view.text.find("bomb", at + 1)
    assert found == {"b\u200bó\u200bm-b", "%62omb", "Ym9tYg"}


@given(st.text())
def test_places_are_in_order_and_within_the_text(text):
    for view in views(text):
        assert len(view.text) == len(view.starts) == len(view.ends)
        assert all(0 <= a < b <= len(text) for a, b in zip(view.starts, view.ends))
    assert fold(plain(folded(text))).text.strip() == folded(folded(text))


@pytest.mark.parametrize("unit", ["%25", "&amp;", "\\\\", "QUFB", "a1", "a.", "4141 ", "\u0301"])
def test_work_is_bounded_for_hostile_text(unit):
    text = (unit * 20_000)[:20_000]
    assert sum(len(view.text) for view in views(text)) < 60 * len(text)


def test_encodings_are_undone_to_a_depth_of_three_only():
    deep = "bomb"
    for _ in range(6):
        deep = base64.b64encode(f"x {deep} ".encode()).decode()
    assert not any("bomb" in view.text for view in views(deep))
    assert any("bomb" in view.text for view in views(quote(quote("a%20bomb"))))
