"""ChatReader by laws: chunking changes nothing, and what is raw reads as our parser reads it."""

import json

from hypothesis import given
from hypothesis import strategies as st
from upstream_servers import chat_job

from speciale.chat import join, parse
from speciale.serve.backends.chat_reader import ChatReader, Habits
from speciale.serve.backends.chunks import ChatChunk

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
CUTS = st.lists(st.integers(1, 9), min_size=1, max_size=20)
PROSE = st.lists(
    st.sampled_from(
        ["<", "\n", "\n\n", "a", " b", "｜", "</", "<｜", "<｜DSML", "think>", "{", "é"]
    ),
    max_size=12,
).map("".join)


def read(text, cuts, field="content", habits=None, **job):
    """The message of `text`, sent in pieces of the sizes in `cuts`, over and over."""
    reader = ChatReader(chat_job(**job), habits or Habits(), "test")
    pieces = []
    place = n = 0
    while place < len(text):
        size = cuts[n % len(cuts)]
        delta = {field: text[place : place + size]}
        chunk = {"choices": [{"index": 0, "delta": delta}]}
        pieces += reader.read(ChatChunk.model_validate_json(json.dumps(chunk)))
        place, n = place + size, n + 1
    pieces += reader.read(ChatChunk(choices=[{"index": 0, "finish_reason": "stop"}]))
    pieces += reader.end()
    assert sum(piece.tokens for piece in pieces) == n
    assert [piece.finish for piece in pieces if piece.finish] in (["stop"], ["tool_calls"])
    return join(event for piece in pieces for event in piece.events)


def unmarked(text):
    return not any(mark in text for mark in ("<｜DSML｜", "<think>", "</think>"))


@given(PROSE.filter(unmarked), CUTS, st.booleans(), st.sampled_from([None, TOOLS]))
def test_prose_is_unchanged(text, cuts, thinking, tools):
    assert read(text, cuts, thinking=thinking, tools=tools)["content"] == text
    reasoning = read(text, cuts, "reasoning_content", thinking=True, tools=tools)
    assert reasoning["reasoning_content"] == text


VALUE = st.text(st.characters(codec="utf-8", exclude_characters="<｜"), max_size=12)


@st.composite
def completions(draw):
    reasoning, content = draw(VALUE), draw(VALUE)
    calls = "".join(
        f'<｜DSML｜invoke name="f">\n<｜DSML｜parameter name="x" string="true">{draw(VALUE)}'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
        for _ in range(draw(st.integers(0, 2)))
    )
    block = f"\n\n<｜DSML｜function_calls>\n{calls}</｜DSML｜function_calls>" if calls else ""
    return f"{reasoning}</think>{content}{block}"


@given(completions(), CUTS, st.sampled_from([None, True]))
def test_a_raw_completion_reads_as_our_parser_reads_it(text, cuts, bare):
    """An engine without any parser, after `<think>` in the prompt."""
    expected = parse(text, "thinking", "lenient")
    assert read(text, cuts, habits=Habits(bare), thinking=True, tools=TOOLS) == expected


@given(completions(), CUTS)
def test_raw_calls_behind_a_working_reasoning_parser(text, cuts):
    content = text.split("</think>", 1)[1]
    expected = parse(content, "chat", "lenient")
    assert read(content, cuts, habits=Habits(False), thinking=True, tools=TOOLS) == expected
