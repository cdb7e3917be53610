"""The author of starter environments: each solution runs in as many calls as its level says,
verifiers take the right answer alone, and what is held out is never among the trained."""

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from functools import cache
from itertools import islice

import pytest

from speciale.sandbox import Sandbox
from speciale.synth.gates import judge
from speciale.synth.starter import PATTERNS, UNSEEN_PATTERNS, items, make
from speciale.synth.starter.author import LONGEST, unseen
from speciale.synth.work import author_of
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.purity import is_pure
from speciale.tasks.synthesised.signatures import tools_of
from speciale.tasks.synthesised.source import split_of_task

ALL = [(name, domain) for name, pattern in PATTERNS.items() for domain in pattern.domains]


@cache
def family(pattern, domain, seed=0):
    return make({
        "author": "starter", "key": f"starter-{pattern}-{domain}-{seed}", "category": pattern,
        "domain": domain, "seed": seed, "index": 0,
    })  # fmt: skip


class Tools:
    """A family's tools in this process, over a database of its own."""

    def __init__(self, found):
        self.db, self.calls, self.names = opened(found), [], {}
        exec(found.files["tools.py"].decode(), self.names)

    def __getattr__(self, name):
        def call(**arguments):
            value = self.names[name](self.db, **arguments)
            self.calls.append((name, arguments, value))
            return value

        return call


def opened(found):
    db = sqlite3.connect(":memory:")
    db.deserialize(found.files["data.sqlite"])
    return db


def run(found, number):
    tools, names = Tools(found), {}
    exec(found.tasks[number].solution, names)
    return names["solve"](tools), tools


def rulings(found, number, answers, after):
    names = {}
    exec(found.tasks[number].verify, names)
    before = opened(found)
    for db in (before, after):
        db.row_factory = sqlite3.Row
    return [names["verify"](answer, before, after) for answer in answers]


@pytest.mark.parametrize("pattern,domain", ALL)
def test_every_environment(pattern, domain):
    found = family(pattern, domain)
    assert 15 <= len(found.tasks) <= 18 and found.about.kind == "general"
    tools = tools_of(found.files["tools.py"].decode())
    assert 2 <= len(tools) <= 3 and is_pure(found.files["tools.py"].decode())
    for tool in tools:
        properties = tool["function"]["parameters"]["properties"]
        assert 1 <= len(properties) <= 2 and "\n" not in tool["function"]["description"]
        assert {each["type"] for each in properties.values()} <= {"string", "integer"}
    answers = set()
    # All tasks of a pattern's first domain, a few of its others: they differ in words alone.
    whole = domain == next(iter(PATTERNS[pattern].domains))
    for number, task in list(found.tasks.items())[:: 1 if whole else 5]:
        about = task.about
        answer, made = run(found, number)
        assert len(made.calls) == about.level + 1 == len(about.metadata["thoughts"]) - 1
        kind = {"string": str, "integer": int}[about.answer_schema["type"]]
        assert type(answer) is kind and len(about.prompt) <= LONGEST
        near = f"{answer}s" if kind is str else answer + 1
        right, *wrong = rulings(found, number, [answer, near, None, [answer]], made.db)
        assert right is True and all(isinstance(each, str) for each in wrong), about.prompt
        if about.metadata["changes"]:
            (undone,) = rulings(found, number, [answer], opened(found))
            assert isinstance(undone, str), "nothing was done and all is well"
        for name, arguments, value in made.calls:
            plain = value if isinstance(value, list) else [value]
            assert all(type(each) in (int, str) for each in [*plain, *arguments.values()]), name
        answers.add(answer)
    levels = Counter(task.about.level for task in found.tasks.values())
    assert set(levels) == {1, 2, 3} and min(levels.values()) >= 4
    assert len(answers) >= 6 or not whole, answers


def test_what_is_held_out():
    trained = {name for name in PATTERNS if not unseen(name, next(iter(PATTERNS[name].domains)))}
    assert len(trained) >= 6 and len(UNSEEN_PATTERNS) >= 2 and not trained & set(UNSEEN_PATTERNS)
    tables, splits, known, new = {}, Counter(), set(), set()
    nouns: dict[bool, set] = {True: set(), False: set()}
    for pattern, domain in ALL:
        found = family(pattern, domain)
        held = unseen(pattern, domain)
        assert {task.about.metadata["unseen"] for task in found.tasks.values()} == {held}
        given = {split_of_task(task) for task in found.tasks.values()}
        assert given == {"heldout"} if held else "train" in given
        splits += Counter(split_of_task(task) for task in found.tasks.values() if not held)
        code = found.files["tools.py"].decode()
        assert code not in tables, f"{pattern}/{domain} has the tools of {tables.get(code)}"
        tables[code] = f"{pattern}/{domain}"
        tools = {tool["function"]["name"] for tool in tools_of(code)}
        nouns[bool(held)].add((pattern, PATTERNS[pattern].domains[domain].get("noun")))
        known |= set() if held else tools
        new |= tools if held == "words" else set()
    assert new <= known, "tools that nothing in training has"
    assert not nouns[True] & nouns[False], "words that questions in training have"
    assert 0.03 < splits["heldout"] / splits.total() < 0.2
    assert sum(unseen(*each) == "words" for each in ALL) == len(trained)


def test_items_go_round_patterns_and_domains():
    found = list(islice(items(["lock", "hops"], 4), 5))
    assert [(each["category"], each["domain"]) for each in found] == [
        ("lock", "boxes-a"), ("hops", "fields-a"), ("lock", "rooms-b"), ("hops", "rooms-b"),
        ("lock", "boxes-b"),
    ]  # fmt: skip
    assert author_of(found[0]) == "speciale.synth.starter.author:make"
    assert found[1]["key"] == "starter-hops-fields-a-4-000001"


def test_what_is_asked_about_does_not_tell_how_tools_are_called():
    for pattern in PATTERNS.values():
        *known, last = pattern.nouns
        for noun in known:
            assert {f"{noun}-a", f"{noun}-b"} < pattern.domains.keys()
        assert [name for name in pattern.domains if name.startswith(last)] == [f"{last}-a"]
        first, second = pattern.tools
        assert not set(map(str, first.values())) & set(map(str, second.values()))


def test_same_item_same_bytes_in_every_process():
    made = list(islice(items(list(PATTERNS), 5), len(PATTERNS)))
    code = (
        "import sys, json, hashlib\nfrom speciale.synth.starter import make\n"
        "for item in json.loads(sys.argv[1]):\n    paths = sorted(make(item).paths().items())\n"
        "    print(hashlib.sha256(repr(paths).encode()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    told = subprocess.run(
        [sys.executable, "-c", code, json.dumps(made)],
        capture_output=True, text=True, check=True, env=environment,
    ).stdout.split()  # fmt: skip
    digests = [
        hashlib.sha256(repr(sorted(make(item).paths().items())).encode()).hexdigest()
        for item in made
    ]
    assert told == digests and len(set(digests)) == len(digests)


def accepted(found, numbers=None):
    """How many of the tasks pass gates 1 to 6 and 8, and the reasons of the others."""
    box = Sandbox()
    some = {number: found.tasks[number] for number in numbers or found.tasks}
    judged = asyncio.run(judge(Family(found.about, found.files, some), box))
    box.close()
    reasons = [each.refusal for each in judged.values() if each.refusal]
    return len(judged) - len(reasons), reasons


def test_gates_accept_a_few_of_a_pattern_that_writes():
    held, reasons = accepted(family("move", "guests-b"), ["000", "001", "002", "003"])
    assert held >= 3, reasons
    assert {each.number for each in reasons} <= {8}


@pytest.mark.slow
@pytest.mark.parametrize("pattern", PATTERNS)
def test_gates_accept_most(pattern):
    """Those that are refused are so by chance: nothing was misread, or a call shows the figure."""
    found = family(pattern, list(PATTERNS[pattern].domains)[1], seed=3)
    held, reasons = accepted(found)
    assert held >= 0.8 * len(found.tasks), reasons
    assert {each.number for each in reasons} <= {5, 8}, reasons
