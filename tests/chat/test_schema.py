"""Fitting arguments to schemas: what changes, what stays, and schemas that are none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speciale.chat.schema import fit_arguments


def tools(properties):
    parameters = {"type": "object", "properties": properties}
    return [{"type": "function", "function": {"name": "f", "parameters": parameters}}]


@pytest.mark.parametrize(
    ("schema", "text", "fitted"),
    [
        ({"type": "integer"}, "42", 42),
        ({"type": "integer"}, "4.5", "4.5"),
        ({"type": "number"}, "42", 42),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "yes", "yes"),
        ({"type": "array"}, "[1]", [1]),
        ({"type": ["object", "null"]}, "null", None),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "42", "42"),
        ({"oneOf": [{"type": "integer"}, {}]}, "42", "42"),
        ({}, "42", "42"),
    ],
)
def test_text_becomes_what_the_schema_asks_for(schema, text, fitted):
    arguments, changes = fit_arguments("f", json.dumps({"a": text}), tools({"a": schema}))
    assert json.loads(arguments) == {"a": fitted}
    assert type(json.loads(arguments)["a"]) is type(fitted)
    assert bool(changes) == (text != fitted)


def test_what_needs_no_change_stays_to_the_byte():
    text = '{"a":  1.50}'
    assert fit_arguments("f", text, tools({"a": {"type": "number"}})) == (text, [])
    assert fit_arguments("g", '{"a": "1"}', tools({"a": {"type": "integer"}})) == ('{"a": "1"}', [])


JUNK = st.recursive(
    st.none() | st.integers() | st.sampled_from(["string", "integer", "f", "arguments"]),
    lambda of: (
        st.lists(of, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "anyOf", "oneOf", "properties", "a", "name"]), of, max_size=3
        )
    ),
    max_leaves=8,
)
SCHEMAS = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({"name": st.just("f"), "parameters": JUNK})}
)


@given(
    st.lists(SCHEMAS | JUNK, max_size=2),
    st.sampled_from(['{"a": "1"}', '{"arguments": "{}"}', "3", "{"]),
)
def test_any_schema_is_taken(junk, arguments):
    fitted, changes = fit_arguments("f", arguments, [*junk, *tools(junk)])
    assert changes or fitted == arguments


def test_a_schema_of_any_depth_is_taken():
    deep = {"type": "integer"}
    for _ in range(5_000):
        deep = {"anyOf": [deep]}
    assert fit_arguments("f", '{"a": "1"}', tools({"a": deep}))[0] == '{"a": 1}'
