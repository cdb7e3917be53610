"""Phrases are found in every reading of a text, as whole words; patterns cannot run away."""

import random
import string

import pytest
from disguises import READ, SAME
from hypothesis import given
from hypothesis import strategies as st

from speciale.errors import ConfigError
from speciale.safety.blocklists import Blocklists, safe_pattern
from speciale.safety.policy import Blocklist

LIST = Blocklists(
    [
        Blocklist(name="words", phrases=("bomb", "kill all humans", "炸弹", "Стул", "A.C.M.E.")),
        Blocklist(name="numbers", patterns=(r"\d{3}-\d{2}-\d{4}",)),
        Blocklist(name="parts", phrases=("xyzzy",), whole_words=False),
    ]
)


def found(text):
    return {match.item.text for match in LIST.find(text)}


@pytest.mark.parametrize("text", [*SAME.values(), *READ.values()])
def test_every_disguise_of_a_phrase_is_found(text):
    assert found(text) == {"bomb"}


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Kill  ALL\nhumans!", "kill all humans"),
        ("k i l l a l l h u m a n s", "kill all humans"),
        ("#KillAllHumans", "kill all humans"),
        ("kill-all-humans", "kill all humans"),
        ("他的炸弹在哪里", "炸弹"),
        ("炸 弹", "炸弹"),
        ("два СТУЛ тут", "Стул"),
        ("стул".encode().hex(" "), "Стул"),
        ("the acme case", "A.C.M.E."),
        ("A.C.M.E. it is", "A.C.M.E."),
        ("sayxyzzynow", "xyzzy"),
        ("no. 123-45-6789", r"\d{3}-\d{2}-\d{4}"),
        ("no. １２３-45-6789", r"\d{3}-\d{2}-\d{4}"),
    ],
)
def test_phrases_and_patterns(text, phrase):
    assert found(text) == {phrase}


@pytest.mark.parametrize(
    "text",
    ["Bombay", "a bombastic aplomb", "kill all the humans", "стулья", "12345-6789", "b om b", ""],
)
def test_other_words_are_not(text):
    assert found(text) == set()


def test_a_match_says_where_and_ids_are_stable():
    text = "well, b\u200bo m-b"
    assert LIST.find("say b\u200bom\u0301b now")[0].start == 4
    assert LIST.find("say b\u200bom\u0301b now")[0].end == 10
    again = Blocklists([Blocklist(name="words", phrases=("bomb",))])
    assert again.find("bomb")[0].item == LIST.find("bomb")[0].item
    assert again.find(text) == []


def test_lists_come_from_files(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# a comment\nblue heron\n\n/proj-[0-9]{4}/\n", encoding="utf-8")
    lists = Blocklists([Blocklist(name="file", path=path)])
    assert [m.item.text for m in lists.find("PROJ-1234, the Blue Heron")] == [
        "proj-[0-9]{4}",
        "blue heron",
    ]
    with pytest.raises(ConfigError, match=r"missing\.txt"):
        Blocklists([Blocklist(name="file", path=tmp_path / "missing.txt")])
    with pytest.raises(ConfigError, match="'—'"):
        Blocklists([Blocklist(name="file", phrases=("—",))])


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b", "a*", "a+", ".*x", "(a{1,20}){1,10}b", "a{0,60}a{0,60}a{0,60}b", "(a|b|ab){1,9}c",
        r"(a)\1", "(?=a)b", "a{0,9}", "(", "x{300}", "(?<!a)b",
    ],
)  # fmt: skip
def test_patterns_that_may_take_long_are_refused(pattern):
    with pytest.raises(ConfigError):
        safe_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "width"),
    [(r"\d{3}-\d{4}", 8), (r"foo.{0,40}bar", 46), ("(cat|horse)s?", 6), ("(ab){3}", 6)],
)
def test_patterns_of_bounded_work_are_taken(pattern, width):
    assert safe_pattern(pattern)[1] == width


# What must be held back of a text that grows.


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("The weather is fine. ", "The weather is fine. "),
        ("The weather is fi", "The weather is "),
        ("They kill all ", "They "),
        ("They kill some ", "They kill some "),
        ("They k i l", "They "),
        ("a b. o. ", "a "),
        ("say %62%6", "say "),
        ("see WW05dFln", "see "),
        ("bytes 62 6f 6", "bytes "),
        ("有一个炸", "有一个"),
        ("有一个人", "有一个人"),
    ],
)
def test_only_what_may_become_a_phrase_is_held(text, free):
    lists = Blocklists([Blocklist(name="a", phrases=("bomb", "kill all humans", "炸弹"))])
    assert text[: lists.hold(text)[0]] == free


DISGUISED = [*READ.values(), *SAME.values(), "kill all humans", "k.i.l.l.a.l.l.h.u.m.a.n.s",
             "so 123-45-6789", "炸弹", "%6b%69ll all &#104;umans", "他的炸弹"]  # fmt: skip


PHRASES = Blocklists(
    [Blocklist(name="words", phrases=("bomb", "kill all humans", "炸弹", "b c d"))]
)


@pytest.mark.parametrize("lists", [LIST, PHRASES])
@pytest.mark.parametrize("text", DISGUISED)
def test_no_part_of_a_phrase_is_let_go_however_the_text_arrives(lists, text):
    whole = "It was said that " + text + " and more."
    matches = lists.find(whole)
    assert matches or lists is PHRASES
    first = min((match.start for match in matches), default=len(whole))
    for end in range(len(whole)):
        free, seen = lists.hold(whole[:end])
        assert free <= seen <= end
        if free > first:  # only with a check that finds it
            assert lists.find(whole[:seen]), (whole[:free], whole[first:])


@given(st.text(), st.integers(0, 40))
def test_hold_stays_within_any_text(text, n):
    free, seen = LIST.hold(text[:n])
    assert 0 <= free <= seen <= len(text[:n])


def test_many_phrases_at_once():
    rng = random.Random(1)
    words = ["".join(rng.choices(string.ascii_lowercase, k=9)) for _ in range(2000)]
    lists = Blocklists([Blocklist(name="many", phrases=tuple(words))])
    text = f"one {words[17].upper()} two {'.'.join(words[1999])} three"
    assert {m.item.text for m in lists.find(text)} == {words[17], words[1999]}
