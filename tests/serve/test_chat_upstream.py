"""ChatUpstream against real servers: what is sent, what is read, and what goes wrong."""

import asyncio
import json
import logging

import pytest
from upstream_servers import (
    DONE,
    GOOD,
    HEAD,
    chat_chunk,
    chat_job,
    event,
    says,
    serving,
    silent,
    stalls,
    streams,
    text_chunk,
    text_job,
    usage,
)

from speciale.chat import ContentDelta, ReasoningDelta, join
from speciale.errors import ConfigError, RequestError
from speciale.serve.backends.chat_upstream import ChatUpstream
from speciale.serve.backends.connection import BusyError, Timeouts
from speciale.serve.backends.seam import BackendError

KEY = "sk-the-operators-key"
IMPATIENT = Timeouts(first=0.3, health=0.3)  # for what never comes


async def _run(script, job=None, **options):
    """All pieces of one request to a server of this script, and the server."""
    async with serving(script) as [server]:
        upstream = ChatUpstream(server.url, KEY, model="theirs", **options)
        try:
            return [piece async for piece in upstream.run(job or chat_job())], server
        finally:
            await upstream.close()


def run(script, job=None, **options):
    return asyncio.run(_run(script, job, **options))


def message(pieces, choice=0):
    return join(event for piece in pieces if piece.choice == choice for event in piece.events)


def calls(pieces):
    found = [call["function"] for call in message(pieces)["tool_calls"]]
    return [(call["name"], json.loads(call["arguments"])) for call in found]


def finishes(pieces):
    return [(piece.choice, piece.finish) for piece in pieces if piece.finish]


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
    _, server = run(GOOD, flavour="azure", api_version="2025-01-01")
    head = server.heads[0]
    path = "/openai/deployments/theirs/chat/completions?api-version=2025-01-01"
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


NOT_A_NUMBER = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "x"}, '
    b'"logprobs": {"content": [{"token": "x", "logprob": NaN}]}}]}\n\n'
)

# ---- what goes wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "status", "retriable"),
    [
        (says(400, {"error": {"message": f"top_p is 3 ({KEY})"}}), 400, False),
        (says(422, {"detail": [{"msg": "bad"}]}), 400, False),
        (streams(event({"error": {"message": "too long", "code": 400}})), 400, False),
        (says(401, {"error": {"message": f"bad key {KEY}"}}), 503, True),
        (says(403, {}), 503, True),
        (says(404, {"error": "no such model"}), 503, True),
        (says(500, b"<html>"), 503, True),
        (says(200, {"choices": []}), 503, True),
        (streams(), 503, True),
        (streams(chat_chunk(role="assistant")), 503, True),
        (streams(event({"error": {"message": "out of memory", "code": 500}})), 503, True),
        (streams(b"data: {nonsense\n\n"), 503, True),
        (streams(b'data: {"choices": 3}\n\n'), 503, True),
        (streams(b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n'), 503, True),
        (streams(b'data: {"choices": [' + b"[" * 5000 + b"\n\n"), 503, True),
        (streams(b"data: \xff\xfe\n\n"), 503, True),
        (streams(chat_chunk("x", index=5), "a", chat_chunk(finish="stop"), DONE), 503, True),
        (streams(NOT_A_NUMBER, chat_chunk(finish="stop"), DONE), 503, True),
        (streams(b"data: " + b"x" * (5 * 2**20)), 503, True),
        (streams(b"data: x\n" * 2**20), 503, True),
    ],
)
def test_failures_before_the_first_piece(script, status, retriable, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(BackendError) as caught:
        run(script)
    assert (caught.value.status, caught.value.retriable) == (status, retriable)
    assert KEY not in str(caught.value) and KEY not in caplog.text
    if status == 503:
        assert caplog.records, "the operator hears of it"
        assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("script", [silent, stalls(), stalls(chat_chunk(role="assistant"))])
def test_no_first_piece_in_time(script, caplog):
    with pytest.raises(BackendError) as caught:
        run(script, timeouts=IMPATIENT)
    assert caught.value.retriable and "0.3 seconds" in caplog.text


def test_a_refusal_has_the_upstreams_words_and_a_bad_key_is_the_operators_matter(caplog):
    with pytest.raises(BackendError, match=r"top_p is 3 \(\[key\]\)"):
        run(says(400, {"error": {"message": f"top_p is 3 ({KEY})"}}))
    with pytest.raises(BackendError, match="cannot be reached"):
        run(says(401, {"error": {"message": "Incorrect API key"}}))
    assert "check its api_key" in caplog.text


@pytest.mark.parametrize("status", [302, 307])
def test_redirects_are_not_followed(status):
    async def main():
        where = []

        async def moves(upstream, body, write):
            await says(status, {}, [f"location: {where[0]}"])(upstream, body, write)

        async with serving(moves, GOOD) as [server, other]:
            where.append(f"{other.url}/v1/chat/completions")
            upstream = ChatUpstream(server.url, KEY, model="m")
            with pytest.raises(BackendError):
                [piece async for piece in upstream.run(chat_job())]
            await upstream.close()
            assert len(server.bodies) == 1 and not other.tasks

    asyncio.run(main())


def test_too_many_requests():
    with pytest.raises(BusyError) as caught:
        run(says(429, {}, ["retry-after: 7"]))
    assert (caught.value.status, caught.value.rest_s) == (429, 7)
    with pytest.raises(BusyError) as caught:
        run(says(429, {}, ["retry-after: nan"]))
    assert caught.value.rest_s == 1


def test_nobody_listens():
    async def main():
        upstream = ChatUpstream("http://127.0.0.1:1", model="m")
        try:
            with pytest.raises(BackendError) as caught:
                [piece async for piece in upstream.run(chat_job())]
            assert caught.value.retriable
            assert "cannot be reached" in await upstream.ready()
        finally:
            await upstream.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "script",
    [
        streams("Half"),
        stalls("Half"),
        streams("Half", b"data: {nonsense\n\n"),
        streams("Half", event({"error": {"message": "preempted", "code": 500}})),
        streams("Half", b"data: \xff\n\n"),
        streams("Half", chat_chunk("y", index=9)),
        streams("Half", chat_chunk(finish="abort"), DONE),
    ],
)
def test_a_failure_after_the_first_piece_ends_the_answer(script):
    pieces, _ = run(script, timeouts=Timeouts(stall=0.3))
    assert message(pieces)["content"] == "Half"
    assert finishes(pieces) == [(0, "insufficient_system_resource")]


def test_only_open_choices_are_cut():
    script = streams(chat_chunk("a", finish="stop", index=1), chat_chunk("b", index=0))
    pieces, _ = run(script, chat_job(n=2))
    assert finishes(pieces) == [(1, "stop"), (0, "insufficient_system_resource")]


def test_keep_alive_comments_are_signs_of_life():
    async def script(upstream, body, write):
        await write(HEAD)
        for _ in range(17):
            await write(b": keep-alive\n\n")
            await asyncio.sleep(0.1)
        await streams("Hi", chat_chunk(finish="stop"), DONE)(upstream, body, _tail(write))

    pieces, _ = run(script, timeouts=Timeouts(first=1.5))
    assert message(pieces)["content"] == "Hi"


def _tail(write):
    async def only_events(data):
        if data != HEAD:
            await write(data)

    return only_events


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_events_in_bytes_of_any_cut(newline):
    data = b": x\n\nevent: m\nid: 1\ndata:" + chat_chunk("é｜")[5:] + chat_chunk(finish="stop")
    data = data.replace(b"\n", newline)

    async def script(upstream, body, write):
        await write(HEAD)
        for i in range(0, len(data), 3):
            await write(data[i : i + 3])
            await asyncio.sleep(0)

    pieces, _ = run(script)
    assert message(pieces)["content"] == "é｜" and finishes(pieces) == [(0, "stop")]


@pytest.mark.parametrize("parts", [["One"], []])
def test_the_upstream_sees_at_once_that_a_client_left(parts):
    async def main():
        async with serving(stalls(*parts)) as [server]:
            upstream = ChatUpstream(server.url, model="m")
            pieces = upstream.run(chat_job())
            if parts:
                await anext(pieces)
                await pieces.aclose()
            else:
                waiting = asyncio.create_task(anext(pieces))
                while not server.bodies:
                    await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
            async with asyncio.timeout(5):
                await server.gone.wait()
                while server.tasks:
                    await asyncio.sleep(0.01)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            await upstream.close()

    asyncio.run(main())


def test_health():
    async def main():
        async with serving(GOOD) as [server]:
            upstream = ChatUpstream(server.url, model="m", flavour="vllm", timeouts=IMPATIENT)
            assert await upstream.ready() is None
            server.health = 503
            assert "503" in await upstream.ready()
            server.health_delay_s = 30
            assert "within 0.3 seconds" in await upstream.ready()
            await upstream.close()

    asyncio.run(main())
