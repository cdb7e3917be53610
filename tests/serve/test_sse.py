"""Event streams: cut anywhere, ended any way, and never larger than allowed."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciale.serve.backends.sse import MAX_EVENT_BYTES, BrokenStreamError, read_events


def read(*chunks):
    async def feed():
        for chunk in chunks:
            yield chunk

    async def collect():
        return [text async for text in read_events(feed(), lambda: 60.0)]

    return asyncio.run(collect())


STREAM = (
    ": hello\n\nevent: m\ndata: one\ndata:two \ndata\n\n\ndata: é\n\nid: 7\n\ndata: x\u2028y\n\n"
)
EVENTS = ["one\ntwo ", "é", "x\u2028y"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@given(sizes=st.lists(st.integers(1, 9), min_size=1))
def test_any_cut_gives_the_same_events(newline, sizes):
    data = STREAM.replace("\n", newline).encode()
    chunks, place = [], 0
    while place < len(data):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(data[place : place + size])
        place += size
    assert read(*chunks) == EVENTS


def test_the_last_empty_line_may_be_missing():
    assert read(b"data: x\n") == ["x"]
    assert read(b"data: whole\n\ndata: hal") == ["whole"]


@pytest.mark.parametrize(
    ("chunks", "said"),
    [
        ([b"data: ", *[b"x" * 2**20] * 5], "a line is longer"),
        ([b"data: " + b"x" * (MAX_EVENT_BYTES + 1) + b"\n\n"], "an event is larger"),
        ([b"data: x\n" * 2**20], "an event is larger"),
        ([b"data: \xff\n\n"], "no UTF-8"),
    ],
)
def test_broken_streams(chunks, said):
    with pytest.raises(BrokenStreamError, match=said):
        read(*chunks)


def test_an_event_just_small_enough():
    text = "x" * (MAX_EVENT_BYTES - 100)
    assert read(f"data: {text}\n\n".encode()) == [text]
