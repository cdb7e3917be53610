"""Anthropic's requests come to the same prompts as OpenAI's."""

import copy

import pytest

from speciale.chat import ChatFormatError, encode_request, from_anthropic

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
REQUEST = {
    "model": "m",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u1"},
    "tools": [{"name": "weather", "description": "d", "input_schema": SCHEMA}],
    "tool_choice": {"type": "any"},
    "messages": [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I look.", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "One moment."},
                {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "北京"}},
                {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": "B", "is_error": True},
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [{"type": "text", "text": "A"}],
                },
            ],
        },
    ],
}
OPENAI = {
    "model": "m",
    "max_tokens": 100,
    "thinking": {"type": "enabled"},
    "stop": ["END"],
    "user": "u1",
    "tools": [
        {
            "type": "function",
            "function": {"name": "weather", "description": "d", "parameters": SCHEMA},
        }
    ],
    "tool_choice": "required",
    "messages": [
        {"role": "system", "content": "Be\nbrief."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "One moment.",
            "reasoning_content": "I look.",
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "北京"}'},
                },
                {"id": "b", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "B"},
        {"role": "tool", "tool_call_id": "a", "content": "A"},
    ],
}


def test_a_whole_request():
    before = copy.deepcopy(REQUEST)
    assert from_anthropic(REQUEST) == OPENAI
    assert before == REQUEST
    text = encode_request(from_anthropic(REQUEST)).text
    assert text.index("<result>A") < text.index("<result>B")


def test_results_come_before_the_text_beside_them():
    content = [
        {"type": "text", "text": "And"},
        {"type": "tool_result", "tool_use_id": "a"},
        {"type": "text", "text": "now?"},
    ]
    messages = from_anthropic({"messages": [{"role": "user", "content": content}]})["messages"]
    assert messages == [
        {"role": "tool", "tool_call_id": "a", "content": ""},
        {"role": "user", "content": "And\nnow?"},
    ]


def test_a_last_assistant_message_is_a_beginning():
    user = {"role": "user", "content": "q"}
    request = from_anthropic({"messages": [user, {"role": "assistant", "content": "It is"}]})
    assert request["messages"][-1]["prefix"] is True
    assert encode_request(request).text.endswith("</think>It is")


def test_calls_at_the_end_wait_for_their_results():
    said = [{"type": "text", "text": "One"}, USE, {"type": "text", "text": "two"}]
    request = message(*said, role="assistant")
    last = from_anthropic(request)["messages"][-1]
    assert (last["content"], last["prefix"], len(last["tool_calls"])) == ("One\ntwo", True, 1)
    with pytest.raises(ChatFormatError, match="add their results"):
        encode_request(from_anthropic(request))


@pytest.mark.parametrize("given", ["enabled", "adaptive", "disabled"])
def test_thinking(given):
    request = {"messages": [{"role": "user", "content": "q"}], "thinking": {"type": given}}
    assert encode_request(from_anthropic(request)).in_reasoning == (given != "disabled")


def test_other_keys_are_kept():
    kept = {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "stream": True, "unknown": [1]}
    request = {"messages": [], "system": "Be brief.", "metadata": {}, **kept}
    system = {"role": "system", "content": "Be brief."}
    assert from_anthropic(request) == {"messages": [system], **kept}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tool_choices(choice, expected):
    assert from_anthropic({"messages": [], "tool_choice": choice})["tool_choice"] == expected


def message(*blocks, role="user"):
    return {"messages": [{"role": role, "content": list(blocks)}]}


USE = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "a"}


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (3, "it is an int"),
        ({}, "messages: it is null"),
        ({"messages": [3]}, "message 0, role: it is None"),
        ({"messages": [{"role": "system", "content": "s"}]}, "message 0, role: it is 'system'"),
        ({"messages": [{"role": "user", "content": 3}]}, r"message 0 \(user\), content: it is an"),
        (message({"type": "image"}), r"message 0 \(user\), content\[0\]: its type is 'image'"),
        (
            message({"type": "text", "text": "a"}, {"type": "document"}),
            r"content\[1\]: its type is",
        ),
        (message({"type": "text", "text": "a"}, "b"), r"content\[1\]: it is a str without a type"),
        (message({"type": "tool_use"}), "'tool_use'"),
        (message({"type": "text"}), "it is no text"),
        (message({"type": "thinking"}, role="assistant"), "a malformed thinking"),
        (message({**USE, "input": "x"}, role="assistant"), "a malformed tool_use"),
        (message({**USE, "name": None}, role="assistant"), "a malformed tool_use"),
        (message({**USE, "input": {"a": object()}}, role="assistant"), "be written as JSON"),
        (message({**RESULT, "tool_use_id": ["a"]}), "a malformed tool_result"),
        (message({**RESULT, "content": [{"type": "image"}]}), "its type is 'image'"),
        (message({**RESULT, "content": 0}), r"content\[0\]: it is an int"),
        ({"messages": [], "tools": [{"type": "web_search_20250305"}]}, r"tools\[0\]: it has no in"),
        ({"messages": [], "tools": "f"}, "tools: it is a str"),
        ({"messages": [], "tool_choice": {"type": "some"}}, "tool_choice: it is {'type': 'some'}"),
        ({"messages": [], "tool_choice": {"type": "tool"}}, "tool_choice: .* the tool's name"),
        ({"messages": [], "thinking": True}, "thinking: it is True"),
        ({"messages": [], "system": 3}, "system: it is an int"),
        ({"messages": [], "system": [{"type": "document", "text": "d"}]}, "system: its type is"),
    ],
    ids=lambda value: str(value)[:90].split(" object at ")[0],
)
def test_what_cannot_be_read_is_told_with_its_place(request_, problem):
    with pytest.raises(ChatFormatError, match=problem):
        from_anthropic(request_)
