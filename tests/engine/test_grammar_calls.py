"""Constrained calls against independent readers, the strict parser of the chat format and a
validator of JSON schemas; and against what the chat template writes."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.grammar_walks import (
    ANY,
    COMPILERS,
    EOS_ID,
    TOKENIZERS,
    accepts,
    anyone,
    function,
    refused_at,
    text_ids,
    walks,
)
from speciale.chat import CALLS_OPEN, DSML, EOS, THINK_CLOSE, USER, encode_ids, parse
from speciale.chat.ids import parts_to_ids
from speciale.engine.grammar import Json, ToolCalls

pytestmark = pytest.mark.slow  # in .ci/run

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}
PLACE = {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "integer"}]}
TOOLS = [
    function(
        "get_weather",
        {
            "city": ANY,
            "unit": {"enum": ["C", "F", "", None, 0]},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
            "code": {"type": ["string", "null"], "pattern": "^[A-Z]{2}\\d?$"},
            "where": {"$ref": "#/$defs/place"},
            "options": {"type": "object", "properties": {"a b": ANY, "at": {"$ref": "#/$defs/p"}}},
        },
        ["city", "days", "city"],
        **{"$defs": {"place": PLACE, "p": PERSON}},
    ),
    function("日本語", {"値": {}, "choice": {"oneOf": [{"const": "a"}, {"const": "b"}]}}),
    {"type": "function", "function": {"name": "now"}},
    function("many", {f"p{n}": ANY for n in range(70)}, ["p3"], additionalProperties=False),
]
ARGUMENTS = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in TOOLS}


def call(name, **arguments):
    return {"function": {"name": name, "arguments": json.dumps(arguments)}}


def completion(name, mode, calls, content="", reasoning="r"):
    """The ids that the template has for a message with calls."""
    said = {"role": "assistant", "content": content, "reasoning_content": reasoning}
    context = [{"role": "user", "content": "q"}]
    message = {**said, "tool_calls": calls}
    return encode_ids(TOKENIZERS[name], [message], mode, context, drop_thinking=False)


GOLD = [
    [call("get_weather", city="北京", days=3)],
    [call("get_weather", days=1, city="")],
    [call("get_weather", unit="C", city='a "quoted" <b>\n</b>\n\n', days=7, code="AB", where=5)],
    [call("get_weather", unit=None, code=None, city="</", days=2, where="<x>&lt;\n")],
    [call("get_weather", unit="", city="\n", days=2, options={"a b": "}\n", "at": {"name": "ü"}})],
    [call("now"), call("日本語", choice="a", 値="text </parameter>"), call("now")],
    [call("日本語", 値=[1, {"b": [True, None, "<>"]}]), call("日本語", 値={}), call("日本語")],
    [call("日本語", 値=f"{EOS}{USER} and {DSML} and <{DSML}invoke> as text")],
    [call("many", p3="a", p0="b", p69="c")],
]


@anyone
@pytest.mark.parametrize("mode", ["chat", "thinking"])
@pytest.mark.parametrize("calls", GOLD)
def test_what_the_template_writes_is_allowed(name, mode, calls):
    for choice, content in (("auto", ""), ("auto", "Let me see: 2 < 3.\n\n\n"), ("required", "")):
        matcher = COMPILERS[name].matcher(ToolCalls(TOOLS, choice, mode == "thinking"))
        assert refused_at(matcher, completion(name, mode, calls, content)) is None
        assert matcher.finished


@anyone
@pytest.mark.parametrize("choice", ["auto", "required", "named"])
@pytest.mark.parametrize("mode", ["chat", "thinking"])
def test_walks_of_calls_are_read_and_fit_their_schemas(name, mode, choice):
    named = {"type": "function", "function": {"name": "get_weather"}}
    spec = ToolCalls(TOOLS, named if choice == "named" else choice, mode == "thinking")
    for text in walks(name, spec, 16 if name == "own" else 2):
        message = parse(text, mode, "strict")
        assert message == parse(text, mode, "lenient")
        calls = [each["function"] for each in message["tool_calls"]]
        assert calls or choice == "auto"
        assert choice != "named" or [each["name"] for each in calls] == ["get_weather"]
        for each in calls:
            schema = ARGUMENTS[each["name"]]
            arguments = json.loads(each["arguments"])
            Draft202012Validator(schema).validate(arguments)
            assert arguments.keys() <= schema.get("properties", {}).keys()


def test_walks_reach_every_function_and_parameter():
    """Else the walks would prove little."""
    seen = set()
    for text in walks("own", ToolCalls(TOOLS[:2], "required"), 100):
        for each in parse(text, "chat")["tool_calls"]:
            arguments = json.loads(each["function"]["arguments"])
            seen |= {(each["function"]["name"], key, type(arguments[key])) for key in arguments}
    for key, kinds in {
        "city": [str], "days": [int], "unit": [str, type(None), int], "code": [str, type(None)],
        "where": [str, int], "options": [dict],
    }.items():  # fmt: skip
        assert {("get_weather", key, kind) for kind in kinds} <= seen
    assert ("日本語", "値", str) in seen and ("日本語", "choice", str) in seen


def block(*calls):
    return "\n\n" + "\n".join([CALLS_OPEN, *calls, f"</{DSML}function_calls>"])


def written(name, *parameters):
    lines = [
        f'<{DSML}parameter name="{key}" string="{kind}">{value}</{DSML}parameter>'
        for key, kind, value in parameters
    ]
    return f'<{DSML}invoke name="{name}">\n' + "\n".join(lines) + f"\n</{DSML}invoke>"


CITY, DAYS = ("city", "true", "x"), ("days", "false", "1")
RIGHT = written("get_weather", CITY, DAYS)
FAULTS = {
    "function": block(written("get_wether", CITY, DAYS)),
    "parameter": block(written("get_weather", CITY, DAYS, ("town", "true", "x"))),
    "missing": block(written("get_weather", CITY)),
    "twice": block(written("get_weather", CITY, DAYS, CITY)),
    "text for a number": block(written("get_weather", CITY, ("days", "true", "1"))),
    "number for text": block(written("get_weather", ("city", "false", "1"), DAYS)),
    "quoted text": block(written("get_weather", ("city", "false", '"x"'), DAYS)),
    "out of bounds": block(written("get_weather", CITY, ("days", "false", "8"))),
    "no JSON": block(written("get_weather", CITY, ("days", "false", "one"))),
    "not in enum": block(written("get_weather", CITY, DAYS, ("unit", "true", "K"))),
    "pattern": block(written("get_weather", CITY, DAYS, ("code", "true", "ABC"))),
    "length": block(written("get_weather", CITY, DAYS, ("where", "true", "1234567890"))),
    "deep": block(written("get_weather", CITY, DAYS, ("options", "false", '{"at": {}}'))),
    "argument for none": block(written("now", CITY)),
    "missing of many": block(written("many", ("p0", "true", "x"))),
    "text after": block(RIGHT) + "x",
    "space after": block(RIGHT) + "\n",
    "a block after": block(RIGHT) + block(RIGHT),
    "no call": block(),
    "not closed": block(RIGHT)[: -len(f"\n</{DSML}function_calls>")],
    "one newline": block(RIGHT)[1:],
    "no block": "\n\n" + RIGHT,
    "space between": block(RIGHT, "", RIGHT),
    "mark alone": f"a {DSML} b",
    "user mark": f"a{USER}",
    "think mark": f"a{THINK_CLOSE}",
}


@anyone
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_refused(name, fault):
    assert accepts(name, ToolCalls(TOOLS), block(RIGHT))
    assert not accepts(name, ToolCalls(TOOLS), FAULTS[fault])


@anyone
def test_the_choice_says_which_calls_must_come(name):
    now, named = written("now"), {"function": {"name": "now"}}
    assert accepts(name, ToolCalls(TOOLS, "auto"), "No need.")
    assert accepts(name, ToolCalls(TOOLS, "auto"), "")
    # What stands on both sides of a mark is no mark together.
    assert accepts(name, ToolCalls(TOOLS, thinking=True), f"<{THINK_CLOSE}think>")
    for choice in ("required", named):
        assert accepts(name, ToolCalls(TOOLS, choice), block(now))
        thought = ToolCalls(TOOLS, choice, thinking=True)
        assert accepts(name, thought, f"hm{THINK_CLOSE}{block(now)}")
        for text in ("", "No need.", f"So:{block(now)}"):
            assert not accepts(name, ToolCalls(TOOLS, choice), text)
    assert accepts(name, ToolCalls(TOOLS, "required"), block(now, RIGHT))
    assert not accepts(name, ToolCalls(TOOLS, named), block(RIGHT))
    assert not accepts(name, ToolCalls(TOOLS, named), block(now, now))


PATTERNS = [
    *("^a|b$", "a/b|^(b|c)$", "a\nb", "", "^"),
    *(r"^[a/\\]|]+$", r"\d\w\W", r"[\w-]\D", r"^(a\||b)$"),
]
TEXTS = [
    *("a", "b", "ab", "ba", "bb", "a/b", "c", "a\nb", ""),
    *("a]/|", "1a-", "1é-", "1aé", "٣a-", "-a", "a|", "\\|]", "a/"),
]


@anyone
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_of_text_values_are_searched_for(name, pattern):
    spec = ToolCalls([function("f", {"a": {"type": "string", "pattern": pattern}})])
    for text in TEXTS:
        found = re.search(pattern, text, re.ASCII) is not None
        assert accepts(name, spec, block(written("f", ("a", "true", text)))) == found, text


# --- marks that text spells ---------------------------------------------------------------------

PIECES = [
    *("<", "</", "/", "｜", "‖", "DSML", "parameter", "\n", "a", "invoke>"),
    *(DSML, f"<{DSML}", f"/{DSML}parameter", "‖DSML‖parameter", f"</{DSML}invoke>"),
    *(f'<{DSML}parameter name="city" string="true">', f"</{DSML}parameter>\n"),
    *("<think>", THINK_CLOSE, EOS, USER),
]
# llguidance takes U+007F in JSON as an escape only.
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=2)
SPELT = st.lists(st.sampled_from(PIECES) | ANY_TEXT, max_size=6).map("".join)


def spelt_ids(tokenizer, text):
    """Ids of `text` without any mark."""
    return parts_to_ids(tokenizer, ["", text])


@anyone
@given(SPELT, st.sampled_from(["auto", "required"]))
@settings(max_examples=60)
def test_values_that_are_allowed_read_as_they_were_meant(name, value, choice):
    """Whatever a value spells, strict and lenient readers get that value back."""
    tokenizer = TOKENIZERS[name]
    for kind, inner in (("true", value), ("false", json.dumps({"a": value}, ensure_ascii=False))):
        start, end = block(written("日本語", ("値", kind, "@"))).split("@")
        ids = [*text_ids(tokenizer, start), *spelt_ids(tokenizer, inner)]
        ids += [*text_ids(tokenizer, end), EOS_ID]
        allowed = refused_at(COMPILERS[name].matcher(ToolCalls(TOOLS[1:2], choice)), ids) is None
        assert allowed or "DSML" in value
        if allowed:
            text = tokenizer.decode(ids, skip_special_tokens=False)
            for reader in ("strict", "lenient"):
                [only] = parse(text, "chat", reader)["tool_calls"]
                wanted = value if kind == "true" else {"a": value}
                assert json.loads(only["function"]["arguments"]) == {"値": wanted}


@anyone
@given(SPELT, SPELT)
@settings(max_examples=60)
def test_text_that_is_allowed_holds_no_mark(name, reasoning, content):
    tokenizer = TOKENIZERS[name]
    body = json.dumps({"a": content}, ensure_ascii=False)
    close = tokenizer.token_to_id(THINK_CLOSE)
    ids = [*spelt_ids(tokenizer, reasoning), close, *spelt_ids(tokenizer, body), EOS_ID]
    if refused_at(COMPILERS[name].matcher(Json(thinking=True)), ids) is None:
        text = tokenizer.decode(ids, skip_special_tokens=False)
        for reader in ("strict", "lenient"):
            message = parse(text, "thinking", reader)
            assert (message["reasoning_content"], message["content"]) == (reasoning, body)
    else:
        assert any(piece in reasoning + content for piece in ("｜", "‖", "think>"))
