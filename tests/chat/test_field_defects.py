"""What users of engines have met in DeepSeek-V3.2's format, one test for each kind of report.
A test's name begins with the report it answers: vllm_N is vllm-project/vllm#N, sglang_N is
sgl-project/sglang#N. Its docstring is the behaviour that the report asks for."""

import copy
import hashlib
import json

import pytest

from chat.test_parser import block, call, events_of, pieces
from speciale.chat import (
    ASSISTANT,
    BOS,
    CALLS_CLOSE,
    CALLS_OPEN,
    EOS,
    INVOKE_CLOSE,
    INVOKE_OPEN,
    PARAMETER_CLOSE,
    PARAMETER_OPEN,
    THINK_CLOSE,
    THINK_OPEN,
    USER,
    ArgumentDelta,
    CallStart,
    ChatFormatError,
    ContentDelta,
    Finish,
    Repair,
    StreamParser,
    encode,
    encode_request,
    join,
    parse,
)
from speciale.chat.markers import restore_marks
from speciale.chat.openai import ChunkWriter
from speciale.chat.texts import COMPACT_TOOLS_PREFIX, TOOLS_PREFIX

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
HI = {"role": "user", "content": "hi"}
X = ("a", "true", "x")


def system(text="Be brief.", **keys):
    return {"role": "system", "content": text, **keys}


def calls_of(text, thinking_mode="chat", **options):
    """[(name, arguments)] by lenient parsing, the same for many sizes of chunks."""
    found = []
    for size in (10**6, 1, 2, 3, 7, 17):
        parser = StreamParser(thinking_mode, "lenient", **options)
        events = [event for chunk in pieces(text, size) for event in parser.feed(chunk)]
        message = join([*events, *parser.finish()])
        assert "DSML" not in message["content"] + message["reasoning_content"]
        found.append(
            [
                (c["function"]["name"], json.loads(c["function"]["arguments"]))
                for c in message["tool_calls"]
            ]
        )
        assert found[-1] == found[0]
    return found[0]


def repairs(text, thinking_mode="chat"):
    events = events_of([text], thinking_mode, "lenient")
    return [event.kind for event in events if isinstance(event, Repair)]


# --- A. encoding --------------------------------------------------------------------------------


def test_vllm_54911_request_tools_go_onto_the_leading_system_message():
    """Never a second block or a system message in front; the caller's messages stay as they are."""
    request = {"messages": [system(), HI], "tools": TOOLS}
    before = copy.deepcopy(request)
    prompt = encode_request(request)
    assert prompt.text == encode([system(tools=TOOLS), HI], "chat")
    assert prompt.text.startswith(f"{BOS}Be brief.\n\n## Tools")
    assert request == before


def test_vllm_54911_request_tools_replace_those_of_messages():
    old = [{"type": "function", "function": {"name": "old"}}]
    messages = [system(tools=old), HI, {"role": "developer", "content": "d", "tools": old}]
    text = encode_request({"messages": messages, "tools": TOOLS}).text
    assert text.count("## Tools") == 1
    assert '"old"' not in text


def test_vllm_54911_an_empty_system_message_only_where_there_is_none():
    text = encode_request({"messages": [HI], "tools": TOOLS}).text
    assert text.startswith(f"{BOS}\n\n## Tools")
    developer = {"role": "developer", "content": "Do it."}
    text = encode_request({"messages": [developer], "tools": TOOLS}).text
    assert text == encode([{**developer, "tools": TOOLS}], "chat")


def test_the_tools_text_has_the_official_blank_lines():
    """Engines' copies lack seven of them; the model was trained with them. Theirs is an option."""
    assert TOOLS_PREFIX.count("\n\n") == 7
    request = {"messages": [system(), HI], "tools": TOOLS}
    assert TOOLS_PREFIX in encode_request(request).text
    compact = encode_request(request, compact_tools=True).text
    assert compact == encode_request(request).text.replace(TOOLS_PREFIX, COMPACT_TOOLS_PREFIX)
    digest = hashlib.sha256(COMPACT_TOOLS_PREFIX.encode()).hexdigest()  # of vLLM's and SGLang's
    assert digest == "1998c90fabebde65e3c9a79b0d3a6d358024b187e1274d542acbcd4fb903e08b"


def test_sglang_14353_bad_messages_are_one_typed_error():
    for bad in ([], "hi", [1], [{"role": "user", "content": 3}], [{"content": "x"}], None):
        with pytest.raises(ChatFormatError):
            encode_request({"messages": bad})


def test_sglang_dict_arguments_are_taken_and_other_json_is_refused():
    def prompt(arguments):
        history = {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}
        history["tool_calls"][0]["function"]["arguments"] = arguments
        result = {"role": "tool", "content": "r"}
        return encode_request({"messages": [HI, history, result]}).text

    assert prompt({"a": [1]}) == prompt('{"a": [1]}')
    assert f'{INVOKE_OPEN} name="f">\n\n{INVOKE_CLOSE}' in prompt("")
    with pytest.raises(ChatFormatError, match=r"message 1 \(assistant\), tool_calls\[0\]"):
        prompt("[1]")


def test_vllm_46256_a_last_assistant_message_is_continued_or_refused():
    start = {"role": "assistant", "content": "Once"}
    with pytest.raises(ChatFormatError, match="last word"):
        encode_request({"messages": [HI, start]})
    text = f"{BOS}{USER}hi{ASSISTANT}{THINK_CLOSE}Once"
    assert encode_request({"messages": [HI, {**start, "prefix": True}]}).text == text
    assert encode_request({"messages": [HI, start], "continue_final_message": True}).text == text


def test_sglang_17141_what_is_encoded_is_what_is_parsed():
    """No V3.1 template: calls in the history have the form that the parser reads."""
    answer = {"role": "assistant", "content": "", "tool_calls": [_call({"a": "x", "b": 1})]}
    text = encode([HI, answer], "chat")
    completion = text.split(THINK_CLOSE)[1]
    assert calls_of(completion) == [("f", {"a": "x", "b": 1})]


def test_sglang_17761_no_assistant_mark_after_tool_results():
    messages = [HI, {"role": "assistant", "tool_calls": [_call({})]}, {"role": "tool"}]
    prompt = encode_request({"messages": messages, "thinking": True})
    assert prompt.text.endswith(f"</function_results>\n\n{THINK_OPEN}")
    assert prompt.text.count(ASSISTANT) == 1


def test_smg_1381_the_prompt_says_whether_it_ends_inside_the_reasoning():
    assert encode_request({"messages": [HI], "thinking": True}).in_reasoning
    assert encode_request({"messages": [HI], "thinking": True}).parser_mode == "thinking"
    assert not encode_request({"messages": [HI]}).in_reasoning


@pytest.mark.parametrize(
    "switch",
    [
        {"thinking": True},
        {"enable_thinking": True},
        {"thinking": {"type": "enabled"}},
        {"chat_template_kwargs": {"thinking": True}},
        {"chat_template_kwargs": {"enable_thinking": True}},
    ],
    ids=str,
)
def test_sglang_15294_every_thinking_switch_works_and_the_default_is_off(switch):
    assert encode_request({"messages": [HI], **switch}).text.endswith(THINK_OPEN)
    assert encode_request({"messages": [HI]}).text.endswith(THINK_CLOSE)


def test_sglang_35736_tool_choice_none_renders_no_tools():
    request = {"messages": [system(tools=TOOLS), HI], "tools": TOOLS, "tool_choice": "none"}
    assert encode_request(request).text == encode([system(), HI], "chat")


def test_sglang_38450_arguments_are_never_wrapped():
    text = encode([HI, {"role": "assistant", "tool_calls": [_call({"a": "x"})]}], "chat")
    assert 'parameter name="a" string="true">x<' in text
    assert 'name="arguments"' not in text


# --- B. markup lost or leaked -------------------------------------------------------------------


def test_vllm_30541_text_without_its_special_tokens_can_be_restored():
    """An engine that skips special tokens leaves `<function_calls>`: put the mark back first."""
    text = block(call(X), call(("n", "false", "[1]"))).replace("｜DSML｜", "")
    assert calls_of(text) == []
    assert calls_of(restore_marks(text)) == [("f", {"a": "x"}), ("f", {"n": [1]})]
    assert restore_marks("a <b> </p> <invoked>") == "a <b> </p> <invoked>"


@pytest.mark.parametrize("cut", range(1, len("\n\n" + CALLS_OPEN)))
def test_vllm_40800_a_split_opening_never_leaks(cut):
    text = "Let me see." + block(call(X))
    at = len("Let me see.") + cut
    for event in events_of([text[:at], text[at:]], "chat", "lenient"):
        assert not isinstance(event, ContentDelta) or event.text == "Let me see."


def test_vllm_45877_a_split_closing_tag_never_leaks_into_arguments():
    """And a plain `<` or `2>&1` at the end of a value survives."""
    for value in ("ls 2>&1", "a <", "a </", "<", "a<\n", "</｜", "x\n", "\n\n"):
        text = block(call(("cmd", "true", value)))
        assert calls_of(text) == [("f", {"cmd": value})]
        for at in range(len(text)):
            events = events_of([text[:at], text[at:]], "chat", "lenient")
            given = "".join(e.text for e in events if isinstance(e, ArgumentDelta))
            assert json.loads(given) == {"cmd": value}


def test_vllm_41240_held_text_is_flushed_at_the_end():
    for end in ("2 <", "a </", "\n", "\n\n", "a\n\n<", "<thin", "｜"):
        for size in (1, 2, 100):
            events = events_of(pieces(end, size), "chat", "lenient")
            assert join(events)["content"] == end


def test_a_mark_that_is_cut_off_is_not_prose():
    for mark in ("<｜", "</｜", "<｜DS", "<｜DSML｜", "<｜DSML｜inv", "<｜end▁of"):
        for size in (1, 2, 100):
            assert join(events_of(pieces(f"a{mark}", size), "chat", "lenient"))["content"] == "a"


def test_vllm_ascend_9767_other_special_tokens_never_reach_the_content():
    marks = (BOS, USER, ASSISTANT, "<｜fim▁hole｜>", "<｜▁pad▁｜>", "<｜tool▁calls▁begin｜>")
    for mark in marks:
        for size in (1, 3, 100):
            events = events_of(pieces(f"a{mark}b", size), "chat", "lenient")
            assert join(events)["content"] == "ab"
    assert join(events_of([f"a{EOS}{BOS}b"], "chat", "lenient"))["content"] == "a"


@pytest.mark.parametrize("mark", ["‖DSML‖", "｜｜DSML｜｜", "‖‖DSML‖‖"])
def test_genericagent_804_variants_of_the_mark_are_read_too(mark):
    text = block(call(X), call(X, name="g")).replace("｜DSML｜", mark)
    assert calls_of(text) == [("f", {"a": "x"}), ("g", {"a": "x"})]


# --- C. malformed, but to be saved --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "content"),
    [
        (call(X), [("f", {"a": "x"})], ""),
        (f"Hm. {call(X)}", [("f", {"a": "x"})], "Hm. "),
        (f"{block(call(X)).removesuffix(CALLS_CLOSE)}{EOS}", [("f", {"a": "x"})], ""),
        (f"{CALLS_OPEN}\n{INVOKE_OPEN} nam\n{INVOKE_CLOSE}\n{call(X)}", [("f", {"a": "x"})], ""),
        (block(call(X)).replace("function_calls", "tool_calls"), [("f", {"a": "x"})], ""),
        (f'{CALLS_OPEN}\n{INVOKE_OPEN} name="now"/>\n{CALLS_CLOSE}', [("now", {})], ""),
        (f'{INVOKE_OPEN} name="f">{{"a": 1}}{INVOKE_CLOSE}', [("f", {"a": 1})], ""),
    ],
    ids=["bare", "bare after text", "unclosed", "sibling", "V4 name", "self-closing", "inline"],
)
def test_sglang_40236_complete_calls_come_back_and_markup_never(text, expected, content):
    assert calls_of(text) == expected
    events = events_of([text], "chat", "lenient")
    assert join(events)["content"] == content
    assert events[-1].reason == "tool_calls"


def test_sglang_24199_bare_calls_in_both_ways():
    text = f"{call(X)}\n{call(X, name='g')}"
    assert calls_of(text) == [("f", {"a": "x"}), ("g", {"a": "x"})]


def test_vllm_54838_the_next_parameter_closes_one_that_is_open():
    first, second = call(X, ("b", "true", "y")).split(PARAMETER_CLOSE, 1)
    assert calls_of(block(first + second)) == [("f", {"a": "x", "b": "y"})]
    # Where the last one is open, the call's own end closes it.
    text = call(X).replace(PARAMETER_CLOSE, "")
    assert calls_of(block(text, call(X, name="g"))) == [("f", {"a": "x"}), ("g", {"a": "x"})]


def test_vllm_51914_a_call_without_its_opening_is_dropped_and_prose_stays():
    body = call(X).split("\n", 1)[1]
    text = f"Before.\n\n{CALLS_OPEN}\n{body}\n{CALLS_CLOSE}After."
    assert calls_of(text) == []
    message = parse(text, "chat", "lenient")
    assert message["content"] == "Before.After."
    assert "stray_tag" in repairs(text)


def test_vllm_36654_every_repair_is_reported():
    for text, kind in (
        (call(X), "bare_call"),
        (block(call(X)) + "text", "text_after_calls"),
        (block(call(X, X)), "repeated_parameter"),
        (block(call(("n", "false", "True"))), "not_json"),
        (f"{EOS} more", "text_after_end"),
    ):
        assert kind in repairs(text)


@pytest.mark.parametrize(
    "body",
    ["ls -l", '{"a": 1', '{"a": 1} and more', "[1]", f"{PARAMETER_OPEN}>x{PARAMETER_CLOSE}"],
)
def test_sglang_39435_a_body_that_does_not_fit_is_no_call_without_arguments(body):
    text = f'\n\n{CALLS_OPEN}\n{INVOKE_OPEN} name="f">\n{body}\n{INVOKE_CLOSE}\n{CALLS_CLOSE}{EOS}'
    assert calls_of(text) == []
    assert "dropped_call" in repairs(text)
    with pytest.raises(ChatFormatError):
        parse(text, "chat")


def test_sglang_39435_arguments_are_never_lost_silently():
    """A value that closes early, a parameter that comes twice: the call goes, not the argument."""
    early = ("a", "true", f"x{PARAMETER_CLOSE}y")
    for bad in (call(early), call(X, X), call(X).replace("\n" + INVOKE_CLOSE, " z" + INVOKE_CLOSE)):
        assert calls_of(block(bad, call(X, name="g"))) == [("g", {"a": "x"})]


def test_sglang_39632_a_closed_call_that_cannot_be_read_is_not_content():
    text = f"ok{block(call(X).replace('string=', 'strung='))}"
    message = parse(text, "chat", "lenient")
    assert (message["content"], message["tool_calls"]) == ("ok", [])


def test_sglang_21546_partial_json_waits():
    text = block(call(("n", "false", '{"a": [1, 2, {"b": "c"}]}')))
    assert calls_of(text) == [("f", {"n": {"a": [1, 2, {"b": "c"}]}})]
    for at in range(len(text)):  # cut off: nothing, and no error
        assert calls_of(text[:at]) == [] or text[:at].count(INVOKE_CLOSE[:-1]) == 1


def test_vllm_41707_made_up_tags_are_unknown_markup():
    text = f"a\n\n<｜DSML｜_tool_calls>\n{call(X)}\n</｜DSML｜_tool_calls>"
    assert calls_of(text) == [("f", {"a": "x"})]
    assert parse('a <｜DSML｜thing x="1">b', "chat", "lenient")["content"] == "a b"


# --- D. types and escapes -----------------------------------------------------------------------

TYPED = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {
                    "n": {"type": "integer"},
                    "s": {"type": "string"},
                    "o": {"anyOf": [{"type": "object"}, {"type": "null"}]},
                },
            },
        },
    }
]


def test_vllm_41198_the_string_attribute_is_the_type():
    """Text that looks like a number stays text; what is said to be JSON and is none is text."""
    values = ("42", "true", "null", "[1]", '{"a": 1}', "1e5")
    for value in values:
        assert calls_of(block(call(("s", "true", value)))) == [("f", {"s": value})]
        assert calls_of(block(call(("s", "false", value)))) == [("f", {"s": json.loads(value)})]
    assert calls_of(block(call(("s", "false", "not json")))) == [("f", {"s": "not json"})]


def test_vllm_coercion_by_schema_is_an_option_and_off_by_default():
    text = block(call(("n", "true", "42"), ("s", "true", "42"), ("o", "true", '{"a": 1}')))
    assert calls_of(text) == [("f", {"n": "42", "s": "42", "o": '{"a": 1}'})]
    assert calls_of(text, tools=TYPED) == [("f", {"n": 42, "s": "42", "o": {"a": 1}})]


def test_vllm_41240_unwrapping_is_guarded_by_the_schema():
    wrapped = block(call(("arguments", "false", '{"n": 1, "s": "x"}')))
    assert calls_of(wrapped) == [("f", {"arguments": {"n": 1, "s": "x"}})]
    assert calls_of(wrapped, tools=TYPED) == [("f", {"n": 1, "s": "x"})]
    as_text = block(call(("input", "true", '{"n": 1}')))
    assert calls_of(as_text, tools=TYPED) == [("f", {"n": 1})]
    scalar = block(call(("input", "true", "x")))
    assert calls_of(scalar, tools=TYPED) == [("f", {"input": "x"})]
    declared = copy.deepcopy(TYPED)
    declared[0]["function"]["parameters"]["properties"]["arguments"] = {"type": "object"}
    assert calls_of(wrapped, tools=declared) == [("f", {"arguments": {"n": 1, "s": "x"}})]


def test_sglang_strings_keep_their_white_space():
    for value in ("  x  ", "\n\tx\n\n", " ", "\n", "x\n"):
        assert calls_of(block(call(("s", "true", value)))) == [("f", {"s": value})]
        history = {"role": "assistant", "content": value, "tool_calls": [_call({"s": value})]}
        completion = encode([HI, history], "chat").split(THINK_CLOSE)[1]
        assert parse(completion, "chat")["content"] == value


def test_sglang_39632_values_do_not_change_shape_while_they_come():
    text = block(call(("l", "false", '["a", "b"]')))
    for at in range(len(text)):
        parser = StreamParser("chat", "lenient")
        given = "".join(e.text for e in parser.feed(text[:at]) if isinstance(e, ArgumentDelta))
        assert '{"l": ["a", "b"]}'.startswith(given)


def test_lenient_checks_what_is_said_to_be_json_and_strict_passes_it_on():
    text = block(call(("n", "false", "True"))) + EOS
    assert parse(text, "chat")["tool_calls"][0]["function"]["arguments"] == '{"n": True}'
    assert calls_of(text) == [("f", {"n": "True"})]


# --- E. the shape of a stream -------------------------------------------------------------------


def test_vllm_42878_name_first_then_arguments_bit_by_bit():
    value = "print('x')\n" * 50
    chunks = pieces(block(call(("code", "true", value))), 16)
    writer = ChunkWriter("m")
    parser = StreamParser("chat", "lenient")
    out = [chunk for piece in chunks for chunk in writer.chunks(parser.feed(piece))]
    out += writer.chunks(parser.finish())
    calls = [c for chunk in out for c in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert calls[0]["function"] == {"name": "f", "arguments": ""}
    assert calls[0]["id"].startswith("call_") and calls[0]["type"] == "function"
    assert all(c["index"] == 0 for c in calls)
    assert len(calls) > 30
    assert json.loads("".join(c["function"]["arguments"] for c in calls)) == {"code": value}


def test_vllm_52846_long_strings_are_not_held_until_their_end():
    parser = StreamParser("chat", "lenient")
    parser.feed(f'{CALLS_OPEN}\n{INVOKE_OPEN} name="f">\n{PARAMETER_OPEN} name="a" string="true">')
    for _ in range(20):
        assert parser.feed("words and more ")[-1].text == "words and more "


def test_sglang_7934_calls_decide_the_finish_reason_even_if_only_the_end_mark_follows():
    parser = StreamParser("chat", "lenient")
    parser.feed(block(call(X)))
    assert parser.feed(EOS) + parser.finish() == [Finish("tool_calls", True)]


def test_sglang_25233_parallel_calls_are_one_newline_apart():
    message = {"role": "assistant", "tool_calls": [_call({"a": "x"}), _call({"a": "x"})]}
    text = encode([HI, message], "chat")
    assert f"{INVOKE_CLOSE}\n{INVOKE_OPEN}" in text
    # Blank lines, as a grammar once forced them, lose no call.
    assert len(calls_of(block(call(X) + "\n", call(X)))) == 2
    assert len(calls_of(block(call(X) + call(X)))) == 2


def test_vllm_45678_a_chunk_may_hold_anything():
    text = f"r{THINK_CLOSE}c{block(call(X), call(X, name='g'))}{EOS}"
    events = events_of([text], "thinking", "lenient")
    assert [e.name for e in events if isinstance(e, CallStart)] == ["f", "g"]
    assert events[-1] == Finish("tool_calls", True)


# --- F. reasoning -------------------------------------------------------------------------------


def test_vllm_25589_prompt_and_parser_agree_where_thinking_is_off():
    prompt = encode_request({"messages": [HI]})
    message = parse("Just an answer.", prompt.parser_mode, "lenient")
    assert (message["content"], message["reasoning_content"]) == ("Just an answer.", "")


def test_sglang_17551_reasoning_that_is_never_closed_stays_reasoning():
    """The policy: what was streamed as reasoning stays that, and a repair says so."""
    for text in ("All of it.", f"All of it.{EOS}"):
        message = parse(text, "thinking", "lenient")
        assert (message["content"], message["reasoning_content"]) == ("", "All of it.")
        assert repairs(text, "thinking") == ["unclosed_reasoning"]


def test_sglang_21179_a_block_ends_the_reasoning():
    text = f"I need it.{block(call(X))}{EOS}"
    assert calls_of(text, "thinking") == [("f", {"a": "x"})]
    assert parse(text, "thinking", "lenient")["reasoning_content"] == "I need it."
    with pytest.raises(ChatFormatError):
        parse(text, "thinking")


def test_history_without_reasoning_is_taken_at_the_request_level():
    messages = [HI, {"role": "assistant", "content": "a"}, system("Go on."), HI]
    answer = {"role": "assistant", "content": "b", "prefix": True}
    prompt = encode_request({"messages": [*messages, answer], "thinking": True})
    assert prompt.text.endswith(f"{THINK_OPEN}{THINK_CLOSE}b")
    with pytest.raises(ChatFormatError, match="reasoning_content"):
        encode([*messages, answer], "thinking")


def _call(arguments):
    return {"type": "function", "function": {"name": "f", "arguments": json.dumps(arguments)}}
