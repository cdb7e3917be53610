"""What goes out in OpenAI's shape: the official client's own types take it."""

import json

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from speciale.chat import Finish, StreamParser, encode_request, parse
from speciale.chat.openai import ChunkWriter, to_completion

TEXT = """I should look.</think>One moment.

<｜DSML｜function_calls>
<｜DSML｜invoke name="weather">
<｜DSML｜parameter name="city" string="true">Paris "centre"</｜DSML｜parameter>
<｜DSML｜parameter name="days" string="false">3</｜DSML｜parameter>
</｜DSML｜invoke>
<｜DSML｜invoke name="now">

</｜DSML｜invoke>
</｜DSML｜function_calls><｜end▁of▁sentence｜>"""


def test_a_completion_is_what_the_official_client_reads():
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    body = to_completion(parse(TEXT, "thinking"), "v3.2", usage=usage)
    read = ChatCompletion.model_validate_json(json.dumps(body), strict=True)
    [choice] = read.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == "One moment."
    assert choice.message.reasoning_content == "I should look."
    [first, second] = choice.message.tool_calls
    assert (first.function.name, second.function.name) == ("weather", "now")
    assert json.loads(first.function.arguments) == {"city": 'Paris "centre"', "days": 3}
    assert first.id != second.id
    assert read.usage.total_tokens == 7


def test_a_plain_completion():
    body = to_completion(parse("Hi.", "chat", "lenient"), "v3.2", finish_reason="length")
    choice = ChatCompletion.model_validate(body).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("length", "Hi.")
    assert "tool_calls" not in body["choices"][0]["message"]
    assert "reasoning_content" not in body["choices"][0]["message"]
    assert (
        to_completion(parse("", "chat", "lenient"), "m")["choices"][0]["message"]["content"] == ""
    )


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_chunks_are_what_the_official_client_reads(size):
    writer, parser = ChunkWriter("v3.2"), StreamParser("thinking", "lenient")
    bodies = []
    for at in range(0, len(TEXT), size):
        bodies += writer.chunks(parser.feed(TEXT[at : at + size]))
    bodies += writer.chunks(parser.finish())
    chunks = [ChatCompletionChunk.model_validate_json(json.dumps(b), strict=True) for b in bodies]
    assert len({chunk.id for chunk in chunks}) == 1
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [d.role for d in deltas if d.role] == ["assistant"] == [deltas[0].role]
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in deltas) == "I should look."
    assert "".join(d.content or "" for d in deltas) == "One moment."
    calls = {}
    for delta in deltas:
        for call in delta.tool_calls or ():
            entry = calls.setdefault(call.index, {"name": "", "arguments": "", "ids": set()})
            entry["name"] += call.function.name or ""
            entry["arguments"] += call.function.arguments or ""
            entry["ids"] |= {call.id} - {None}
    assert [c["name"] for c in calls.values()] == ["weather", "now"]
    assert json.loads(calls[0]["arguments"]) == {"city": 'Paris "centre"', "days": 3}
    assert calls[1]["arguments"] == "{}"
    assert all(len(c["ids"]) == 1 for c in calls.values())
    reasons = [chunk.choices[0].finish_reason for chunk in chunks]
    assert reasons[-1] == "tool_calls" and not any(reasons[:-1])


def test_the_engine_may_know_another_finish_reason():
    [chunk] = ChunkWriter("m").chunks([Finish("stop", False)], finish_reason="length")
    assert chunk["choices"][0]["finish_reason"] == "length"


def test_an_answer_goes_back_into_the_history():
    """What a client gets, it may send back as it is."""
    message = to_completion(parse(TEXT, "thinking"), "m")["choices"][0]["message"]
    ids = [call["id"] for call in message["tool_calls"]]
    results = [{"role": "tool", "tool_call_id": i, "content": i} for i in reversed(ids)]
    messages = [{"role": "user", "content": "q"}, message, *results]
    prompt = encode_request({"messages": messages, "thinking": True})
    assert TEXT in prompt.text
    assert prompt.text.index(f"<result>{ids[0]}") < prompt.text.index(f"<result>{ids[1]}")
