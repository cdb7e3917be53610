"""Synthesised tasks as agents get them: `synth:DIR`, attempts made again, answers read."""

import asyncio
import json

import inn
import pytest

from speciale.agents.loop import attempt_task
from speciale.agents.scripted import ScriptedSampler, replay
from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.synth.gates import gates_json, judge
from speciale.synth.gates.gate import Gate, Judged
from speciale.tasks import load_tasks
from speciale.tasks.synthesised.attempts import answer_of
from speciale.tasks.synthesised.family import read_family, write_family
from speciale.tasks.task import Attempt


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory, sandbox):
    """A store with the hand-made family in it, both tasks accepted."""
    root = tmp_path_factory.mktemp("store")
    folder = root / "families" / "inn-1"
    folder.mkdir(parents=True)
    write_family(folder, inn.family())
    judged = asyncio.run(judge(inn.family(), sandbox))
    for number, one in judged.items():
        judged[number] = Judged(one.digest, (*one.gates, Gate(7, True)))
    (folder / "gates.json").write_text(json.dumps(gates_json(judged)))
    return root


def call(name, **arguments):
    return {"type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def says(content="", *calls):
    return {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}


def task(store, sandbox, number):
    tasks = {each.id: each for each in load_tasks(f"synth:{store}", sandbox=sandbox)}
    return tasks[f"inn-1/{number}"]


def test_tasks_of_a_store(store, sandbox):
    tasks = list(load_tasks(f"synth:{store}", sandbox=sandbox))
    assert [each.id for each in tasks] == ["inn-1/000", "inn-1/001"]
    names = [tool["function"]["name"] for tool in tasks[0].tools]
    assert names == ["list_inns", "list_rooms", "book"]
    schema = tasks[0].tools[0]["function"]["parameters"]
    assert schema["properties"]["town"]["description"] == "Name of the town."
    assert json.loads(tasks[0].answer) == {"inn": "Crown", "price": 52}
    assert [each.level for each in load_tasks(f"synth:{store}", level=2)] == [2]
    halves = [len(list(load_tasks(f"synth:{store}", split=s))) for s in ("train", "heldout")]
    assert sum(halves) == 2


def test_an_agent_books_two_rooms(store, sandbox):
    said = [
        says("", call("list_inns", town="Ely")),
        says("", *(call("list_rooms", inn_id=number) for number in (1, 2, 3))),
        says("", call("book", room_id=99, guest="Ada")),
        says("", call("book", room_id=31, guest="Ada"), call("book", room_id=20, guest="Ada")),
        says("The sum is 105."),
    ]
    record = asyncio.run(attempt_task(ScriptedSampler(replay(said)), task(store, sandbox, "001")))
    assert record.steps[2].calls[0].error and "no room 99" in record.steps[2].calls[0].result
    assert record.score == 0 and "no number" in record.reasons[0]
    said[-1] = says("<answer>105</answer>")
    record = asyncio.run(attempt_task(ScriptedSampler(replay(said)), task(store, sandbox, "001")))
    assert record.score == 1, record.reasons
    del said[3]["tool_calls"]
    said[3] = says("", call("book", room_id=31, guest="Ada"))
    record = asyncio.run(attempt_task(ScriptedSampler(replay(said)), task(store, sandbox, "001")))
    assert record.score == 0 and "Other rooms" in record.reasons[0]


def test_answers_without_calls(store, sandbox):
    reading = task(store, sandbox, "000")
    right = asyncio.run(reading.verify('It is {"inn": "Crown", "price": 52}'))
    assert right.score == 1
    wrong = asyncio.run(reading.verify(Attempt('{"inn": "Crown", "price": 53}')))
    assert wrong.score == 0 and wrong.reasons == ("It is another one.",)
    for text in ("", "no idea", "[" * 100_000, '{"inn": ', "\ud800"):
        assert asyncio.run(reading.verify(text)).score == 0


def test_answers_are_read():
    assert answer_of('```json\n{"a": 1}\n```') == {"a": 1}
    assert answer_of('First {"a": 0}, no: {"a": {"b": [1]}} it is.') == {"a": {"b": [1]}}
    assert answer_of("[1, 2] or [3]") == [3]
    assert answer_of("Crown") is None
    assert answer_of(" Crown ", is_text=True) == "Crown"
    assert answer_of('"Crown"', is_text=True) == "Crown"


def test_no_store(tmp_path):
    with pytest.raises(DataError, match="is no store of tasks"):
        load_tasks(f"synth:{tmp_path}")
    (tmp_path / "families" / "x").mkdir(parents=True)
    with pytest.raises(DataError, match=r"has no env\.toml"):
        next(load_tasks(f"synth:{tmp_path}"))


def test_a_folder_is_read_as_it_was_written(tmp_path):
    family = inn.family()
    write_family(tmp_path, family)
    again = read_family(tmp_path)
    assert again.paths() == family.paths()
    assert [again.digest(n) for n in again.tasks] == [family.digest(n) for n in family.tasks]
    with (tmp_path / "tools.py").open("a") as file:
        file.write("\n")
    assert read_family(tmp_path).digest("000") != family.digest("000")


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("env.toml", "id = 3", "env.toml: id"),
        ("env.toml", "id = [", "cannot be read"),
        ("tasks/000/task.json", "{", "cannot be read"),
        ("tasks/000/task.json", '{"prompt": "x", "more": 1}', "more"),
        ("tasks/x/task.json", "{}", "folders with numbers"),
        ("tasks/007/task.json", "{}", "has no solution.py"),
    ],
)
def test_a_folder_that_is_none(tmp_path, path, text, words):
    write_family(tmp_path, inn.family())
    (tmp_path / path).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / path).write_text(text)
    with pytest.raises(DataError, match=words):
        read_family(tmp_path)


def test_a_link_leads_nowhere(tmp_path):
    write_family(tmp_path, inn.family())
    (tmp_path / "tasks" / "000" / "notes").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="no regular file"):
        read_family(tmp_path)
