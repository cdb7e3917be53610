"""The forms of a model behind the loop: the engine itself, servers that take ids, chat servers.

vLLM and SGLang cannot run here: a real HTTP server answers in their forms (their documentation's
fields), each with the ids of a scripted policy. The chat server is speciale's own service.
"""

import asyncio
import json

import pytest
from acting import Desk, call, says
from fastapi import FastAPI, Request, Response

from http_server import http_server
from model.configs import random_model, tiny_config
from serve.running import Scripted, running
from serve.small_model import TOKENIZER as SMALL
from speciale.agents import http
from speciale.agents.chat_server import ChatServer
from speciale.agents.embedded import EmbeddedSampler
from speciale.agents.loop import Budget, Plan, run_agent
from speciale.agents.scripted import ScriptedSampler, byte_tokenizer, completion_ids, replay
from speciale.agents.server import ServerSampler
from speciale.engine.core import Core, EngineOptions
from speciale.engine.engine import Engine
from speciale.engine.params import SamplingParams
from speciale.errors import CheckpointError

TOKENIZER = byte_tokenizer()
QUESTION = [{"role": "user", "content": "What is 2 + 3?"}]
SCRIPT = [says("", "add them", [call("add", a=2, b=3)]), says("5", "so")]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(http, "_WAIT_S", 0.001)


def engine_server(answers, seen):
    """Answers as vLLM's /v1/completions and SGLang's /generate do; each of `answers` is a message,
    or a function that gives a response instead."""
    app = FastAPI()
    left = iter(answers)

    def next_ids(prompt):
        said = next(left)
        if callable(said):
            return said, None
        ids = completion_ids(TOKENIZER, said, prompt[-1] == TOKENIZER.token_to_id("<think>"))
        return None, ids

    @app.post("/v1/completions")
    async def completions(request: Request):
        body = await request.json()
        seen.append((dict(request.headers), body))
        other, ids = next_ids(body["prompt"])
        if other is not None:
            return other()
        choice = {
            "text": TOKENIZER.decode(ids, skip_special_tokens=False),
            "finish_reason": "stop",
            "logprobs": {
                "tokens": [f"token_id:{token}" for token in ids],
                "token_logprobs": [-0.5] * len(ids),
            },
        }
        if body.get("return_token_ids") and request.headers.get("authorization") != "Bearer old":
            choice["token_ids"] = ids
        usage = {"prompt_tokens_details": {"cached_tokens": 7}}
        return {"choices": [choice], "usage": usage}

    @app.post("/generate")
    async def generate(request: Request):
        body = await request.json()
        seen.append((dict(request.headers), body))
        other, ids = next_ids(body["input_ids"])
        if other is not None:
            return other()
        meta = {
            "finish_reason": {"type": "stop", "matched": 1},
            "output_token_logprobs": [[-0.25, token, None] for token in ids],
            "cached_tokens": 3,
            "weight_version": "v7",
        }
        return {"text": "", "output_ids": ids, "meta_info": meta}

    return app


async def with_server(url, kind="vllm", key=None, plan=None):
    async with ServerSampler(url, tokenizer=TOKENIZER, kind=kind, model="m", api_key=key) as model:
        return await run_agent(model, QUESTION, Desk(), plan)


@pytest.mark.parametrize(
    ("kind", "key", "logprob", "cached"),
    [("vllm", None, -0.5, 7), ("vllm", "old", -0.5, 7), ("sglang", "k", -0.25, 3)],
)
def test_servers_that_take_ids_give_the_run_of_a_scripted_sampler(kind, key, logprob, cached):
    seen = []
    plan = Plan(params=SamplingParams(temperature=0.7, top_k=5, seed=3, stop=("x",)))
    with http_server(engine_server(SCRIPT, seen)) as url:
        done = asyncio.run(with_server(url, kind, key, plan))
    scripted = ScriptedSampler(replay(SCRIPT), TOKENIZER)
    expected = asyncio.run(run_agent(scripted, QUESTION, Desk(), plan))
    assert done.answer == "5" and done.messages == expected.messages
    for number, step in enumerate(done.steps):
        assert done.prompt(number) == expected.prompt(number)
        assert step.ids == expected.steps[number].ids
        assert step.logprobs == [logprob] * len(step.ids)
        assert step.cached_tokens == cached
        headers, body = seen[number]
        assert (body.get("prompt") or body.get("input_ids")) == done.prompt(number)
        assert headers.get("authorization") == (f"Bearer {key}" if key else None)
        settings = body.get("sampling_params", body)
        assert (settings["temperature"], settings["top_k"]) == (0.7, 5)
        assert settings.get("seed", settings.get("sampling_seed")) == 3
        assert settings["stop"] == ["x"] and settings["skip_special_tokens"] is False
    if kind == "sglang":
        assert done.steps[0].versions == ["v7"] * len(done.steps[0].ids)


def status(code, text="busy", headers=None):
    return lambda: Response(text, code, headers=headers)


def test_a_busy_server_is_asked_again():
    seen = []
    answers = [status(503), status(429, headers={"retry-after": "0.01"}), *SCRIPT]
    with http_server(engine_server(answers, seen)) as url:
        done = asyncio.run(with_server(url))
    assert done.stop == "answer" and len(seen) == 4


FAILURES = {
    "always busy": ([status(503)] * 9, "did not answer after 5 tries (status 503: busy)"),
    "refused": ([status(400, "prompt too long")], "refused the request (status 400: prompt too"),
    "no JSON": ([status(200, "<html>")], "answered no JSON object, but '<html>'"),
    "other JSON": ([status(200, '{"choices": []}')], "does not answer as vllm does"),
    "no logprobs": (
        [status(200, json.dumps({"choices": [{"token_ids": [1], "finish_reason": "stop",
                                              "logprobs": {"token_logprobs": []}}]}))],
        "gave 1 ids, but 0 log-probs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_a_server_that_fails_is_in_the_record(name):
    answers, words = FAILURES[name]
    with http_server(engine_server([SCRIPT[0], *answers], [])) as url:
        done = asyncio.run(with_server(url))
    assert done.stop == "error" and words in done.error
    assert len(done.steps) == 1, "what was done before is kept"


def test_a_server_that_is_not_there():
    done = asyncio.run(with_server("http://127.0.0.1:9"))
    assert done.stop == "error" and "check that it runs" in done.error


def test_our_own_service_as_a_chat_server(tmp_path):
    calling = (
        "add them</think>\n\n<｜DSML｜function_calls>\n"
        '<｜DSML｜invoke name="add">\n<｜DSML｜parameter name="a" string="false">2'
        '</｜DSML｜parameter>\n<｜DSML｜parameter name="b" string="false">3'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>"
    )
    backend = Scripted(calling)

    async def main(url, key):
        async with ChatServer(f"{url}/v1", "small", api_key=key, flavour="deepseek") as server:
            heard = []

            def on_event(event):
                heard.append(event)
                if type(event).__name__ == "Called":
                    backend.text = "so</think>5"

            done = await run_agent(server, QUESTION, Desk(), on_event=on_event)
            return done, heard

    with running(tmp_path, backend) as service:
        done, heard = asyncio.run(main(service.url, service.secret))
    assert (done.stop, done.error, done.answer) == ("answer", None, "5")
    assert [step.calls[0].result for step in done.steps if step.calls] == ["5"]
    assert done.messages[1]["reasoning_content"] == "add them"
    sent = backend.jobs[-1].prompt.text
    assert "<think>add them</think>" in sent and "<result>5</result>" in sent
    assert type(heard[0]).__name__ == "ReasoningDelta"


def test_a_chat_server_gets_no_reasoning_of_earlier_turns():
    async def main():
        talk = ChatServer("http://127.0.0.1:9/v1", "m", flavour="vllm")(QUESTION)
        talk.context += [says("5", "old"), {"role": "user", "content": "and?"}, says("6", "new")]
        body = talk._body(SamplingParams())
        assert [m.get("reasoning_content") for m in body["messages"]] == [None, None, None, "new"]
        assert body["chat_template_kwargs"] == {"thinking": True} and "thinking" not in body

    asyncio.run(main())


def test_a_chat_server_may_give_arguments_as_an_object():
    function = {"name": "add", "arguments": {"a": 2, "b": 3}}
    said = [{"content": None, "tool_calls": [{"function": function}]}, {"content": "5"}]
    answers = iter(said)

    async def post(path, body):
        return {"choices": [{"message": next(answers), "finish_reason": "stop"}]}

    async def main():
        server = ChatServer("http://127.0.0.1:9/v1", "m")
        server.server.post = post
        return await run_agent(server, QUESTION, Desk())

    done = asyncio.run(main())
    assert done.answer == "5" and done.steps[0].calls[0].result == "5"


def small_engine(tokenizer=SMALL):
    size = SMALL.get_vocab_size()
    config = tiny_config(vocab_size=size, index_topk=10, max_position_embeddings=4096)
    return Engine(Core(random_model(config), tokenizer, EngineOptions(cache_bytes=4 << 20)))


def test_the_engine_as_a_sampler_gives_the_engines_ids():
    prompt = SMALL.encode("What is two plus two?", add_special_tokens=False).ids
    params = SamplingParams(temperature=1.0, seed=1, max_tokens=20, top_p=0.9, kept_set=True,
                            routing=True, ignore_eos=True)  # fmt: skip

    async def main():
        async with EmbeddedSampler(small_engine()) as sampler:
            streamed = []
            sample = await sampler.sample(prompt, params, (), streamed.extend)
            async for update in sampler.engine.generate(prompt, params):
                done = update.completion
            return sample, streamed, done

    sample, streamed, done = asyncio.run(main())
    assert sample.ids == streamed == done.ids and len(sample.ids) == 20
    assert sample.logprobs == pytest.approx(done.logprobs, abs=1e-4)
    assert sample.finish == "length"
    assert len(sample.extras["kept"]) == 20
    assert len(sample.extras["routing"]) == len(prompt) + 19
    assert sample.versions == done.versions


def test_constrained_calls_fit_their_schema_whatever_the_model_wants():
    """A random model never writes a call by itself; with the mask, what it begins is valid."""

    async def main():
        async with EmbeddedSampler(small_engine(), constrain=True) as sampler:
            plan = Plan(
                params=SamplingParams(temperature=1.0, seed=2, max_tokens=400), thinking=False,
                budget=Budget(turns=2),
            )  # fmt: skip
            return await run_agent(sampler, QUESTION, Desk(), plan)

    done = asyncio.run(main())
    assert done.stop in ("turns", "answer", "length") and done.error is None
    assert all(not call.error or call.name for step in done.steps for call in step.calls)


def test_an_engine_without_a_tokenizer_is_refused():
    engine = small_engine(tokenizer=None)
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        EmbeddedSampler(engine)
    asyncio.run(engine.close())


def test_a_sampler_that_is_cancelled_stops_the_engine():
    async def main():
        async with EmbeddedSampler(small_engine()) as sampler:
            prompt = SMALL.encode("What is", add_special_tokens=False).ids
            params = SamplingParams(max_tokens=4000, ignore_eos=True)
            working = asyncio.create_task(sampler.sample(prompt, params))
            while not sampler.engine.core.requests:
                await asyncio.sleep(0.01)
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            while sampler.engine.core.requests:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 60))
