"""BFCL's tasks as they are drawn: all of them, their tools, turns and answers; nothing is run."""

import json
import re
import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from speciale.errors import DataError
from speciale.tasks.bfcl import CATEGORIES, REFUSED, bfcl_tasks, data
from speciale.tasks.bfcl.calls import calls_of, first_answer, turns_of
from speciale.tasks.bfcl.multi_turn import MORE
from speciale.tasks.bfcl.schemas import tool

WORLDS = [name for name, category in CATEGORIES.items() if category.kind == "worlds"]


@pytest.mark.parametrize("name", CATEGORIES)
def test_every_case_is_a_task(name):
    tasks = list(bfcl_tasks(name))
    assert len(tasks) == len({task.id for task in tasks}) == CATEGORIES[name].size
    for task in tasks:
        assert task.source == f"bfcl/{name}"
        assert task.prompt[-1]["role"] == "user" and task.prompt[-1]["content"]
        assert json.loads(json.dumps(task.metadata)) == task.metadata
        names = [one["function"]["name"] for one in task.tools]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", one) for one in names)


def all_tools(task):
    return [*task.tools, *(one for turn in task.turns for one in turn.tools)]


def test_every_tool_has_a_json_schema_without_types_of_other_languages():
    shown = set()
    for name in CATEGORIES:
        for task in bfcl_tasks(name):
            for one in all_tools(task):
                assert one.keys() == {"type", "function"}
                assert one["function"].keys() == {"name", "description", "parameters"}
                shown.add(json.dumps(one["function"]["parameters"]))
    kinds = {kind for text in shown for kind in re.findall(r'"type": ("\w*"|\[.*?\])', text)}
    named = {'"string"', '"integer"', '"number"', '"boolean"', '"array"', '"object"'}
    assert kinds == named | {'["integer", "string"]'}
    for text in sorted(shown)[::20]:  # the whole check takes long
        Draft202012Validator.check_schema(json.loads(text))


def test_types_are_converted_at_every_depth():
    parameters = {
        "type": "dict",
        "properties": {
            "point": {"type": "tuple", "items": {"type": "float"}, "description": "d"},
            "options": {"type": "dict", "properties": {"deep": {"type": "any"}}, "optional": True},
        },
        "required": ["point"],
    }
    document = {"name": "a.b", "description": "Does.", "parameters": parameters}
    function = tool(document)["function"]
    assert function["name"] == "a_b"
    assert function["parameters"] == {
        "type": "object",
        "properties": {
            "point": {"type": "array", "items": {"type": "number"}, "description": "d"},
            "options": {"type": "object", "properties": {"deep": {}}},
        },
        "required": ["point"],
    }


def test_a_value_of_java_is_text_and_its_type_is_said():
    parameters = {
        "type": "dict",
        "properties": {
            "ids": {"type": "ArrayList", "items": {"type": "long"}, "description": "D."}
        },
        "required": ["ids"],
    }
    document = {"name": "f", "description": "Does.", "parameters": parameters}
    made = tool(document, "java")["function"]
    assert made["description"] == "Does. Note that the provided function is in Java 8 SDK syntax."
    assert made["parameters"]["properties"]["ids"] == {
        "type": "string",
        "description": "D. This is Java ArrayList type parameter in string representation. The "
        "list elements are of type long; they are not in string representation.",
    }
    assert parameters["properties"]["ids"]["type"] == "ArrayList"  # the document stays as it was


@pytest.mark.parametrize("name", WORLDS)
def test_the_right_calls_fit_the_tools_that_are_offered_when_they_are_made(name):
    for task in bfcl_tasks(name):
        offered = {one["function"]["name"]: one["function"]["parameters"] for one in task.tools}
        turns = [(), *(turn.tools for turn in task.turns)]
        assert len(turns) == len(task.metadata["gold"])
        for new, calls in zip(turns, task.metadata["gold"]):
            offered |= {one["function"]["name"]: one["function"]["parameters"] for one in new}
            for call in calls:
                schema = offered[call["name"]]
                Draft202012Validator(schema).validate(call["arguments"])
                assert call["arguments"].keys() <= schema["properties"].keys()


def test_functions_that_are_held_out_come_with_the_words_that_say_so():
    for task in bfcl_tasks("multi_turn_miss_func"):
        late = [turn for turn in task.turns if turn.messages[0]["content"] == MORE]
        assert len(late) == 1 and late[0].tools and late[0].messages[0]["role"] == "user"
        names = {one["function"]["name"] for one in late[0].tools}
        assert names.isdisjoint(one["function"]["name"] for one in task.tools)
        assert all(turn in late or not turn.tools for turn in task.turns)


def test_a_function_that_the_answer_needs_earlier_is_not_held_out():
    (task,) = (one for one in bfcl_tasks("multi_turn_miss_func") if one.id.endswith("_49"))
    late = {one["function"]["name"] for turn in task.turns for one in turn.tools}
    assert late == {"wc", "cat"}  # and tail is offered from the start
    assert "tail" in {one["function"]["name"] for one in task.tools}


def test_arguments_given_by_position_have_their_names():
    (task,) = (one for one in bfcl_tasks("multi_turn_base") if one.id == "multi_turn_base_0")
    assert task.metadata["gold"][2] == [
        {"name": "sort", "arguments": {"file_name": "final_report.pdf"}}
    ]


def test_seed_and_count_decide_what_is_drawn():
    def drawn(**given):
        return [task.id for task in bfcl_tasks("multiple", **given)]

    assert drawn(count=5, seed=3) == drawn(seed=3)[:5]
    assert drawn(count=5, seed=3) == drawn(count=5, seed=3) != drawn(count=5, seed=4)
    assert sorted(drawn(seed=1)) == sorted(drawn(seed=2))


def test_a_category_that_is_not_to_be_had_says_why():
    for name, reason in REFUSED.items():
        with pytest.raises(DataError, match=re.escape(reason)):
            bfcl_tasks(name)
    with pytest.raises(DataError, match=r"no category 'multi_turn'.*multi_turn_base"):
        bfcl_tasks("multi_turn")


def test_a_missing_package_is_named_with_its_mend(monkeypatch):
    data.cases.cache_clear()
    monkeypatch.setattr(data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install --no-deps bfcl-eval==2026\.3\.23"):
        bfcl_tasks("multiple")


def test_tasks_are_drawn_without_importing_what_reads_or_runs_them():
    script = (
        "import sys; from speciale.tasks.bfcl import bfcl_tasks;"
        "list(bfcl_tasks('multi_turn_base')); list(bfcl_tasks('simple_java'));"
        "print([m for m in sys.modules if m.split('.')[0] in"
        " ('bfcl_eval', 'torch', 'jsonschema', 'numpy')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# --- the calls of a conversation ------------------------------------------------------------------


def function(name, arguments):
    return {
        "role": "assistant",
        "tool_calls": [{"function": {"name": name, "arguments": arguments}}],
    }


@pytest.mark.parametrize(
    "arguments, read",
    [
        ('{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ("", {}),
        ("[1]", None),
        ('{"a": ', None),
        ("[" * 100_000, None),
        (None, None),
        (7, None),
    ],
)
def test_arguments_are_an_object_or_nothing(arguments, read):
    assert calls_of(function("f", arguments)) == [{"name": "f", "arguments": read}]


@pytest.mark.parametrize(
    "message, calls",
    [
        ({"role": "assistant", "content": "text"}, 0),
        ({"role": "assistant", "tool_calls": None}, 0),
        ({"role": "assistant", "tool_calls": 3}, 0),
        ({"role": "tool", "tool_calls": [{}]}, 0),
        ({"role": "assistant", "tool_calls": ["f", None, {}, {"function": "f"}]}, 4),
    ],
)
def test_messages_of_any_form_are_read(message, calls):
    assert calls_of(message) == [{"name": "", "arguments": None}] * calls


def test_turns_begin_with_their_own_messages():
    def user(text):
        return {"role": "user", "content": text}

    messages = [
        function("early", "{}"),
        user("one"),
        function("f", "{}"),
        user("The tool call could not be read."),
        function("g", "{}"),
        user("two"),
        user("three"),
        function("h", "{}"),
    ]
    turns = turns_of(messages, [user("one"), user("two"), user("three"), user("four")])
    assert [[call["name"] for call in calls] for calls in turns] == [["f", "g"], [], ["h"]]
    assert first_answer(messages, 2) is messages[4]
    assert first_answer(messages[:2], 1) is None
    assert first_answer([], 0) is None
