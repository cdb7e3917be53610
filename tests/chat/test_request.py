"""Requests: what is attached, mended, continued, and what every mistake is told."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciale.chat import (
    ASSISTANT,
    BOS,
    EOS,
    THINK_CLOSE,
    THINK_OPEN,
    USER,
    ChatFormatError,
    encode,
    encode_request,
)
from speciale.chat.normalise import STEPS, normalise

HI = {"role": "user", "content": "hi"}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]


def call(arguments="{}", call_id=None):
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def answer(content="a", **keys):
    return {"role": "assistant", "content": content, **keys}


def result(content, call_id=None):
    return {"role": "tool", "content": content, "tool_call_id": call_id}


def text(*messages, **request):
    return encode_request({"messages": list(messages), **request}).text


def test_a_request_that_needs_nothing_is_the_plain_encoding():
    messages = [{"role": "system", "content": "s"}, HI, answer(reasoning_content="r"), HI]
    for thinking in (True, False):
        prompt = encode_request({"messages": messages, "thinking": thinking})
        assert prompt.text == encode(messages, "thinking" if thinking else "chat")
        assert prompt.mended == []


def test_response_format_goes_where_the_tools_go():
    layout = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    system = {"role": "system", "content": "s"}
    attached = {**system, "tools": TOOLS, "response_format": layout}
    assert text(system, HI, tools=TOOLS, response_format=layout) == encode([attached, HI], "chat")
    assert text(HI, response_format={"type": "text"}) == encode([HI], "chat")
    assert '{"type": "json_object"}' in text(HI, response_format={"type": "json_object"})


def test_the_named_tool_must_be_there():
    named = {"type": "function", "function": {"name": "f"}}
    assert "## Tools" in text(HI, tools=TOOLS, tool_choice=named)
    system = {"role": "system", "content": "s", "tools": TOOLS}
    assert "## Tools" in text(system, HI, tool_choice=named)
    with pytest.raises(ChatFormatError, match="tool_choice: there is no tool 'f'"):
        text(HI, tool_choice=named)


def test_unknown_fields_are_kept_and_nothing_is_changed():
    request = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}], "mood": 1},
            answer(None, tool_calls=[call({"a": 1})]),
            result(None),
        ],
        "tools": TOOLS,
        "seed": 3,
    }
    before = copy.deepcopy(request)
    prompt = encode_request(request)
    assert request == before
    assert prompt.messages[1]["mood"] == 1  # behind the system message that holds the tools
    assert [index for index, _ in prompt.mended] == [1, 3, 2]


def test_content_parts_are_joined_by_newlines():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert text({"role": "user", "content": parts}) == encode([{**HI, "content": "a\nb"}], "chat")


def test_missing_content_is_empty():
    assert text({"role": "user"}) == encode([{**HI, "content": ""}], "chat")
    assert "<result></result>" in text(HI, answer(None, tool_calls=[call()]), result(None))


def test_the_reasoning_of_other_engines_is_read():
    history = [HI, answer("", reasoning="why", tool_calls=[call()]), result("r")]
    assert f"{THINK_OPEN}why{THINK_CLOSE}" in text(*history, thinking=True)


def test_results_follow_the_ids_of_their_calls():
    calls = [call(call_id="x"), call(call_id="y"), call(call_id="z")]
    results = [result("Z", "z"), result("X", "x"), result("Y", "y")]
    shown = text(HI, answer("", tool_calls=calls), *results)
    assert shown.index("<result>X") < shown.index("<result>Y") < shown.index("<result>Z")
    # Ids that name no call, or the same one twice, say nothing: position counts, as ever.
    for odd in ([result("1", "q"), result("2", "x"), result("3", "y")], [result("1", "x")] * 3):
        shown = text(HI, answer("", tool_calls=calls), *odd)
        assert [shown.index(f"<result>{r['content']}") for r in odd] == sorted(
            shown.index(f"<result>{r['content']}") for r in odd
        )


def test_several_developer_turns_are_kept_with_thinking():
    developer = {"role": "developer", "content": "d"}
    assert text(developer, answer(), HI, thinking=True).startswith(f"{BOS}{USER}\n\n# The user's")
    with pytest.raises(ChatFormatError, match=r"message 0, role: role 'developer'"):
        request = {"messages": [developer, answer(), HI], "thinking": True}
        encode_request(request, steps=set(STEPS) - {"keep_developers"})


@pytest.mark.parametrize("step", STEPS)
def test_every_step_can_be_left_out(step):
    """Each has an input that only it mends."""
    calls = [call(call_id="x"), call(call_id="y")]
    inputs = {
        "flatten_content": [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        "fill_content": [{"role": "user"}],
        "rename_reasoning": [HI, answer("", reasoning="why", tool_calls=[call()]), result("r")],
        "arguments_as_text": [HI, answer("", tool_calls=[call("")]), result("r")],
        "order_results": [HI, answer("", tool_calls=calls), result("Y", "y"), result("X", "x")],
        "keep_developers": [{"role": "developer", "content": "d"}, answer(), HI],
        "allow_no_reasoning": [HI, answer("b", prefix=True)],
    }
    request = {"messages": inputs[step], "thinking": True}
    mended = encode_request(request).text
    try:
        plain = encode_request(request, steps=set(STEPS) - {step}).text
    except ChatFormatError:
        return
    assert plain != mended


def test_an_unknown_step_is_an_error():
    with pytest.raises(ChatFormatError, match="'polish'"):
        normalise([HI], ["polish"])


# --- continued answers --------------------------------------------------------------------------


def test_a_prefix_is_continued():
    start = f"{BOS}{USER}hi{ASSISTANT}"
    assert text(HI, answer("It is", prefix=True)) == f"{start}{THINK_CLOSE}It is"
    prompt = encode_request({"messages": [HI, answer("It", prefix=True)], "thinking": True})
    assert (prompt.text, prompt.in_reasoning) == (f"{start}{THINK_OPEN}{THINK_CLOSE}It", False)
    half = answer("", reasoning_content="Well,", prefix=True)
    prompt = encode_request({"messages": [HI, half], "thinking": True})
    assert (prompt.text, prompt.in_reasoning) == (f"{start}{THINK_OPEN}Well,", True)
    both = answer("It", reasoning_content="r", prefix=True)
    prompt = encode_request({"messages": [HI, both], "thinking": True})
    assert (prompt.text, prompt.in_reasoning) == (f"{start}{THINK_OPEN}r{THINK_CLOSE}It", False)


@given(st.text(max_size=9), st.text(max_size=9), st.booleans())
def test_what_is_continued_is_the_beginning_of_the_answer(content, rest, thinking):
    prefix = answer(f"x{content}", reasoning_content="r")
    whole = encode(
        [HI, answer(f"x{content}{rest}", reasoning_content="r")], ["chat", "thinking"][thinking]
    )
    assert text(HI, {**prefix, "prefix": True}, thinking=thinking) + rest + EOS == whole


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ([], "it is a list: pass an object"),
        ({}, "messages: it is null: pass a list"),
        ({"messages": "hi"}, "messages: it is a str"),
        ({"messages": []}, "messages: it is empty"),
        ({"messages": [3]}, "message 0: it is an int"),
        ({"messages": [HI, {"content": "x"}]}, "message 1, role: it is None"),
        ({"messages": [{"role": "critic"}]}, "message 0, role: it is 'critic'"),
        ({"messages": [{"role": ["user"]}]}, r"message 0, role: it is \['user'\]"),
        (
            {"messages": [{"role": "user", "content": 3}]},
            r"message 0 \(user\), content: it is an int",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            r"message 0 \(user\), content\[0\]: its type is 'image_url'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            r"message 0 \(user\), content\[0\]: its text is null",
        ),
        (
            {"messages": [{"role": "user", "content": ["x"]}]},
            r"message 0 \(user\), content\[0\]: it is a str",
        ),
        ({"messages": [{"role": "developer", "content": ""}]}, r"message 0 \(developer\), content"),
        (
            {"messages": [HI, answer(reasoning_content=3), HI]},
            r"message 1 \(assistant\), reasoning_content: it is an int",
        ),
        (
            {"messages": [HI, answer(tool_calls={})]},
            r"message 1 \(assistant\), tool_calls: it is a d",
        ),
        ({"messages": [HI, answer(tool_calls=["f"])]}, r"tool_calls\[0\]: it is no call"),
        (
            {"messages": [HI, answer(tool_calls=[{"function": {"name": ""}}])]},
            r"tool_calls\[0\].function.name: it is ''",
        ),
        (
            {"messages": [HI, answer(tool_calls=[call(3)])]},
            r"tool_calls\[0\].function.arguments: it is an int",
        ),
        (
            {"messages": [HI, answer(tool_calls=[call("{a}")]), result("r")]},
            r"message 1 \(assistant\), tool_calls\[0\].function.arguments: '{a}' is not JSON",
        ),
        (
            {"messages": [HI, answer(tool_calls=[call({"a": {1, 2}})]), result("r")]},
            "cannot be written as JSON",
        ),
        ({"messages": [HI, answer()]}, r"message 1 \(assistant\): the assistant has had"),
        ({"messages": [HI, answer(tool_calls=[call()])]}, "had the last word"),
        (
            {"messages": [HI, answer(tool_calls=[call()], prefix=True)]},
            r"message 1 \(assistant\), prefix: a message with tool calls",
        ),
        ({"messages": [{**HI, "prefix": True}]}, r"message 0 \(user\), prefix: only an assistant"),
        (
            {"messages": [HI, answer(prefix=True), HI]},
            r"message 1 \(assistant\), prefix: only the last",
        ),
        ({"messages": [HI, {"role": "system", "content": "s"}]}, r"message 1 \(system\): a system"),
        ({"messages": [result("r"), HI]}, r"message 0 \(tool\): it is tool result 1 of"),
        ({"messages": [result("r")]}, r"message 0 \(tool\): 1 tool results follow 0"),
        (
            {"messages": [HI, answer(tool_calls=[call(), call()]), result("r")]},
            r"message 2 \(tool\): 1 tool results follow 2 tool calls",
        ),
        ({"messages": [HI], "tools": {}, "tool_choice": 3}, "tool_choice: it is 3"),
        ({"messages": [HI], "tools": "f"}, "tools: it is a str: pass a list"),
        (
            {"messages": [HI], "tools": [{"type": "function"}]},
            r"tools\[0\]: it is no function tool",
        ),
        (
            {"messages": [HI], "tools": [{"function": {"name": 3}}]},
            r"tools\[0\].function.name: it is 3",
        ),
        (
            {"messages": [HI], "tools": [{"function": {"name": "f", "x": {1}}}]},
            r"tools\[0\].function: it cannot be written as JSON",
        ),
        ({"messages": [HI], "response_format": "json"}, "response_format: it is 'json'"),
        ({"messages": [HI], "thinking": "yes"}, "thinking: it is 'yes'"),
        ({"messages": [HI], "thinking": {"type": []}}, r"thinking: it is {'type': \[\]}"),
        (
            {"messages": [HI, answer(tool_calls=[call(call_id=[])]), result("r")]},
            r"message 1 \(assistant\), tool_calls\[0\].id: it is a list",
        ),
        (
            {"messages": [HI, answer(tool_calls=[call()]), result("r", {})]},
            r"message 2 \(tool\), tool_call_id: it is a dict",
        ),
        ({"messages": [HI], "thinking": {"type": "some"}}, "thinking: it is {'type': 'some'}"),
        (
            {"messages": [HI], "thinking": True, "enable_thinking": False},
            "thinking is True, enable_thinking is False",
        ),
        ({"messages": [HI], "chat_template_kwargs": 1}, "chat_template_kwargs: it is 1"),
    ],
    ids=lambda value: json.dumps(value, default=str)[:70] if not isinstance(value, str) else "",
)
def test_a_mistake_is_told_with_its_place(request_, problem):
    with pytest.raises(ChatFormatError, match=problem):
        encode_request(request_)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
CALLS = st.fixed_dictionaries(
    {
        "function": JUNK
        | st.fixed_dictionaries({"name": JUNK | st.just("f"), "arguments": JUNK | st.just("{}")})
    },
    optional={"id": JUNK},
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "system", "assistant", "tool", "developer"]) | JUNK,
        "content": JUNK,
        "reasoning_content": JUNK,
        "tool_calls": JUNK | st.lists(CALLS, max_size=2),
        "tools": JUNK,
        "response_format": JUNK,
        "prefix": JUNK,
        "tool_call_id": JUNK,
    },
)
REQUESTS = st.fixed_dictionaries(
    {"messages": st.lists(FIELDS | JUNK, max_size=4) | JUNK},
    optional={
        "tools": JUNK,
        "tool_choice": JUNK,
        "response_format": JUNK,
        "thinking": JUNK | st.fixed_dictionaries({"type": JUNK}),
        "chat_template_kwargs": JUNK,
    },
)


@given(REQUESTS)
def test_any_junk_is_one_kind_of_error(request_):
    try:
        encode_request(request_)
    except ChatFormatError as error:
        assert str(error)


@given(st.lists(FIELDS | JUNK, max_size=4), st.sampled_from(["chat", "thinking"]))
def test_any_junk_in_the_core_is_the_same_kind_of_error(messages, mode):
    try:
        encode(messages, mode)
    except ChatFormatError as error:
        assert str(error)


def test_thousands_of_results_are_put_in_order_in_linear_time():
    """Each message once looked through all results behind it, so that 10,000 of them stopped a
    server for seconds. The looks at a role are counted, nothing is timed."""

    class Role(str):
        looks = 0

        def __eq__(self, other):
            Role.looks += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    count = 1_000
    calls = [{"id": str(i), "function": {"name": "f", "arguments": "{}"}} for i in range(count)]
    results = [
        {"role": Role("tool"), "tool_call_id": str(i), "content": str(i)}
        for i in reversed(range(count))
    ]
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": calls}]
    normalised, _ = normalise([*messages, *results], ["order_results"])
    assert [m["content"] for m in normalised[2:]] == [str(i) for i in range(count)]
    assert count <= Role.looks < 10 * count
