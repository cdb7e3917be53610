"""The procedural author of the general kind: items, families, ladders, and that they repeat.

V3.2 report, 3.2.3. What generated code does when it runs is in test_general_worlds.py.
"""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from speciale.synth.gates.static import findings
from speciale.synth.general import CATEGORIES, items, make
from speciale.tasks.synthesised.family import Family, read_family, write_family

KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    """One family of each category."""
    count = len(CATEGORIES)
    return {item["category"]: make(item) for item in itertools.islice(items(CATEGORIES, 3), count)}


def test_there_are_at_least_the_twelve_categories_of_the_issue():
    wanted = (
        "travel shop library clinic logistics calendar inventory courses finance recipes events"
        " support"
    )
    assert set(wanted.split()) <= set(CATEGORIES)


def test_items_go_round_the_categories_without_end_and_without_a_key_twice():
    found = list(itertools.islice(items(["shop", "clinic", "travel"], 5), 300))
    assert [item["category"] for item in found[:4]] == ["shop", "clinic", "travel", "shop"]
    assert [item["index"] for item in found] == list(range(300))
    assert len({item["key"] for item in found}) == 300
    assert all(KEY.fullmatch(item["key"]) and item["author"] == "general" for item in found)
    assert json.loads(json.dumps(found[7])) == found[7]


def test_the_same_item_gives_the_same_bytes_in_another_process_with_another_hash_seed():
    script = """
import hashlib, itertools, sys
from speciale.synth.general import CATEGORIES, items, make
for item in itertools.islice(items(CATEGORIES, 9), int(sys.argv[1])):
    family = make(item)
    print(item["key"], *(family.digest(number) for number in family.tasks))
"""
    made = [
        subprocess.run(
            [sys.executable, "-c", script, "6"],
            capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "77")
    ]  # fmt: skip
    assert made[0].count("\n") == 6
    assert made[0] == made[1]


def test_other_items_give_other_worlds():
    one, other = itertools.islice(items(["library"], 3), 2)
    assert make(one).files["data.sqlite"] != make(other).files["data.sqlite"]
    assert make(one).files["data.sqlite"] == make(one).files["data.sqlite"]


def test_every_family_has_enough_tasks_on_every_level_in_chains_that_rise(families):
    for category, family in families.items():
        assert 8 <= len(family.tasks) <= 14, category
        assert {task.about.level for task in family.tasks.values()} == {1, 2, 3, 4}, category
        for number, task in family.tasks.items():
            about = task.about
            if about.harder_than is not None:
                easier = family.tasks[about.harder_than].about
                assert about.harder_than < number
                assert easier.level < about.level and easier.pattern == about.pattern


def test_a_third_of_the_tasks_write_and_all_kinds_of_question_come_up(families):
    tasks = [task.about for family in families.values() for task in family.tasks.values()]
    assert sum(task.metadata["changes"] for task in tasks) > len(tasks) / 3
    patterns = Counter(task.pattern for task in tasks)
    assert set(patterns) == {
        "assign", "best", "bundle", "chain", "reconcile", "route", "schedule",
    }  # fmt: skip


def test_generated_code_is_pure_and_parses(families):
    for family in families.values():
        tools = family.files["tools.py"].decode()
        assert not findings(tools, database=True)
        names = [node.name for node in ast.parse(tools).body if isinstance(node, ast.FunctionDef)]
        assert len(names) == len(set(names)), "a tool hides another"
        for task in family.tasks.values():
            assert not findings(task.solution, database=False, needs="solve")
            assert not findings(task.verify, database=True, needs="verify")


def test_tools_have_types_and_say_what_every_argument_is(families):
    for family in families.values():
        for node in ast.parse(family.files["tools.py"].decode()).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            arguments = node.args.args[1:]
            doc = ast.get_docstring(node) or ""
            assert doc.splitlines()[0].endswith("."), node.name
            for argument in arguments:
                assert argument.annotation is not None, node.name
                assert f"{argument.arg}: " in doc, (node.name, argument.arg)


def test_a_prompt_is_a_text_without_gaps_and_shows_the_form_of_its_answer(families):
    for family in families.values():
        for task in family.tasks.values():
            prompt = task.about.prompt
            assert not re.search(r"[{]\w+[}]|\$\w|None|  |\.\.|\b(\w+) \1\b", prompt), prompt
            assert prompt[0].isupper() and not re.search(r"\ba [aeio]", prompt), prompt
            example = json.loads(re.search(r"([\[{].*|\"name\"|0)\Z", prompt)[1])
            assert _fits(example, task.about.answer_schema) or task.about.pattern == "route"


def _fits(value, schema) -> bool:
    """Whether a value has the types and keys of a schema of ours."""
    kind = schema["type"]
    if kind == "object":
        return set(value) == set(schema["required"]) and all(
            _fits(value[key], each) for key, each in schema["properties"].items()
        )
    if kind == "array":
        return len(value) == schema["minItems"] and all(
            _fits(each, schema["items"]) for each in value
        )
    return isinstance(value, {"string": str, "integer": int}[kind])


def test_the_data_is_what_the_schema_says(families):
    for family in families.values():
        db = sqlite3.connect(":memory:")
        db.deserialize(family.files["data.sqlite"])
        fresh = sqlite3.connect(":memory:")
        fresh.executescript(family.files["schema.sql"].decode())
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
        tables = db.execute(query).fetchall()
        assert tables == fresh.execute(query).fetchall()
        assert sum(db.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for name, _ in tables)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_schemas_and_tools_differ_between_categories_and_between_families(families):
    tools = {}
    for category, family in families.items():
        body = ast.parse(family.files["tools.py"].decode()).body
        tools[category] = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    for one, other in itertools.combinations(tools, 2):
        shared = {name for name in tools[one] & tools[other] if not name.startswith("_")}
        assert len(shared) <= len(tools[one]) / 3, (one, other, shared)
    schemas = {make(item).files["schema.sql"] for item in itertools.islice(items(["shop"], 1), 6)}
    assert len(schemas) >= 4


def test_wording_varies_within_a_pattern():
    openings = defaultdict(set)
    for item in itertools.islice(items(["finance", "events"], 2), 8):
        for task in make(item).tasks.values():
            words = re.sub(r"[A-Z]\w+|\d+", "", task.about.prompt).split()
            openings[task.about.pattern].add(" ".join(words[:20]))
    assert all(len(found) >= 4 for found in openings.values())


def test_a_family_comes_back_from_its_folder(families, tmp_path):
    family = families["clinic"]
    write_family(tmp_path, family)
    again = read_family(tmp_path)
    assert [again.digest(n) for n in again.tasks] == [family.digest(n) for n in family.tasks]
