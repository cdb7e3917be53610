"""The prompt text of every golden case, byte for byte, and the laws that hold for any messages.
data/encode.json: inputs with the prompt that DeepSeek-V3.2's reference encoder gave; the cases
named official_* are its own test vectors (MIT licence, Copyright (c) 2025 DeepSeek)."""

import copy
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speciale import chat
from speciale.chat import (
    ASSISTANT,
    BOS,
    EOS,
    THINK_CLOSE,
    THINK_OPEN,
    USER,
    ChatFormatError,
    encode,
)
from speciale.chat.texts import TOOLS_PREFIX, TOOLS_SUFFIX
from speciale.errors import SpecialeError

CASES = json.loads((Path(__file__).parent / "data" / "encode.json").read_text("utf-8"))

# Which message is at fault in each golden case that has no prompt; None: the mode itself.
FAULTS = {
    "err_args_json_array": 1,
    "err_args_not_json": 1,
    "err_bad_mode": None,
    "err_developer_empty": 0,
    "err_tool_after_assistant_without_calls": 2,
    "err_tool_after_user": 1,
    "err_unknown_role": 0,
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden(case):
    given_messages = copy.deepcopy(case["input"])
    if "error" in case:
        with pytest.raises(ChatFormatError) as caught:
            encode(**case["input"])
        assert caught.value.index == FAULTS[case["name"]]
    else:
        assert encode(**case["input"]) == case["prompt"]
    assert case["input"] == given_messages, "the caller's messages were changed"


def test_the_official_vectors_are_among_the_cases():
    names = {case["name"] for case in CASES}
    assert len(CASES) == 77
    assert {"official_readme_example", "official_search_wo_date", "official_test_input"} <= names


# --- oddities that the golden cases leave out ---------------------------------------------------


def user(content="q"):
    return {"role": "user", "content": content}


def developer(content="d", **keys):
    return {"role": "developer", "content": content, **keys}


def assistant(content="a", reasoning="r", **keys):
    return {"role": "assistant", "content": content, "reasoning_content": reasoning, **keys}


def calling(*arguments, name="f", **keys):
    calls = [{"function": {"name": name, "arguments": text}} for text in arguments]
    return assistant(tool_calls=calls, **keys)


def tool(content="out"):
    return {"role": "tool", "content": content}


def parameters(arguments, name="f"):
    """The text between the invoke tags of a single call."""
    text = encode([calling(arguments, name=name)], "chat")
    opening = f'{chat.INVOKE_OPEN} name="{name}">\n'
    return text[text.index(opening) + len(opening) : text.index(f"\n{chat.INVOKE_CLOSE}")]


def fault(messages, *args, **kwargs):
    with pytest.raises(ChatFormatError) as caught:
        encode(messages, *args, **kwargs)
    assert isinstance(caught.value, SpecialeError) and isinstance(caught.value, ValueError)
    index = caught.value.index
    assert (re.match(rf"message {index}(:|,| \()", str(caught.value)) is None) is (index is None)
    return index


def test_no_messages_give_bos_alone_whatever_the_mode():
    assert encode([], "nonsense") == BOS
    assert encode([], context=[user()]) == ""
    assert encode([], add_default_bos_token=False) == ""


@pytest.mark.parametrize("role", ["developer", "critic"])
def test_thinking_refuses_roles_that_the_reference_filters_away(role):
    first, rest = {"role": role, "content": "d"}, [assistant(), user()]
    assert fault([first, *rest]) == 0
    assert fault(rest, context=[first]) == 0
    assert encode([], context=[first, *rest]) == ""


def test_without_a_user_turn_nothing_is_filtered_away():
    context = [{"role": "critic", "content": "c"}, tool()]
    assert encode([{"role": "system", "content": "s"}], context=context) == "s"


def test_without_drop_thinking_earlier_developer_turns_are_rendered_without_reasoning():
    text = encode([developer(), assistant("a", "r"), user("q")], drop_thinking=False)
    head = f"{BOS}{USER}\n\n# The user's message is: d{ASSISTANT}{THINK_CLOSE}a{EOS}"
    assert text == f"{head}{USER}q{ASSISTANT}{THINK_OPEN}"


def test_reasoning_is_required_after_the_last_turn_in_thinking_mode_only():
    messages = [user(), assistant(reasoning="")]
    assert fault(messages) == 1
    assert encode(messages, "chat") == f"{BOS}{USER}q{ASSISTANT}{THINK_CLOSE}a{EOS}"
    assert encode([user(), calling("{}", reasoning=None)]).startswith(
        f"{BOS}{USER}q{ASSISTANT}{THINK_OPEN}{THINK_CLOSE}a\n\n{chat.CALLS_OPEN}"
    )


def test_a_tool_result_that_opens_the_list_belongs_to_the_last_message():
    assert fault([tool(), user()], "chat") == 0
    text = encode([tool(), calling("{}")], "chat")
    opening = f"{BOS}\n\n<function_results>\n<result>out</result>\n</function_results>\n\n</think>a"
    assert text.startswith(opening)
    assert fault([tool(), tool(), calling("{}", "{}")], "chat") == 1


def test_only_an_assistant_owns_tool_results():
    owner = {**calling("{}"), "role": "user"}
    assert fault([owner, tool()], "chat") == 1


def test_more_results_than_calls_are_refused():
    assert fault([user(), calling("{}", "{}"), tool(), tool(), tool()]) == 4


def test_fault_index_counts_the_context():
    assert fault([tool()], context=[user("a"), user("b")]) == 2


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        {"content": "no role"},
        {"role": ["user"]},
        developer(None),
        {"role": "system", "tools": 3},
        {"role": "system", "tools": [{"type": "function"}]},
        {"role": "system", "response_format": {"default": {1, 2}}},
        assistant(tool_calls=3),
        assistant(tool_calls=["f"]),
        assistant(tool_calls=[{"function": {"name": "f"}}]),
        assistant(tool_calls=[{"function": {"arguments": "{}"}}]),
        calling({"a": 1}),
        calling(None),
        calling("null"),
        calling("[" * 100_000),
    ],
    ids=lambda message: str(message)[:60],
)
def test_malformed_messages_name_their_place(message):
    assert fault([user(), message], "chat") == 1


def test_missing_content():
    assert encode([{"role": "user"}], "chat") == f"{BOS}{USER}None{ASSISTANT}{THINK_CLOSE}"
    assert encode([{"role": "system"}], "chat") == BOS
    assert encode([{"role": "assistant", "content": None}], "chat") == f"{BOS}{EOS}"
    assert "<result>None</result>" in encode([calling("{}"), tool(None)], "chat")


def test_a_call_without_arguments_leaves_an_empty_line():
    assert f'name="f">\n\n{chat.INVOKE_CLOSE}' in encode([calling("{}")], "chat")


@pytest.mark.parametrize(
    ("json_text", "kind", "shown"),
    [
        ('"1"', "true", "1"),
        ('"a\\n\\"b\\""', "true", 'a\n"b"'),
        ("1.50", "false", "1.5"),
        ("1e3", "false", "1000.0"),
        ("1e16", "false", "1e+16"),
        ("1e400", "false", "Infinity"),
        ("-0", "false", "0"),
        ("-0.0", "false", "-0.0"),
        ("NaN", "false", "NaN"),
        ("123456789012345678901234567890", "false", "123456789012345678901234567890"),
        ('{"b":"é\u2028/<","a":[]}', "false", '{"b": "é\u2028/<", "a": []}'),
        ("null", "false", "null"),
    ],
)
def test_argument_forms(json_text, kind, shown):
    line = f'{chat.PARAMETER_OPEN} name="k" string="{kind}">{shown}{chat.PARAMETER_CLOSE}'
    assert parameters(f'{{"k": {json_text}}}') == line


def test_of_a_repeated_argument_the_last_value_takes_the_first_place():
    assert parameters('{"k": 1, "l": 2, "k": 3}') == parameters('{"k": 3, "l": 2}')


def test_a_developers_tools_go_before_the_text_and_a_systems_after():
    tools = [{"function": {"name": "f"}}, {"function": {"name": "g"}}]
    block = f'\n\n{TOOLS_PREFIX}{{"name": "f"}}\n{{"name": "g"}}{TOOLS_SUFFIX}'
    text = encode([developer("d", tools=tools)], "chat")
    assert text.startswith(f"{BOS}{USER}{block}\n\n# The user's message is: d{ASSISTANT}")
    system = {"role": "system", "content": "s", "tools": tools, "response_format": {"type": "x"}}
    text = encode([system], "chat")
    assert text.startswith(f"{BOS}s{block}\n\n## Response Format:\n\n")
    assert text.endswith('\n{"type": "x"}')


# --- laws ---------------------------------------------------------------------------------------

CONTENT = st.text(max_size=8) | st.sampled_from(["{content}", "{0}", "{", "%s", EOS, THINK_OPEN])
ARGUMENTS = st.dictionaries(
    st.text(max_size=4), st.none() | st.integers() | st.text(max_size=6), max_size=2
).map(json.dumps)


@st.composite
def exchanges(draw, turn_roles=("user",)):
    """A well-formed conversation: at least one turn; calls are followed by all their results."""
    messages = [{"role": "system", "content": draw(CONTENT)}] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        messages.append({"role": draw(st.sampled_from(turn_roles)), "content": f"x{draw(CONTENT)}"})
        for _ in range(draw(st.integers(0, 2))):
            arguments = draw(st.lists(ARGUMENTS, max_size=2))
            reasoning = draw(st.text(min_size=1, max_size=6))
            messages.append(calling(*arguments, content=draw(CONTENT), reasoning=reasoning))
            messages += [tool(draw(CONTENT)) for _ in arguments]
    return messages


@given(messages=exchanges(("user", "developer")), cut=st.integers(1, 30))
def test_chat_text_is_the_context_text_then_the_rest(messages, cut):
    context, rest = messages[:cut], messages[cut:]
    whole = encode(messages, "chat")
    assert encode(context, "chat") + encode(rest, "chat", context=context) == whole


@given(messages=exchanges(), extra=st.integers(0, 30))
def test_thinking_text_extends_within_the_last_turn(messages, extra):
    last_turn = max(i for i, m in enumerate(messages) if m["role"] == "user")
    cut = min(last_turn + 1 + extra, len(messages))
    context, rest = messages[:cut], messages[cut:]
    assert encode(context) + encode(rest, context=context) == encode(messages)


@given(messages=exchanges())
def test_a_new_user_turn_hides_all_earlier_reasoning(messages):
    plain = [{**m, "reasoning_content": None} for m in messages]
    assert encode([*messages, user()]) == encode([*plain, user()])
    after = encode([user("next")], context=messages)
    assert after == f"{USER}next{ASSISTANT}{THINK_OPEN}"


@given(messages=exchanges())
def test_drop_thinking_changes_nothing_without_developers(messages):
    assert encode(messages) == encode(messages, drop_thinking=False)


@given(
    text=st.text(st.sampled_from("{}%$\\<>/|｜▁\"'\n\0x0é")) | st.text(),
    mode=st.sampled_from(["chat", "thinking"]),
)
@settings(max_examples=200)
def test_text_stays_literal_in_every_role(text, mode):
    opener = THINK_OPEN if mode == "thinking" else THINK_CLOSE
    assert encode([user(text)], mode) == f"{BOS}{USER}{text}{ASSISTANT}{opener}"
    assert encode([{"role": "system", "content": text}], mode) == BOS + text
    asked = encode([developer("x" + text)], mode)
    assert asked == f"{BOS}{USER}\n\n# The user's message is: x{text}{ASSISTANT}{opener}"
    context = [user(), calling(json.dumps({"k": text}))]
    called = encode(context[1:], mode, context=context[:1])
    assert f' name="k" string="true">{text}{chat.PARAMETER_CLOSE}' in called
    results = encode([tool(text)], mode, context=context)
    assert results.startswith(f"\n\n<function_results>\n<result>{text}</result>\n</function_res")


# --- the package --------------------------------------------------------------------------------


def test_special_tokens_begin_with_the_fixed_ids_and_are_distinct():
    assert chat.SPECIAL_TOKENS[:3] == (BOS, EOS, "<｜▁pad▁｜>")
    assert len(set(chat.SPECIAL_TOKENS)) == len(chat.SPECIAL_TOKENS)
    single = {USER, ASSISTANT, THINK_OPEN, THINK_CLOSE, chat.DSML, "<｜fim▁hole｜>"}
    assert single <= set(chat.SPECIAL_TOKENS)


def test_importing_chat_imports_no_heavy_package():
    code = (
        "import sys, speciale.chat; heavy = {'torch', 'numpy', 'pydantic', 'tokenizers',"
        " 'transformers'} & set(sys.modules); print(*heavy); sys.exit(len(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
