"""The clients that people use, each over every feature, against a real server: OpenAI's for Python,
OpenAI's for Node, litellm, OpenAI's for Azure, and Azure AI Content Safety's.
"""

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import openai
import pytest
from azure.ai.contentsafety import ContentSafetyClient
from azure.ai.contentsafety.models import AnalyzeTextOptions
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from running import WEATHER, Scripted, Words, running

from speciale.safety.policy import Blocklist, Policy

CLIENTS = Path(__file__).parent / "clients"
CALL = """<｜DSML｜function_calls>
<｜DSML｜invoke name="weather">
<｜DSML｜parameter name="city" string="true">Paris</｜DSML｜parameter>
</｜DSML｜invoke>
</｜DSML｜function_calls>"""
WORD = "xyzzy"  # listed: filtered wherever it stands


class Model(Scripted):
    """Answers as the last user message asks."""

    async def run(self, job):
        asked = job.text or next(
            m["content"] for m in reversed(job.prompt.messages) if m["role"] == "user"
        )
        answers = {
            "call": CALL,
            "json": '{"a": 1}',
            "long": "word " * 5000,
            "filtered": f"One two three {WORD} four",
        }
        self.delay_s = 0.005 if asked == "long" else 0
        self.text = answers.get(
            asked, "Hm. </think>Yes." if job.thinking else "Hello there, friend."
        )
        async for piece in super().run(job):
            yield piece


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    listed = Blocklist(name="words", phrases=(WORD,))
    policy = Policy(blocklists=(listed,))
    folder = tmp_path_factory.mktemp("service")
    with running(folder, Model(), policy=policy, classifiers=Words()) as served:
        yield served


def test_openai_for_node(service):
    npm = shutil.which("npm")
    assert npm, "there is no npm: apt-get install nodejs npm"
    if not (CLIENTS / "node_modules" / "openai").exists():
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=CLIENTS, check=True, capture_output=True,
        )  # fmt: skip
    done = subprocess.run(
        ["node", "every_feature.mjs", service.url, service.secret],
        cwd=CLIENTS, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and "all features hold" in done.stdout, done.stderr


def test_openai_for_python(service):
    client = openai.OpenAI(base_url=service.url + "/v1", api_key=service.secret, max_retries=0)

    def ask(text, **more):
        messages = [{"role": "user", "content": text}]
        return client.chat.completions.create(model="small", messages=messages, **more)

    assert [m.id for m in client.models.list()] == ["small", "small-thinks"]
    assert ask("plain").choices[0].message.content == "Hello there, friend."
    thought = ask("x", extra_body={"thinking": {"type": "enabled"}}).choices[0].message
    assert (thought.reasoning_content, thought.content) == ("Hm. ", "Yes.")
    called = ask("call", tools=[WEATHER]).choices[0]
    assert called.finish_reason == "tool_calls"
    [call] = called.message.tool_calls
    history = [
        {"role": "user", "content": "call"},
        called.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    assert client.chat.completions.create(model="small", messages=history, tools=[WEATHER])
    with client.chat.completions.stream(
        model="small", messages=[{"role": "user", "content": "call"}], tools=[WEATHER]
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls[0].function.name == "weather"
    assert json.loads(
        ask("json", response_format={"type": "json_object"}).choices[0].message.content
    )
    with pytest.raises(openai.BadRequestError) as refused:
        ask(f"say {WORD}")
    assert refused.value.code == "content_filter"
    with pytest.raises(openai.UnprocessableEntityError):
        ask("x", temperature=3)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-no").models.list()


def test_litellm(service, monkeypatch):
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # its list comes from the network
    import litellm

    litellm.telemetry = False
    common = dict(
        model="deepseek/small", api_base=service.url + "/v1", api_key=service.secret, num_retries=0
    )

    def ask(text, **more):
        messages = [{"role": "user", "content": text}]
        return litellm.completion(messages=messages, **common, **more)

    assert ask("plain").choices[0].message.content == "Hello there, friend."
    thought = ask("x", thinking={"type": "enabled"}).choices[0].message
    assert (thought.reasoning_content, thought.content) == ("Hm. ", "Yes.")
    called = ask("call", tools=[WEATHER]).choices[0]
    assert called.message.tool_calls[0].function.name == "weather"
    chunks = list(ask("plain", stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "Hello there, friend."
    assert litellm.stream_chunk_builder(chunks).usage.completion_tokens == 3
    with pytest.raises(litellm.BadRequestError):
        ask(f"say {WORD}")
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(
            messages=[{"role": "user", "content": "x"}], **{**common, "api_key": "sk-no"}
        )


def test_the_azure_client_reads_the_filters_shapes(service):
    client = openai.AzureOpenAI(
        azure_endpoint=service.url, api_key=service.secret, api_version="2024-10-21", max_retries=0
    )

    def ask(text, **more):
        messages = [{"role": "user", "content": text}]
        return client.chat.completions.create(model="small", messages=messages, **more)

    answer = ask("plain")
    [prompt] = answer.prompt_filter_results
    assert prompt["prompt_index"] == 0
    lists = prompt["content_filter_results"]["custom_blocklists"]
    assert lists == {"filtered": False, "details": []}
    assert prompt["content_filter_results"]["violence"] == {"filtered": False, "severity": "safe"}
    assert prompt["content_filter_results"]["jailbreak"] == {"filtered": False, "detected": False}
    found = answer.choices[0].content_filter_results["custom_blocklists"]
    assert found["filtered"] is False
    cut = ask("filtered").choices[0]
    assert cut.finish_reason == "content_filter" and WORD not in (cut.message.content or "")
    lists = cut.content_filter_results["custom_blocklists"]
    assert lists["filtered"] and lists["details"] == [{"id": "words", "filtered": True}]
    with pytest.raises(openai.BadRequestError) as refused:
        ask(f"say {WORD}")
    error = refused.value.body
    assert (error["code"], error["param"]) == ("content_filter", "prompt")
    assert error["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    inner = error["innererror"]["content_filter_result"]["custom_blocklists"]
    assert inner["filtered"] is True
    chunks = list(ask("filtered", stream=True))
    assert chunks[0].prompt_filter_results[0]["prompt_index"] == 0
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert WORD not in "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_the_content_safety_client(service):
    client = ContentSafetyClient(service.url, AzureKeyCredential(service.secret))
    answer = client.analyze_text(
        AnalyzeTextOptions(
            text=f"a brutal {WORD}", blocklist_names=["words"], categories=["Violence"]
        )
    )
    assert [(c.category, c.severity) for c in answer.categories_analysis] == [("Violence", 4)]
    [match] = answer.blocklists_match
    assert (match.blocklist_name, match.blocklist_item_text) == ("words", WORD)
    with pytest.raises(HttpResponseError) as refused:
        client.analyze_text(AnalyzeTextOptions(text="x" * 10_001))
    assert refused.value.status_code == 400 and refused.value.error.code == "InvalidRequestBody"
    bad = httpx.post(service.url + "/contentsafety/text:analyze", json={"text": "x"})
    assert bad.status_code == 401
