"""Constrained JSON against an independent validator: random walks over the allowed tokens must end
in valid answers, and valid ones must be allowed."""

import json
import random
import sys

import pytest
from jsonschema import Draft202012Validator

from engine.grammar_walks import (
    ANY,
    COMPILERS,
    EOS_ID,
    OWN,
    TOKENIZERS,
    accepts,
    anyone,
    function,
    refused_at,
    text_ids,
    walks,
)
from speciale.chat import DSML, THINK_CLOSE, USER, parse
from speciale.engine.grammar import GrammarCompiler, Json, JsonSchema, ToolCalls
from speciale.errors import RequestError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer"},
        "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2},
    },
    "required": ["value"],
    "additionalProperties": False,
}
# Of each: a schema, a value that it allows, and one that it does not.
SCHEMAS = {
    "object": ({"type": "object"}, {"a": [1, {"b": None}]}, [1]),
    "person": (PERSON, {"name": "Ürsula \"K\" <b>\n你好", "age": -3}, {"age": 3}),
    "closed": (PERSON, {"name": "x"}, {"name": "x", "more": 1}),
    "open": ({"type": "object", "properties": {"a": ANY}}, {"a": "", "b": 1}, {"a": 1}),
    "map": ({"type": "object", "additionalProperties": {"type": "number"}}, {"k": 1.5}, {"k": ""}),
    "list": ({"type": "array", "items": PERSON, "minItems": 1}, [{"name": "x"}], []),
    "pair": (
        {"type": "array", "prefixItems": [ANY, {"type": "integer"}], "items": False, "minItems": 2},
        ["a", 1],
        ["a", 1, 2],
    ),
    "few": ({"type": "array", "items": {"type": "boolean"}, "maxItems": 2}, [True], [True] * 3),
    "enum": ({"enum": ["red", "grün", 3, None, {"a": 1}]}, "grün", "blue"),
    "const": ({"const": "ja"}, "ja", "nein"),
    "anyOf": ({"anyOf": [{"type": "integer"}, PERSON, {"type": "null"}]}, {"name": "x"}, "x"),
    "types": ({"type": ["integer", "null"]}, None, "null"),
    "bounds": ({"type": "integer", "minimum": 3, "maximum": 17}, 17, 18),
    "open bounds": (
        {"type": "number", "exclusiveMinimum": -0.5, "exclusiveMaximum": 2.25},
        2.24,
        2.25,
    ),
    "multiple": ({"type": "integer", "multipleOf": 7, "minimum": 0}, 49, 50),
    "pattern": ({"type": "string", "pattern": "^[A-Z]{2}-\\d{3}$"}, "AB-123", "AB-1234"),
    "found": ({"type": "string", "pattern": "x/y|z$"}, "a x/y b", "za"),
    "length": ({"type": "string", "minLength": 2, "maxLength": 4}, "你好😀", "12345"),
    "recursive": (
        {"$defs": {"tree": TREE}, "$ref": "#/$defs/tree"},
        {"value": 1, "children": [{"value": 2}]},
        {"value": 1, "children": [{}]},
    ),
    "allOf": (
        {"allOf": [{"type": "object", "properties": {"a": ANY}, "required": ["a"]}, {
            "properties": {"b": {"type": "integer"}}, "required": ["b"]}]},
        {"a": "", "b": 1},
        {"a": ""},
    ),
    "oneOf": ({"oneOf": [{"type": "string"}, {"type": "number"}]}, 1.0, True),
    "format": ({"type": "string", "format": "date"}, "2024-02-29", "soon"),
    "other format": ({"type": "string", "format": "uri-reference"}, "../a", 1),
    "named format": (
        {"type": "object", "properties": {"format": {"const": "date"}}, "required": ["format"]},
        {"format": "date"},
        {},
    ),
    "unicode": (
        {"type": "object", "properties": {"größe/名": {"enum": ["klein", "𝔤roß"]}},
         "additionalProperties": False},
        {"größe/名": "𝔤roß"},
        {"größe/名": "mittel"},
    ),
    "nested": (
        {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {
            "type": "array", "items": {"type": "array", "items": {"type": "null"}}}},
            "required": ["b"]}}, "required": ["a"], "additionalProperties": False},
        {"a": {"b": [[], [None]]}},
        {"a": {"b": [1]}},
    ),
}  # fmt: skip


def validator_of(schema):
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


@anyone
@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("kind", SCHEMAS)
def test_walks_of_schemas_are_valid(name, kind, thinking):
    schema = SCHEMAS[kind][0]
    mode = "thinking" if thinking else "chat"
    for text in walks(name, JsonSchema(schema, thinking), 6 if name == "own" else 2):
        for reader in ("strict", "lenient"):
            content = parse(text, mode, reader)["content"]
            validator_of(schema).validate(json.loads(content))


@anyone
@pytest.mark.parametrize("kind", SCHEMAS)
def test_valid_json_is_allowed_and_other_json_is_not(name, kind):
    schema, good, bad = SCHEMAS[kind]
    validator = validator_of(schema)
    assert validator.is_valid(good) and not validator.is_valid(bad)
    for layout in ({}, {"indent": 2}, {"separators": (",", ":")}):
        text = json.dumps(good, ensure_ascii=False, **layout)
        assert accepts(name, JsonSchema(schema), text)
        assert accepts(name, JsonSchema(schema, thinking=True), f"so\n\n{THINK_CLOSE}{text}")
        assert not accepts(name, JsonSchema(schema), json.dumps(bad, ensure_ascii=False, **layout))


@anyone
def test_json_is_any_object_and_nothing_around_it(name):
    for text in walks(name, Json(), 10):
        assert isinstance(json.loads(parse(text, "chat")["content"]), dict)
    assert accepts(name, Json(), '{"a": [1, "b\\u00e9", {"c": -1.5e3}]}')
    for text in ("[]", "1", "{} ", " {}", "{}{}", "{'a': 1}", '{"a": 1,}', f"{{}}{USER}", ""):
        assert not accepts(name, Json(), text)


@anyone
def test_reasoning_is_free_text_that_must_end(name):
    tokenizer, spec = TOKENIZERS[name], Json(thinking=True)
    matcher = COMPILERS[name].matcher(spec)
    assert refused_at(matcher, text_ids(tokenizer, '{"b: ]\n</b> 你好 \n\n<')) is None
    close, dsml = tokenizer.token_to_id(THINK_CLOSE), tokenizer.token_to_id(DSML)
    mask = matcher.allowed()
    assert mask[close] and not mask[EOS_ID] and not mask[dsml] and not matcher.can_stop
    matcher.accept(close)
    assert not matcher.allowed()[close]
    assert refused_at(matcher, [*text_ids(tokenizer, "{}"), EOS_ID]) is None and matcher.finished


@anyone
def test_an_answer_that_can_only_spell_a_mark_ends_in_an_error(name):
    matcher = COMPILERS[name].matcher(JsonSchema({"const": "a<think>b"}))
    with pytest.raises(RequestError, match="a mark of the chat format"):
        for _ in range(20):
            matcher.accept(int(matcher.allowed().nonzero()[0]))


# --- what cannot be served ----------------------------------------------------------------------


def tool(schema, **more):
    return ToolCalls([function("f", {"a": schema}, **more)])


LOOP = {"$defs": {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/x"}}}
LATE = {"type": "string", "pattern": "(?=a)b"}
REFUSED = [
    (JsonSchema({"type": "strin"}), "the schema .*Invalid type: strin"),
    (JsonSchema(["a"]), "is a list"),
    (JsonSchema({"const": {1, 2}}), "no JSON"),
    (JsonSchema({"$ref": "#"}), "no value fits"),
    (JsonSchema({"type": "string", "minLength": 3, "maxLength": 2}), "Unsatisfiable"),
    (JsonSchema({"not": {"type": "string"}}), "Unimplemented"),
    (JsonSchema({"type": "string", "pattern": "\ud800"}), "surrogates"),
    (JsonSchema(LATE), "look-around"),
    (JsonSchema({"enum": ["x" * 300_000]}), "above the limit"),
    (tool(LATE), "the parameter 'a' of the function 'f' .*look-around"),
    (tool({"type": "array", "uniqueItems": True}), "the parameter 'a' .*uniqueItems"),
    (tool({"type": "string", "maxLength": "1}/ | /x"}), "the parameter 'a' .*malformed"),
    (tool({"anyOf": 3}), "malformed"),
    (tool({"enum": []}), "allows no value"),
    (tool({"not": {}}), "'not'"),
    (tool({"$ref": "#/$defs/z"}), "leads nowhere"),
    (tool({"$ref": "#/$defs/x"}, **LOOP), "without end"),
    (tool({"type": "array", "items": {"$ref": "#"}}), "the reference '#'"),
    (tool({}, anyOf=[{"required": ["a"]}]), "'anyOf' binds"),
    (ToolCalls([function('a" b', {})]), "a tag cannot hold"),
    (ToolCalls([function("f", {"a>": {}})]), "a tag cannot hold"),
    (ToolCalls([]), "no tools"),
    (ToolCalls([{"name": "f"}]), "no list of"),
    (ToolCalls([function("f", {})], "none"), "'none'"),
    (ToolCalls([function("f", {})], {"function": {"name": "then"}}), "no tool 'then'"),
    (ToolCalls([function("f", {"a": {"enum": ["x" * 1000]}})] * 300), "above the limit"),
]


@pytest.mark.parametrize(("spec", "problem"), REFUSED)
def test_what_cannot_be_enforced_is_told(spec, problem):
    with pytest.raises(RequestError, match=problem) as caught:
        COMPILERS["own"].matcher(spec)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600


def nested(depth, schema):
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


DOUBLING = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
HOSTILE = {
    "many properties": {"type": "object", "properties": {f"p{n}": ANY for n in range(2000)}},
    "deep": nested(60, ANY),
    "too deep": nested(400, ANY),
    "doubling": {"$defs": {**DOUBLING, "d30": ANY}, "$ref": "#/$defs/d0"},
    "nested repeats": {"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"},
    "backtracking": {"type": "string", "pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"},
    "states": {"type": "string", "pattern": "(.*[ab].{200}){9}"},
    "long": {"type": "string", "minLength": 10**9},
    "numbers": {"type": "number", "multipleOf": 1e-9, "minimum": -1e300},
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("spec", [JsonSchema, tool])
def test_hostile_schemas_are_served_or_refused(spec, kind):
    """Neither hangs: the library limits the work of a grammar and of each of its steps."""
    try:
        matcher = COMPILERS["own"].matcher(spec(HOSTILE[kind]))
        draw = random.Random(0)
        for _ in range(60):
            allowed = matcher.allowed().nonzero().squeeze(1).tolist()
            matcher.accept(draw.choice(allowed))
            if matcher.finished:
                break
    except RequestError as error:
        assert "\n" not in str(error) and len(str(error)) < 600


def test_one_answer_does_not_use_up_the_limits_of_the_next():
    """Machines that share a lexer share its states."""
    spec = JsonSchema({"type": "string", "pattern": "[ab].{60}x"})
    text = '"' + "".join(random.Random(0).choices("ab", k=400))
    for _ in range(3):
        assert refused_at(COMPILERS["own"].matcher(spec), text_ids(OWN, text)) is None


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(RequestError, match=r"install `speciale\[grammar\]`"):
        GrammarCompiler(OWN, EOS_ID, 600).matcher(Json())
