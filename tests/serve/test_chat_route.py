"""POST /v1/chat/completions: shapes, thinking, tools, prefixes, JSON modes, streams, usage."""

import json
import sqlite3
import time

import httpx
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion
from running import WEATHER, Scripted, running

from speciale.errors import OverloadedError
from speciale.serve.config import Limits

CALLS = """Let me look.

<｜DSML｜function_calls>
<｜DSML｜invoke name="weather">
<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>
</｜DSML｜invoke>
</｜DSML｜function_calls>"""


@pytest.fixture(scope="module")
def script():
    return Scripted()


@pytest.fixture(scope="module")
def service(tmp_path_factory, script):
    with running(tmp_path_factory.mktemp("service"), script, context=4096) as served:
        yield served


@pytest.fixture(autouse=True)
def _fresh(script):
    script.text, script.delay_s, script.cut, script.error = "Hello there, friend.", 0, None, None
    script.jobs.clear()
    script.cancelled = 0


@pytest.fixture
def client(service):
    return OpenAI(base_url=service.url + "/v1", api_key=service.secret, max_retries=0)


def test_a_whole_answer_with_its_usage(service):
    body = service.post().json()
    answer = ChatCompletion.model_validate(body)
    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello there, friend.", "stop")
    prompt = len(service.service.deployments[0].backend.jobs[0].ids)
    assert body["usage"] == {
        "prompt_tokens": prompt,
        "completion_tokens": 3,
        "total_tokens": prompt + 3,
        "prompt_cache_hit_tokens": 1 if prompt == 1 else 2,
        "prompt_cache_miss_tokens": prompt - (1 if prompt == 1 else 2),
        "prompt_tokens_details": {"cached_tokens": 1 if prompt == 1 else 2},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_reasoning_comes_beside_the_content_and_first_in_a_stream(client, script):
    script.text = "Hm, a greeting. </think>Hello!"
    asked = dict(model="small", messages=[{"role": "user", "content": "Hi"}])
    thinking = {"thinking": {"type": "enabled"}}
    answer = client.chat.completions.create(**asked, extra_body=thinking)
    message = answer.choices[0].message
    assert (message.reasoning_content, message.content) == ("Hm, a greeting. ", "Hello!")
    assert answer.usage.completion_tokens_details.reasoning_tokens == 4
    options = {"include_usage": True}
    stream = client.chat.completions.create(
        **asked, extra_body=thinking, stream=True, stream_options=options
    )
    chunks = list(stream)
    kinds = [
        "reasoning" if getattr(c.choices[0].delta, "reasoning_content", None) else "content"
        for c in chunks
        if c.choices and not c.choices[0].finish_reason
    ]
    assert kinds == sorted(kinds, reverse=True) and set(kinds) == {"reasoning", "content"}
    assert chunks[-1].usage.completion_tokens == answer.usage.completion_tokens == 5
    assert chunks[0].choices[0].delta.role == "assistant"


@pytest.mark.parametrize(
    ("given", "thinks"),
    [
        ({}, False),
        ({"model": "small-thinks"}, True),
        ({"model": "small-thinks", "thinking": {"type": "disabled"}}, False),
        ({"thinking": True}, True),
        ({"enable_thinking": True}, True),
        ({"chat_template_kwargs": {"thinking": True}}, True),
    ],
)
def test_the_thinking_switch(service, script, given, thinks):
    assert service.post(**given).status_code == 200
    [job] = script.jobs
    assert job.thinking is thinks and job.prompt.text.endswith("<think>") is thinks


def test_tool_calls_whole_and_streamed(client, script):
    script.text = CALLS
    asked = dict(model="small", messages=[{"role": "user", "content": "Paris?"}], tools=[WEATHER])
    [choice] = client.chat.completions.create(**asked).choices
    [call] = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "weather",
        {"city": "Paris"},
    )
    name, arguments, reason = None, "", None
    for chunk in client.chat.completions.create(**asked, stream=True):
        delta, reason = chunk.choices[0].delta, chunk.choices[0].finish_reason
        for part in delta.tool_calls or ():
            name = part.function.name or name
            arguments += part.function.arguments or ""
    assert (name, json.loads(arguments), reason) == ("weather", {"city": "Paris"}, "tool_calls")


def test_reasoning_has_to_come_back_in_a_tool_loop(service, script):
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    answer = {"role": "assistant", "content": "", "tool_calls": [call]}
    messages = [
        {"role": "user", "content": "Paris?"},
        answer,
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    refused = service.post(model="small-thinks", messages=messages, tools=[WEATHER])
    assert refused.status_code == 400
    assert "reasoning_content" in refused.json()["error"]["message"]
    answer["reasoning_content"] = "I should look."
    assert service.post(model="small-thinks", messages=messages, tools=[WEATHER]).is_success
    assert "I should look." in script.jobs[-1].prompt.text
    answer.pop("reasoning_content")
    assert service.post(messages=messages, tools=[WEATHER]).is_success  # without thinking


def test_a_prefix_is_continued(service, script):
    messages = [
        {"role": "user", "content": "Write Python."},
        {"role": "assistant", "content": "```python\n", "prefix": True},
    ]
    assert service.post(messages=messages).is_success
    assert script.jobs[-1].prompt.text.endswith("```python\n")


def test_length_ends_an_answer_and_several_choices(service):
    body = service.post(max_tokens=2, n=3).json()
    assert [c["index"] for c in body["choices"]] == [0, 1, 2]
    assert {c["finish_reason"] for c in body["choices"]} == {"length"}
    assert {c["message"]["content"] for c in body["choices"]} == {"Hello there, "}
    assert body["usage"]["completion_tokens"] == 6
    assert service.post(max_completion_tokens=1).json()["usage"]["completion_tokens"] == 1


def test_log_probs_are_with_what_they_are_about(client, script):
    script.text = "Hm. </think>Yes."
    asked = dict(model="small-thinks", messages=[{"role": "user", "content": "?"}])
    [choice] = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2).choices
    assert [e.token for e in choice.logprobs.content] == ["Yes."]
    assert [t.token for t in choice.logprobs.content[0].top_logprobs][1:] == ["x"]
    assert [e["token"] for e in choice.logprobs.reasoning_content] == ["Hm. ", "</think>"]
    streamed = [
        entry.token
        for chunk in client.chat.completions.create(**asked, logprobs=True, stream=True)
        if chunk.choices and chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content or ()
    ]
    assert streamed == [e.token for e in choice.logprobs.content]


def test_a_waiting_stream_is_kept_alive(tmp_path):
    slow = Scripted("one two", delay_s=0.5)
    with running(tmp_path, slow, limits=Limits(keep_alive_s=0.1)) as served, httpx.stream(
        "POST", served.url + "/v1/chat/completions", headers=served.headers(),
        json={"model": "small", "stream": True, "messages": [{"role": "user", "content": "x"}]},
    ) as response:  # fmt: skip
        lines = [line for line in response.iter_lines() if line]
    assert lines[0] == ": keep-alive" and lines[-1] == "data: [DONE]"
    assert sum(line == ": keep-alive" for line in lines) >= 4
    assert response.headers["content-type"].startswith("text/event-stream")


def test_a_client_that_leaves_stops_the_work_and_has_its_row(service, script):
    script.text, script.delay_s = "word " * 500, 0.01
    with httpx.stream(
        "POST", service.url + "/v1/chat/completions", headers=service.headers(),
        json={"model": "small", "stream": True, "messages": [{"role": "user", "content": "x"}]},
    ) as response:  # fmt: skip
        lines = response.iter_lines()
        for _ in range(6):
            next(lines)
    row = _last_row(service, 499)
    assert 0 < row["completion_tokens"] < 500 and script.cancelled == 1
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            service.url + "/v1/chat/completions", headers=service.headers(), timeout=0.3,
            json={"model": "small", "messages": [{"role": "user", "content": "x"}]},
        )  # fmt: skip
    _last_row(service, 499, 2)
    assert script.cancelled == 2


def test_an_engine_that_gives_up_midway_is_told(service, script):
    script.cut = 1
    [choice] = service.post().json()["choices"]
    assert choice["finish_reason"] == "insufficient_system_resource"
    assert choice["message"]["content"] == "Hello "


def test_a_fault_before_the_first_token_has_a_status_in_streams_too(service, script):
    script.error = OverloadedError("the queue is full")
    for stream in (False, True):
        refused = service.post(stream=stream)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
    script.error = RuntimeError("a secret detail")
    refused = service.post()
    assert refused.status_code == 500 and "secret" not in refused.text


def test_completions_and_the_middle(service, script, client):
    answer = client.completions.create(model="small", prompt="def f(", suffix="return 1")
    assert answer.choices[0].text == "Hello there, friend."
    text = script.jobs[-1].text
    assert text == "<｜fim▁begin｜>def f(<｜fim▁hole｜>return 1<｜fim▁end｜>"
    echoed = client.completions.create(model="small", prompt="Say: ", echo=True, logprobs=None)
    assert echoed.choices[0].text == "Say: Hello there, friend."
    chunks = list(client.completions.create(model="small", prompt="x", stream=True))
    assert "".join(c.choices[0].text for c in chunks) == "Hello there, friend."
    assert chunks[-1].choices[0].finish_reason == "stop"
    probs = client.completions.create(model="small", prompt="x", logprobs=1).choices[0].logprobs
    assert probs.tokens == ["Hello ", "there, ", "friend."] and probs.text_offset == [0, 6, 13]


def test_the_speciale_variant_always_thinks_and_has_no_tools(tmp_path):
    with running(tmp_path, Scripted("Hm</think>Yes"), variant="speciale") as served:
        assert served.post().json()["choices"][0]["message"]["reasoning_content"] == "Hm"
        for given in ({"thinking": {"type": "disabled"}}, {"tools": [WEATHER]}):
            refused = served.post(**given)
            assert refused.status_code == 400, given
            assert refused.json()["error"]["param"] in given


def _last_row(service, status, count=1):
    """The newest ledger row with this status, waited for."""
    for _ in range(200):
        with sqlite3.connect(service.database.removeprefix("sqlite:///")) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(
                "select * from ledger where status = ? order by at", (status,)
            ).fetchall()
        if len(rows) >= count:
            return dict(rows[-1])
        time.sleep(0.02)
    raise AssertionError(f"{len(rows)} rows of status {status}")
