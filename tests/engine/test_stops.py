"""StopWatcher: pieces of any size give what one look at the whole text gives."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciale.engine.stops import StopWatcher


def whole(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """The text up to the stop and the stop: place by place, the shortest first."""
    for place in range(len(text)):
        for s in sorted(stop, key=len):
            if text[place : place + len(s)] == s:
                return text[:place], s
    return text, None


def could_begin(text: str, stop: tuple[str, ...]) -> bool:
    """Whether some end of `text` is the beginning of a stop string."""
    return any(s.startswith(text[i:]) for s in stop for i in range(len(text)))


letters = st.text("abc", max_size=14)
stops = st.lists(st.text("abc", min_size=1, max_size=5), max_size=4).map(tuple)


@given(letters, stops, st.lists(st.integers(0, 14)))
def test_any_split_is_as_the_whole(text, stop, cuts):
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    watcher, out = StopWatcher(stop), ""
    expected, matched = whole(text, stop)
    for begin, end in pairwise(edges):
        out += watcher.feed(text[begin:end])
        assert expected.startswith(out)  # never a character too many
        if watcher.matched is None and not could_begin(text[:end], stop):
            assert out == text[:end]  # nothing is held back for nothing
    assert out + watcher.finish() == expected
    assert watcher.matched == matched


@given(letters, stops)
def test_what_is_held_is_undecided(text, stop):
    watcher = StopWatcher(stop)
    held = text[len(watcher.feed(text)) :]
    if held and watcher.matched is None:
        assert whole(text, stop)[1] or any(s.startswith(held) for s in stop)


def test_without_stops_everything_passes():
    watcher = StopWatcher(())
    assert watcher.feed("some ") + watcher.feed("text") + watcher.finish() == "some text"
    assert watcher.matched is None


def test_a_stop_in_three_pieces():
    watcher = StopWatcher(("</answer>",))
    assert watcher.feed("42</a") == "42"
    assert watcher.feed("nsw") == ""
    assert watcher.feed("er> and more") == ""
    assert watcher.matched == "</answer>"
    assert watcher.feed("still more") == "" and watcher.finish() == ""


def test_a_false_beginning_is_given_out():
    watcher = StopWatcher(("</answer>",))
    assert watcher.feed("1 <") == "1 "
    assert watcher.feed("/b") == "</b"
    assert watcher.feed("</ans") == "" and watcher.finish() == "</ans"
    assert watcher.matched is None


def test_the_stop_that_begins_first_wins_though_it_ends_later():
    watcher = StopWatcher(("abcd", "bc"))
    assert watcher.feed("xabc") == "x" and watcher.matched is None  # a "d" would decide it
    assert watcher.feed("d") == "" and watcher.matched == "abcd"
    watcher = StopWatcher(("abcd", "bc"))
    assert watcher.feed("xabc") + watcher.feed("e") == "xa" and watcher.matched == "bc"
    watcher = StopWatcher(("abcd", "bc"))
    assert watcher.feed("xabc") + watcher.finish() == "xa" and watcher.matched == "bc"


def test_of_two_at_one_place_the_shorter_wins():
    watcher = StopWatcher(("\n\n\n", "\n\n"))
    assert watcher.feed("a\n") == "a" and watcher.matched is None
    assert watcher.feed("\n") == "" and watcher.matched == "\n\n"  # at once


def test_an_empty_stop_is_a_mistake_of_the_caller():
    with pytest.raises(AssertionError):
        StopWatcher(("a", ""))
