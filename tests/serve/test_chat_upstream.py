"""ChatUpstream against real servers: what is sent, what is read, and what goes wrong."""

import asyncio
import json

import pytest
from upstream_run import KEY, finishes, message, run
from upstream_servers import (
    DONE,
    GOOD,
    chat_chunk,
    chat_job,
    event,
    serving,
    streams,
    text_chunk,
    text_job,
    usage,
)

from speciale.chat import ContentDelta, ReasoningDelta
from speciale.errors import ConfigError, RequestError
from speciale.serve.backends.chat_upstream import ChatUpstream


def calls(pieces):
    found = [call["function"] for call in message(pieces)["tool_calls"]]
    return [(call["name"], json.loads(call["arguments"])) for call in found]


def test_an_answer_with_its_usage():
    pieces, server = run(GOOD)
    assert message(pieces)["content"] == "Hello world"
    assert finishes(pieces) == [(0, "stop")]
    last = pieces[-1]
    assert (last.prompt_tokens, last.completion_tokens) == (11, 2)
    assert sum(piece.tokens for piece in pieces) == 2
    body = server.bodies[0]
    assert body["model"] == "theirs" and body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}
    assert body["max_tokens"] == 100
    assert server.heads[0].startswith("POST /v1/chat/completions HTTP/1.1")
    assert f"authorization: bearer {KEY}" in server.heads[0].lower()


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_of_either_name_and_its_tokens(field):
    details = {"completion_tokens_details": {"reasoning_tokens": 7}, "prompt_cache_hit_tokens": 64}
    pieces, _ = run(
        streams(
            chat_chunk(**{field: "Let me "}),
            chat_chunk(**{field: "see."}),
            "42",
            chat_chunk(finish="stop"),
            usage(70, 9, **details),
            DONE,
        ),
        chat_job(thinking=True),
    )
    assert message(pieces)["reasoning_content"] == "Let me see."
    assert message(pieces)["content"] == "42"
    assert [piece.reasoning_tokens for piece in pieces] == [1, 1, 0, 0]
    assert pieces[-1].total_reasoning_tokens == 7 and pieces[-1].cached_tokens == 64


def test_cached_tokens_in_openais_form():
    pieces, _ = run(
        streams("x", chat_chunk(finish="stop"),
                usage(70, 9, prompt_tokens_details={"cached_tokens": 48}), DONE)
    )  # fmt: skip
    assert pieces[-1].cached_tokens == 48


def test_counts_so_far_are_turned_into_counts_of_pieces():
    def chunk(text, so_far, finish=None):
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
        return event({"choices": [choice], "usage": {"completion_tokens": so_far}})

    script = streams(chunk("three words ", 3), chunk("and two", 5, "length"), usage(4, 5), DONE)
    pieces, server = run(script, flavour="vllm")
    assert [piece.tokens for piece in pieces] == [3, 2]
    assert server.bodies[0]["stream_options"]["continuous_usage_stats"] is True


def test_calls_of_the_upstreams_parser():
    pieces, _ = run(
        streams(
            chat_chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "f"}}]),
            chat_chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"x"'}}]),
            chat_chunk(tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}]),
            chat_chunk(tool_calls=[{"index": 1, "function": {"name": "g", "arguments": ""}}]),
            chat_chunk(finish="tool_calls"),
            DONE,
        )
    )
    assert calls(pieces) == [("f", {"x": 1}), ("g", {})]
    assert finishes(pieces) == [(0, "tool_calls")]


def test_a_call_cut_off_by_the_length_is_none():
    pieces, _ = run(
        streams(
            chat_chunk(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": '{"x'}}]),
            chat_chunk(finish="length"),
            DONE,
        )
    )
    assert calls(pieces) == [] and finishes(pieces) == [(0, "length")]


def test_choices_end_each_once_and_the_last_one_has_the_usage():
    pieces, _ = run(
        streams(
            chat_chunk("a", index=1), chat_chunk("b", index=0), chat_chunk(finish="stop", index=0),
            chat_chunk("late", index=0), chat_chunk("c", finish="length", index=1), usage(3, 3),
            DONE,
        ),
        chat_job(n=2),
    )  # fmt: skip
    assert finishes(pieces) == [(0, "stop"), (1, "length")]
    assert message(pieces, 0)["content"] == "b" and message(pieces, 1)["content"] == "ac"
    assert [piece.prompt_tokens for piece in pieces if piece.finish] == [None, 3]


def test_logprobs():
    entry = {"token": "Hi", "logprob": -0.5, "top_logprobs": [{"token": "Ho", "logprob": -1.5}]}
    choice = {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": [entry]}}
    pieces, _ = run(streams(event({"choices": [choice]}), chat_chunk(finish="stop"), DONE))
    [given] = pieces[0].logprobs
    assert (given.token, given.logprob, given.top) == ("Hi", -0.5, [("Ho", -1.5)])


# ---- upstreams whose parser is off --------------------------------------------------------------

BLOCK = (
    '\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="weather">\n'
    '<｜DSML｜parameter name="city" string="true">Bern</｜DSML｜parameter>\n'
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>"
)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("field", ["content", "reasoning_content"])
def test_raw_calls_are_read_in_chunks_of_any_size(size, field):
    text = "I look it up." + BLOCK
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    script = streams(*(chat_chunk(**{field: p}) for p in parts), chat_chunk(finish="stop"), DONE)
    pieces, _ = run(script, chat_job(tools=TOOLS, thinking=field != "content"))
    assert message(pieces)[field] == "I look it up."
    assert calls(pieces) == [("weather", {"city": "Bern"})]
    assert finishes(pieces) == [(0, "tool_calls")]


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("thinking", [False, True])
def test_marked_reasoning_in_content(size, thinking):
    text = "<think>Two and two.</think>Four."
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    script = streams(*parts, chat_chunk(finish="stop"), DONE)
    pieces, _ = run(script, chat_job(thinking=thinking))
    assert message(pieces)["reasoning_content"] == "Two and two."
    assert message(pieces)["content"] == "Four."


def test_reasoning_without_an_opening_mark_and_what_is_learnt_from_it():
    parts = ["Two ", "and two.</th", "ink>Four", "."]

    async def main():
        async with serving(streams(*parts, chat_chunk(finish="stop"), DONE)) as [server]:
            upstream = ChatUpstream(server.url, model="m", flavour="vllm")
            answers = []
            for _ in range(2):
                job = chat_job(thinking=True)
                answers.append([piece async for piece in upstream.run(job)])
            await upstream.close()
            return answers

    for pieces in (answers := asyncio.run(main())):
        assert message(pieces)["reasoning_content"] == "Two and two."
        assert message(pieces)["content"] == "Four."
        assert sum(piece.tokens for piece in pieces) == 4
    # The second time it is known to be reasoning and goes out as it comes.
    first, second = answers
    assert first[0].events == [ReasoningDelta("Two and two."), ContentDelta("Four")]
    assert second[0].events == [ReasoningDelta("Two ")]


def test_a_model_that_does_not_think_keeps_its_words_as_content():
    async def main():
        async with serving(streams("Four", ".", chat_chunk(finish="stop"), DONE)) as [server]:
            upstream = ChatUpstream(server.url, model="m")
            job = chat_job(thinking=True)
            answers = [[piece async for piece in upstream.run(job)] for _ in range(2)]
            await upstream.close()
            return answers

    for pieces in (answers := asyncio.run(main())):
        assert message(pieces)["content"] == "Four." and not message(pieces)["reasoning_content"]
    assert answers[1][0].events == [ContentDelta("Four")], "known by now, so nothing is held"


@pytest.mark.parametrize(
    "text",
    [
        "Use `<think>` and `</think>` tags.",
        "a < b, <｜ and <｜DS are no marks",
        'plain <function_calls> <invoke name="x">',
        "ends with <｜DSML",
        "\n\nlines\n\n\n",
        "<",
    ],
)
def test_text_without_marks_is_unchanged(text):
    for size in (1, 3, 1000):
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        script = streams(*parts, chat_chunk(finish="stop"), DONE)
        pieces, _ = run(script, chat_job(tools=TOOLS))
        assert message(pieces)["content"] == text


def test_text_without_marks_is_not_held_back():
    parts = ["One <b>", "two\n", "three"]
    pieces, _ = run(streams(*parts, chat_chunk(finish="stop"), DONE))
    assert [piece.events for piece in pieces[:3]] == [[ContentDelta(part)] for part in parts]


def test_white_space_without_end_is_not_held_for_ever():
    script = streams(*[" "] * 100, chat_chunk(finish="stop"), DONE)
    pieces, _ = run(script)
    assert len(pieces) > 30 and message(pieces)["content"] == " " * 100


# ---- what is sent -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flavour", "sent"),
    [
        ("vllm", {"chat_template_kwargs": {"thinking": True}}),
        ("sglang", {"chat_template_kwargs": {"thinking": True}}),
        ("deepseek", {"thinking": {"type": "enabled"}}),
        ("openai", {}),
    ],
)
def test_the_thinking_switch_of_each_flavour(flavour, sent):
    _, server = run(GOOD, chat_job(thinking=True), flavour=flavour)
    body = server.bodies[0]
    assert {k: body[k] for k in ("chat_template_kwargs", "thinking") if k in body} == sent


def test_a_request_is_forwarded_without_its_user():
    job = chat_job(tools=TOOLS, tool_choice="required", temperature=0.5, seed=7, stop=["x"],
                   user="someone", response_format={"type": "json_object"})  # fmt: skip
    body = run(GOOD, job)[1].bodies[0]
    assert "user" not in body
    for name in ("tools", "tool_choice", "temperature", "seed", "stop", "response_format"):
        assert body[name] == job.body[name]


PREFIXED = [
    {"role": "user", "content": "Count"},
    {"role": "assistant", "content": "One, ", "prefix": True},
]


def test_a_text_to_continue():
    body = run(GOOD, chat_job(messages=PREFIXED), flavour="vllm")[1].bodies[0]
    assert body["continue_final_message"] is True and body["add_generation_prompt"] is False
    assert "prefix" not in body["messages"][-1]
    body = run(GOOD, chat_job(messages=PREFIXED), flavour="deepseek")[1].bodies[0]
    assert body["messages"][-1]["prefix"] is True
    with pytest.raises(RequestError, match="cannot continue"):
        run(GOOD, chat_job(messages=PREFIXED), flavour="openai")


def test_azures_address_and_key():
    _, server = run(GOOD, flavour="azure")
    head = server.heads[0]
    path = "/openai/deployments/theirs/chat/completions?api-version=2024-10-21"
    assert head.startswith(f"POST {path} HTTP")
    assert f"api-key: {KEY}" in head.lower() and "authorization" not in head.lower()


def test_a_completion_with_a_suffix():
    script = streams(text_chunk("b", finish="stop"), usage(2, 1), DONE)
    job = text_job("a<hole>c", suffix="c")
    pieces, server = run(script, job)
    assert message(pieces)["content"] == "b" and pieces[-1].prompt_tokens == 2
    assert server.bodies[0]["suffix"] == "c"
    body = run(script, job, flavour="vllm")[1].bodies[0]
    assert body["prompt"] == "a<hole>c" and "suffix" not in body


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://x", "http://u:p@host"])
def test_impossible_addresses(url):
    with pytest.raises(ConfigError):
        ChatUpstream(url, model="m")
