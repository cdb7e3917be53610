"""The engine behind the service: structured output, several choices, and nothing left behind."""

import asyncio
import json
import random

import httpx
import pytest
from running import WEATHER, running
from small_model import write_model

from speciale.serve.backends.embedded import Embedded


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    backend = Embedded(write_model(tmp_path_factory.mktemp("model"), 2048))
    with running(tmp_path_factory.mktemp("service"), backend, context=2048) as served:
        yield served


def settled(service):
    """The engine's pool, when no request is under way."""
    core = service.service.deployments[0].backend._core
    for _ in range(500):
        if core.idle and service.service.metrics.running._value.get() == 0:
            return core.prefix.pool
        asyncio.run(asyncio.sleep(0.02))
    raise AssertionError("requests are still under way")


def test_json_and_schemas_hold(service):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],
              "additionalProperties": False}  # fmt: skip
    layout = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    [choice] = service.post(response_format=layout, max_tokens=100, seed=1).json()["choices"]
    assert choice["finish_reason"] in ("stop", "length")
    if choice["finish_reason"] == "stop":
        assert set(json.loads(choice["message"]["content"])) == {"ok"}
    text = service.post(response_format={"type": "json_object"}, max_tokens=8).json()
    assert text["choices"][0]["message"]["content"].lstrip().startswith("{")
    layout["json_schema"]["schema"] = {"type": "wrong"}
    assert service.post(response_format=layout).status_code == 422


def test_a_required_call_is_one(service):
    body = service.post(tools=[WEATHER], tool_choice="required", max_tokens=150, seed=2).json()
    [choice] = body["choices"]
    assert not choice["message"]["content"]
    if choice["finish_reason"] == "tool_calls":
        [call, *_] = choice["message"]["tool_calls"]
        assert call["function"]["name"] == "weather"


def test_the_second_time_the_prompt_is_in_the_cache(service):
    messages = [{"role": "user", "content": "the same words again " * 8}]
    first = service.post(messages=messages, max_tokens=2, seed=3).json()
    again = service.post(messages=messages, max_tokens=2, seed=3).json()
    assert again["choices"] == first["choices"]
    usage = again["usage"]
    assert usage["prompt_cache_hit_tokens"] > first["usage"]["prompt_cache_hit_tokens"]
    assert (
        usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"]
        == (usage["prompt_tokens"])
    )


def test_log_probs_and_choices(service):
    body = service.post(n=3, temperature=1, seed=4, max_tokens=5, logprobs=True, top_logprobs=2)
    choices = body.json()["choices"]
    assert len({c["message"]["content"] for c in choices}) > 1
    for choice in choices:
        entries = choice["logprobs"]["content"]
        assert len(entries) == 5
        assert all(e["logprob"] <= 0 and len(e["top_logprobs"]) == 2 for e in entries)


def test_clients_that_vanish_leave_no_page_behind(service):
    chance = random.Random(0)

    async def client(http, number):
        body = {"model": "small", "stream": True, "max_tokens": 40, "seed": number}
        body["messages"] = [{"role": "user", "content": f"{number} " * chance.randrange(1, 30)}]
        leave = chance.randrange(1, 10) if chance.random() < 0.5 else 10**6
        url = service.url + "/v1/chat/completions"
        async with http.stream("POST", url, json=body, headers=service.headers()) as response:
            count = 0
            async for _ in response.aiter_lines():
                count += 1
                if count > leave:
                    return

    async def all_clients():
        async with httpx.AsyncClient(timeout=60) as http:
            await asyncio.gather(*(client(http, number) for number in range(40)))

    asyncio.run(all_clients())
    pool = settled(service)
    assert pool.free + pool.idle == pool.count  # what is not free only the prefix cache keeps
    assert service.post(max_tokens=2).is_success
