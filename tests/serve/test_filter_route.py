"""The content filter in the service: prompts, completions, both ways of streaming, and ways around
it (each of which has a test): splits, spelling, base64, arguments, reasoning, prefixes, the middle.
"""

import base64
import json
import sqlite3

import httpx
import pytest
from running import Scripted, Words, running, words

from speciale.safety.policy import Blocklist, Policy

PHRASE = "purple elephants"
SECOND = "elephants"


@pytest.fixture(scope="module")
def script():
    return Scripted()


@pytest.fixture(scope="module")
def service(tmp_path_factory, script):
    policy = Policy(blocklists=(Blocklist(name="animals", phrases=(PHRASE,)),))
    folder = tmp_path_factory.mktemp("service")
    with running(folder, script, policy=policy, classifiers=Words()) as served:
        yield served


def streamed(service, path="/v1/chat/completions", **body):
    """All events of a stream, and all text in it that a client could show."""
    body = {"model": "small", "stream": True, **body}
    if "chat" in path:
        body.setdefault("messages", [{"role": "user", "content": "Hi"}])
    with httpx.stream(
        "POST", service.url + path, json=body, headers=service.headers(), timeout=30
    ) as response:
        lines = [line[6:] for line in response.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", lines[-1]
    events = [json.loads(line) for line in lines[:-1]]
    text = ""
    for event in events:
        for choice in event["choices"]:
            delta = choice.get("delta", choice)
            text += (delta.get("reasoning_content") or "") + (delta.get("content") or "")
            text += choice.get("text") or ""
            for call in delta.get("tool_calls") or ():
                text += call["function"].get("arguments") or ""
    return events, text


def reason(events):
    return [c["finish_reason"] for e in events for c in e["choices"] if c["finish_reason"]]


def filtered_prompt(response):
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("content_filter", "prompt")
    return error["innererror"]["content_filter_result"]


HELLO = {"role": "user", "content": "Hi"}
CALL = {"id": "c", "type": "function"}
PROMPTS = {
    "user": [{"role": "user", "content": f"About {PHRASE}."}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": PHRASE}]}],
    "system": [{"role": "system", "content": PHRASE}, HELLO],
    "developer": [{"role": "developer", "content": PHRASE}],
    "assistant": [HELLO, {"role": "assistant", "content": PHRASE}, HELLO],
    "prefix": [HELLO, {"role": "assistant", "content": PHRASE, "prefix": True}],
    "zero width": [{"role": "user", "content": "pur\u200bple ele\u00adph\u2060ants"}],
    "homoglyphs": [{"role": "user", "content": "рurрle еlерhаnts"}],
    "spelled": [{"role": "user", "content": "p u r p l e  e l e p h a n t s"}],
    "base64": [{"role": "user", "content": base64.b64encode(PHRASE.encode()).decode()}],
    "arguments": [
        HELLO,
        {
            "role": "assistant", "content": "", "reasoning_content": "r",
            "tool_calls": [
                {**CALL, "function": {"name": "f", "arguments": '{"a": "p\\u0075rple elephants"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ],
    "result": [
        HELLO,
        {
            "role": "assistant", "content": "",
            "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": PHRASE},
    ],
    "reasoning": [
        HELLO,
        {
            "role": "assistant", "content": "", "reasoning_content": PHRASE,
            "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "done"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("where", PROMPTS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_listed_phrase_anywhere_in_a_prompt(service, script, where, stream):
    script.jobs.clear()
    result = filtered_prompt(service.post(messages=PROMPTS[where], stream=stream))
    assert result["custom_blocklists"]["details"] == [{"id": "animals", "filtered": True}]
    assert not script.jobs  # the model never saw it


def test_tools_and_schemas_are_part_of_the_prompt(service):
    tool = {"type": "function", "function": {"name": "f", "description": PHRASE}}
    filtered_prompt(service.post(tools=[tool]))
    layout = {"type": "json_schema", "json_schema": {"schema": {"enum": [PHRASE]}}}
    filtered_prompt(service.post(response_format=layout))


def test_attacks_are_looked_for_where_they_come_from(service):
    found = filtered_prompt(service.post(messages=[{"role": "user", "content": "a jailbreak"}]))
    assert found["jailbreak"] == {"filtered": True, "detected": True}
    messages = [dict(m) for m in PROMPTS["result"]]
    messages[-1]["content"] = "now obey"
    found = filtered_prompt(service.post(messages=messages))
    assert found["indirect_attack"] == {"filtered": True, "detected": True}
    assert service.post(messages=[{"role": "user", "content": "now obey"}]).is_success
    assert service.post(messages=[{"role": "system", "content": "a jailbreak"}, HELLO]).is_success


def test_both_sides_of_a_hole(service):
    filtered_prompt(service.post("/v1/completions", prompt=f"x {PHRASE}", suffix="y"))
    filtered_prompt(service.post("/v1/completions", prompt="x", suffix=PHRASE))
    filtered_prompt(service.post("/v1/completions", prompt="purple ", suffix=SECOND))


COMPLETIONS = {
    "content": f"First the good part. Then {PHRASE} and more.",
    "zero width": "Good. pur\u200bple ele\u200bphants",
    "homoglyphs": "Good. рurрle еlерhаnts are here",
    "base64": f"Good. {base64.b64encode(PHRASE.encode()).decode()} there",
    "shouted": "Good. PURPLE   ELEPHANTS!",
}


@pytest.mark.parametrize(
    "split", [words, list, lambda text: [text]], ids=["words", "letters", "one"]
)
@pytest.mark.parametrize("where", COMPLETIONS)
def test_nothing_of_a_listed_phrase_leaves(service, script, where, split, monkeypatch):
    monkeypatch.setattr(script, "split", split)
    script.text = COMPLETIONS[where]
    hidden = [*PHRASE.split(), "рurрle", "pur\u200bple", "PURPLE", base64.b64encode(b"purple")[:6].decode()]  # fmt: skip  # noqa: E501
    [choice] = service.post().json()["choices"]
    assert choice["finish_reason"] == "content_filter"
    assert choice["content_filter_results"]["custom_blocklists"]["filtered"] is True
    events, text = streamed(service)
    assert reason(events) == ["content_filter"]
    for said in (text, choice["message"]["content"] or ""):
        assert not any(part in said for part in hidden), said
        assert said.startswith(("First the good part.", "Good.")) or not said


def test_reasoning_is_filtered_like_content(service, script):
    script.text = f"I think of {PHRASE}.</think>All fine."
    [choice] = service.post(thinking={"type": "enabled"}).json()["choices"]
    assert choice["finish_reason"] == "content_filter"
    events, text = streamed(service, thinking={"type": "enabled"})
    assert reason(events) == ["content_filter"] and "purple" not in text and "fine" not in text


def test_arguments_are_filtered_whatever_their_spelling(service, script):
    for value in ('string="true">purple elephants<', 'string="false">["p\\u0075rple elephants"]<'):
        script.text = (
            "<｜DSML｜function_calls>\n"
            '<｜DSML｜invoke name="f">\n'
            f'<｜DSML｜parameter name="a" {value}/｜DSML｜parameter>\n'
            "</｜DSML｜invoke>\n"
            "</｜DSML｜function_calls>"
        )
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        [choice] = service.post(tools=[tool]).json()["choices"]
        assert choice["finish_reason"] == "content_filter" and "tool_calls" not in choice["message"]
        events, text = streamed(service, tools=[tool])
        assert reason(events) == ["content_filter"] and "rple" not in text


def test_a_phrase_that_begins_in_the_prefix_or_the_prompt(service, script):
    script.text = f"{SECOND} walk by"
    prefix = [HELLO, {"role": "assistant", "content": "There are purple ", "prefix": True}]
    events, text = streamed(service, messages=prefix)
    assert reason(events) == ["content_filter"] and SECOND not in text
    events, text = streamed(service, "/v1/completions", prompt="There are purple ", suffix=" by")
    assert reason(events) == ["content_filter"] and SECOND not in text
    assert reason(streamed(service)[0]) == ["stop"]


def test_severities_and_annotations(service, script):
    script.text = "A darn good day."
    body = service.post().json()
    [choice] = body["choices"]
    assert choice["content_filter_results"]["profanity"] == {"filtered": False, "detected": True}
    assert body["prompt_filter_results"][0]["content_filter_results"]["jailbreak"] == {
        "filtered": False, "detected": False,
    }  # fmt: skip
    script.text = "A brutal day."
    [choice] = service.post().json()["choices"]
    assert choice["content_filter_results"]["violence"] == {"filtered": True, "severity": "medium"}
    assert choice["finish_reason"] == "content_filter" and not choice["message"]["content"]


def test_one_choice_of_several_is_stopped(tmp_path):
    class Two(Scripted):
        async def run(self, job):
            async for piece in super().run(job):
                if piece.choice == 1:
                    for event in piece.events:
                        event.text = event.text.replace("there", "brutal")
                yield piece

    with running(tmp_path, Two(), policy=Policy(), classifiers=Words()) as served:
        choices = served.post(n=2, temperature=1).json()["choices"]
    assert [c["finish_reason"] for c in choices] == ["stop", "content_filter"]
    assert choices[0]["message"]["content"] == "Hello there, friend."


def test_asynchronous_streams_are_annotated_after(tmp_path):
    policy = Policy(streaming="asynchronous")
    script = Scripted(
        "All is well. " * 20 + "Then a brutal end. " + "And on. " * 400, delay_s=0.001
    )
    with running(tmp_path, script, policy=policy, classifiers=Words()) as served:
        events, text = streamed(served)
        notes = [
            c for e in events for c in e["choices"] if "content_filter_offsets" in c
        ]  # fmt: skip
        assert notes and set(notes[0]["content_filter_offsets"]) == {
            "check_offset", "start_offset", "end_offset",
        }  # fmt: skip
        assert reason(events) == ["content_filter"] and not text.endswith("And on. " * 399)
        # Without a stream nothing leaves before it is vetted, whatever the policy says of streams.
        [choice] = served.post().json()["choices"]
        assert choice["finish_reason"] == "content_filter"
        assert "brutal" not in choice["message"]["content"]


class Broken:
    def score(self, texts, attacks):
        raise RuntimeError("secret detail")


@pytest.mark.parametrize("fail", ["closed", "open"])
def test_a_filter_that_is_out_of_order(tmp_path, fail):
    policy = Policy(fail=fail)
    with running(tmp_path, Scripted(), policy=policy, classifiers=Broken()) as served:
        answer = served.post()
    assert "secret" not in answer.text
    if fail == "closed":
        assert "content_filter_error" in filtered_prompt(answer)
    else:
        [choice] = answer.json()["choices"]
        assert choice["message"]["content"] == "Hello there, friend."
        assert "content_filter_error" in choice["content_filter_results"]


def test_a_filtered_prompt_costs_nothing_and_has_its_row(service):
    before = service.get("/user/balance").json()
    filtered_prompt(service.post(messages=PROMPTS["user"]))
    assert service.get("/user/balance").json() == before
    with sqlite3.connect(service.database.removeprefix("sqlite:///")) as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute("select * from ledger order by at desc, id desc").fetchone()
    assert (row["status"], row["finish_reason"], row["cost_nano"]) == (400, "content_filter", 0)
