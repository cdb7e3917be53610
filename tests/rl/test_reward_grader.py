"""Graders over real HTTP: a server with a script, its faults, its limits; and one without any."""

import asyncio
import json
import time

import pytest

from http_server import http_server
from speciale.agents import http
from speciale.agents.sampler import SamplerError
from speciale.agents.trajectory import Trajectory
from speciale.errors import ConfigError, DataError
from speciale.rl.rewards import RewardError, Rewards, RewardSettings, build
from speciale.rl.rewards.grader import ScriptedGrader, ServerGrader
from speciale.rl.rewards.rubric import Rubric
from speciale.tasks.task import Task

ASK = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Grade."}]


class Model:
    """An OpenAI-compatible server (ASGI). `says`: messages -> text; faults come before answers:
    a status, bytes of a body, or an object as the whole answer."""

    def __init__(self, says=lambda messages: "fine", faults=(), seconds=0.0):
        self.says, self.faults, self.seconds = says, list(faults), seconds
        self.requests, self.open, self.most_open = [], 0, 0

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.requests.append((scope["path"], headers, json.loads(body)))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await asyncio.sleep(self.seconds)
            status, data = self.answer(json.loads(body))
        finally:
            self.open -= 1
        head = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": data})

    def answer(self, body):
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return fault, b'{"error": "no"}'
        if isinstance(fault, bytes):
            return 200, fault
        said = fault if fault is not None else chat(self.says(body["messages"]))
        return 200, json.dumps(said).encode()


def chat(text, finish="stop"):
    message = {"role": "assistant", "content": text, "reasoning_content": "I thought a lot."}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def asked(model, count=1, **settings):
    """What a grader of this server answers; as many questions at once as `count`."""

    async def work(url):
        grader = ServerGrader(f"{url}/v1", "judge", **settings)
        try:
            return await asyncio.gather(*(grader.complete(ASK) for _ in range(count)))
        finally:
            await grader.close()

    with http_server(model) as url:
        return asyncio.run(work(url))


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch):
    monkeypatch.setattr(http, "_WAIT_S", 0.01)


def test_a_question_its_key_and_its_settings(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "sk-secret\n")
    model = Model(lambda messages: messages[-1]["content"].upper())
    settings = {"key_env": "JUDGE_KEY", "temperature": 0.5, "max_tokens": 7}
    assert asked(model, **settings) == ["GRADE."]
    ((path, headers, body),) = model.requests
    assert path == "/v1/chat/completions" and headers["authorization"] == "Bearer sk-secret"
    assert body == {"model": "judge", "messages": ASK, "temperature": 0.5, "max_tokens": 7}


def test_what_is_not_set_is_the_servers_own():
    model = Model()
    asked(model)
    ((_, headers, body),) = model.requests
    assert body.keys() == {"model", "messages"} and "authorization" not in headers


@pytest.mark.parametrize("faults", [[503], [429, 500, 502], [504] * 4])
def test_a_busy_server_is_asked_again(faults):
    model = Model(faults=faults)
    assert asked(model) == ["fine"] and len(model.requests) == len(faults) + 1


FAULTS = {
    "refused": ([401], SamplerError, "refused the request (status 401"),
    "busy for good": ([503] * 9, SamplerError, "did not answer after 5 tries"),
    "no JSON": ([b"<html>"], SamplerError, "no JSON object"),
    "no choices": ([{"choices": []}], DataError, "does not answer as a chat server does"),
    "no chat": ([{"choices": ["x"]}], DataError, "does not answer as a chat server does"),
    "no text": ([chat(["x"])], DataError, "answered no text, but a list"),
    "cut off": ([chat("fi", "length")], DataError, "was cut off: raise max_tokens"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_other_faults_are_said(name):
    faults, kind, words = FAULTS[name]
    with pytest.raises(kind) as caught:
        asked(Model(faults=faults))
    assert words in str(caught.value)


def test_a_server_that_is_not_there_is_said():
    async def work():
        await ServerGrader("http://127.0.0.1:9/v1", "judge").complete(ASK)

    with pytest.raises(SamplerError, match=r"127\.0\.0\.1:9/v1 did not answer after 5 tries"):
        asyncio.run(work())


def test_a_server_that_stalls_is_given_up(monkeypatch):
    monkeypatch.setattr(http, "_TRIES", 2)
    begun = time.monotonic()
    with pytest.raises(SamplerError, match="ReadTimeout"):
        asked(Model(seconds=0.8), timeout_s=0.1)
    assert time.monotonic() - begun < 6


def test_no_more_requests_at_a_time_than_allowed():
    model = Model(seconds=0.02)
    assert asked(model, count=12, concurrency=3) == ["fine"] * 12
    assert model.most_open == 3


def test_thinking_in_the_text_is_left_out():
    texts = {
        "I think.</think>\n\nfine": "fine",
        "<think>a</think>b</think>c": "b</think>c",  # the first: the rest may be quoted
        " fine\n": "fine",
        None: "",
    }
    said = iter(texts)
    assert asked(Model(lambda messages: next(said)), count=4, concurrency=1) == list(texts.values())


def test_addresses_and_keys_that_cannot_be_are_refused(monkeypatch):
    for url in ("localhost:8000/v1", "ftp://x/v1", "http:///v1"):
        with pytest.raises(ConfigError, match="the grader's address is"):
            ServerGrader(url, "judge")
    for url in ("http://me:hunter2@x/v1", "http://x/v1?key=hunter2"):
        with pytest.raises(ConfigError, match="credentials or a query") as caught:
            ServerGrader(url, "judge")
        assert "hunter2" not in str(caught.value)
    monkeypatch.delenv("NO_KEY", raising=False)
    with pytest.raises(ConfigError, match="NO_KEY is not set"):
        ServerGrader("http://x/v1", "judge", key_env="NO_KEY")
    monkeypatch.setenv("ODD_KEY", "hunter2\nx")
    with pytest.raises(ConfigError, match="ODD_KEY holds no key") as caught:
        ServerGrader("http://x/v1", "judge", key_env="ODD_KEY")
    assert "hunter2" not in str(caught.value)


def test_a_scripted_grader_hears_all_messages_and_may_take_its_time():
    async def later(text):
        await asyncio.sleep(0)
        return text[::-1]

    assert asyncio.run(ScriptedGrader(later).complete(ASK)) == ".edarG\n\n.trohs eB"
    assert asyncio.run(ScriptedGrader(str.upper).complete(ASK)) == "BE SHORT.\n\nGRADE."


# ---- through a whole reward ----------------------------------------------------------------------


async def _unverified(attempt):
    raise AssertionError("rewards do not verify")


TASK = Task("1", "s", [{"role": "user", "content": "?"}], _unverified, metadata={"rubric": "good"})
DONE = Trajectory(messages=[{"role": "assistant", "content": "Vienna"}], stop="answer", score=1.0)
MARKS = json.dumps({"criteria": [{"criterion": 1, "reason": "It is.", "met": 0.5}]})


def judged(model, **rubric):
    async def work(url):
        table = {"outcome": 1.0, "rubric": {"url": f"{url}/v1", "model": "judge", **rubric}}
        async with build(RewardSettings.model_validate(table)) as rewards:
            return await rewards.judge(TASK, DONE)

    with http_server(model) as url:
        return asyncio.run(work(url))


def test_a_recipes_rubric_over_a_server():
    model = Model(lambda messages: MARKS)
    reward = judged(model, weight=2.0)
    assert reward.total == 2.0 and reward.parts == {"outcome": 1.0, "rubric": 0.5}
    ((_, _, body),) = model.requests
    assert [message["role"] for message in body["messages"]] == ["system", "user"]


def test_a_repair_is_a_conversation():
    model = Model(lambda messages: MARKS if len(messages) == 4 else "Half.")
    assert judged(model).parts["rubric"] == 0.5
    roles = [message["role"] for message in model.requests[1][2]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize("faults", [[401], [503] * 9, [{"choices": []}], [chat("x", "length")]])
def test_a_server_that_fails_costs_the_sample(faults):
    with pytest.raises(RewardError, match="'rubric'"):
        judged(Model(lambda messages: MARKS, faults))


def test_a_server_that_takes_for_ever_costs_the_sample_in_time():
    async def work(url):
        grader = ServerGrader(f"{url}/v1", "judge")
        async with Rewards([(1.0, Rubric(grader))], timeout_s=0.2) as rewards:
            await rewards.judge(TASK, DONE)

    begun = time.monotonic()
    with (
        http_server(Model(seconds=0.8)) as url,
        pytest.raises(RewardError, match=r"longer than 0\.2"),
    ):
        asyncio.run(work(url))
    assert time.monotonic() - begun < 6
