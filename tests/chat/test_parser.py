"""Completions read as the reference reads them, and the laws of the stream.
data/parse.json: completions with the message that DeepSeek-V3.2's reference parser gave, or that
it gave an error (MIT licence, Copyright (c) 2025 DeepSeek)."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.mutations import PIECES, completion, mutate
from speciale.chat import (
    BOS,
    CALLS_CLOSE,
    CALLS_OPEN,
    EOS,
    INVOKE_CLOSE,
    INVOKE_OPEN,
    PARAMETER_CLOSE,
    PARAMETER_OPEN,
    ArgumentDelta,
    CallEnd,
    CallStart,
    ChatFormatError,
    ContentDelta,
    Finish,
    ReasoningDelta,
    Repair,
    StreamParser,
    join,
    parse,
)
from speciale.errors import SpecialeError

CASES = json.loads((Path(__file__).parent / "data" / "parse.json").read_text("utf-8"))
# Where lenient reads something else than strict on purpose: a value that is no JSON.
NOT_THE_SAME = {"nonstring_invalid_json_passthrough"}


def pieces(text, size):
    return [text[at : at + size] for at in range(0, len(text), size)]


def events_of(chunks, thinking_mode, mode):
    parser = StreamParser(thinking_mode, mode)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return [*events, *parser.finish()]


def call(*parameters, name="f"):
    """One invoke; each parameter is (key, "true" or "false", value)."""
    lines = [
        f'{PARAMETER_OPEN} name="{key}" string="{kind}">{value}{PARAMETER_CLOSE}'
        for key, kind, value in parameters
    ]
    return f'{INVOKE_OPEN} name="{name}">\n' + "\n".join(lines) + f"\n{INVOKE_CLOSE}"


def block(*calls):
    return "\n\n" + "\n".join([CALLS_OPEN, *calls, CALLS_CLOSE])


@pytest.mark.parametrize("size", [10**6, 1, 3, 7])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden(case, size):
    text, mode = case["completion"], case["thinking_mode"]
    if "error" in case:
        with pytest.raises(ChatFormatError) as caught:
            events_of(pieces(text, size), mode, "strict")
        assert isinstance(caught.value, SpecialeError) and isinstance(caught.value, ValueError)
        assert 0 <= caught.value.offset <= len(text)
        assert str(caught.value).startswith(f"at character {caught.value.offset}: ")
    else:
        assert join(events_of(pieces(text, size), mode, "strict")) == case["message"]
        assert parse(text, mode) == case["message"]
        if case["name"] not in NOT_THE_SAME:
            assert join(events_of(pieces(text, size), mode, "lenient")) == case["message"]


def test_the_golden_cases_are_all_there():
    assert len(CASES) == 59
    assert sum("error" in case for case in CASES) == 15


@pytest.mark.parametrize(
    "tail",
    ["", '\n<｜DSML｜invoke name="f">\n', ">\n" + call(("a", "true", "x"))[:-1]],
    ids=["block", "header", "call"],
)
def test_the_reference_takes_some_cut_off_calls(tail):
    """An oddity of strict: these ends are no errors. Lenient drops a call that is not closed."""
    text = "r</think>\n\n<｜DSML｜function_calls" + (">" + tail if tail[:1] == "\n" else tail)
    calls = [c["function"]["name"] for c in parse(text, "thinking")["tool_calls"]]
    assert calls == (["f"] if tail else [])
    kept = parse(text, "thinking", "lenient")["tool_calls"]
    assert len(kept) == ("invoke" in tail and "x" in tail)


def test_any_other_thinking_mode_is_chat():
    assert parse(f"a{EOS}", "whatever")["content"] == "a"


def test_a_wrong_mode_and_a_wrong_type_are_errors():
    with pytest.raises(ChatFormatError, match="'loose'"):
        parse("", "chat", "loose")
    with pytest.raises(ChatFormatError, match="bytes"):
        parse(b"abc", "chat")


def test_after_an_error_the_parser_repeats_it():
    parser = StreamParser("chat")
    for _ in range(2):
        with pytest.raises(ChatFormatError, match="at character 1"):
            parser.feed(f"a{BOS}")
    with pytest.raises(ChatFormatError, match="at character 1"):
        parser.finish()


# --- the stream ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_events_of_a_plain_completion(mode):
    text = f"hm</think>a < b{block(call(('k', 'true', 'v'), ('n', 'false', '[1]')))}{EOS}"
    assert events_of([text], "thinking", mode) == [
        ReasoningDelta("hm"),
        ContentDelta("a < b"),
        CallStart(0, "f"),
        ArgumentDelta(0, '{"k": "'),
        ArgumentDelta(0, "v"),
        ArgumentDelta(0, '"'),
        ArgumentDelta(0, ', "n": [1]'),
        ArgumentDelta(0, "}"),
        CallEnd(0),
        Finish("tool_calls", True),
    ]


def test_content_is_given_out_at_once_unless_it_may_be_a_mark():
    parser = StreamParser("chat", "lenient")
    given = ["".join(e.text for e in parser.feed(c)) for c in "ab<c</d\n\n\ne｜g<think\n"]
    # Held back: "<" and "</", at most two newlines, "｜", and what begins as a think mark does.
    expected = ["a", "b", "", "<c", "", "", "</d", "", "", "\n", "\n\ne", "", "｜g"]
    assert given[: len(expected)] == expected
    assert given[len(expected) :] == ["", "", "", "", "", "", "<think"]
    assert parser.finish() == [ContentDelta("\n"), Finish("stop", False)]


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_a_long_string_argument_streams_before_its_closing_tag(mode):
    parser = StreamParser("chat", mode)
    opening = call(("code", "true", ""))
    opening = opening[: opening.index(PARAMETER_CLOSE)]
    parser.feed(f"\n\n{CALLS_OPEN}\n{opening}")
    got = ""
    for n in range(1000):
        got += "".join(e.text for e in parser.feed(f'x = "{n}" < 3 / 2\n'))
    code = json.loads(got + '"}')["code"]
    assert code == "".join(f'x = "{n}" < 3 / 2\n' for n in range(1000)).removesuffix("\n")


def test_an_argument_that_is_no_string_comes_whole():
    text = block(call(("n", "false", "[1, 2, 3, 4]")))
    deltas = [e.text for e in events_of(text, "chat", "lenient") if isinstance(e, ArgumentDelta)]
    assert deltas == ['{"n": [1, 2, 3, 4]', "}"]


def test_the_name_comes_before_the_first_value():
    parser = StreamParser("chat", "lenient")
    events = parser.feed(f'\n\n{CALLS_OPEN}\n{INVOKE_OPEN} name="f">\n{PARAMETER_OPEN} ')
    assert events == [CallStart(0, "f")]


def test_a_call_that_was_begun_and_dropped_is_named():
    text = f"{block(call(('a', 'true', 'x')))}"
    cut = text[: text.index(PARAMETER_CLOSE)]
    events = events_of([cut], "chat", "lenient")
    assert CallStart(0, "f") in events and not any(isinstance(e, CallEnd) for e in events)
    assert [e.dropped for e in events if isinstance(e, Repair)] == [0, None]
    assert events[-1] == Finish("stop", False)


COMPLETIONS = st.lists(
    st.sampled_from([*PIECES, call(("a", "true", "x\ny")), call(), "text"]) | st.text(max_size=5),
    max_size=12,
).map("".join)


@st.composite
def cut_completions(draw):
    """(text, chunks that make it): nearly right completions, cut anywhere."""
    if draw(st.booleans()):
        text = draw(COMPLETIONS)
    else:
        source = random.Random(draw(st.integers(0, 10**9)))
        text = completion(source, source.random() < 0.5)
        text = mutate(source, text) if draw(st.booleans()) else text
    if draw(st.booleans()):
        return text, list(text)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return text, [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)])]


@given(cut_completions(), st.sampled_from(["thinking", "chat"]))
@settings(max_examples=600)
def test_any_split_gives_the_same(case, thinking_mode):
    text, chunks = case
    events = events_of(chunks, thinking_mode, "lenient")
    whole = events_of([text], thinking_mode, "lenient")
    assert join(events) == parse(text, thinking_mode, "lenient")
    assert [e for e in events if isinstance(e, Repair)] == [
        e for e in whole if isinstance(e, Repair)
    ]
    starts = [e for e in events if isinstance(e, CallStart | CallEnd | Finish)]
    assert starts == [e for e in whole if isinstance(e, CallStart | CallEnd | Finish)]
    try:
        strict = parse(text, thinking_mode)
    except ChatFormatError as error:
        with pytest.raises(ChatFormatError) as caught:
            events_of(chunks, thinking_mode, "strict")
        assert caught.value.offset == error.offset
    else:
        assert join(events_of(chunks, thinking_mode, "strict")) == strict


@given(cut_completions(), st.sampled_from(["thinking", "chat"]))
@settings(max_examples=400)
def test_no_mark_appears_in_text(case, thinking_mode):
    for event in events_of(case[1], thinking_mode, "lenient"):
        if isinstance(event, ContentDelta | ReasoningDelta):
            for mark in (BOS, EOS, "<think>", "</think>", "｜DSML｜"):
                assert mark not in event.text
    message = parse(case[0], thinking_mode, "lenient")
    for mark in ("<｜DSML｜", "</｜DSML｜"):
        assert mark not in message["content"] + message["reasoning_content"]
