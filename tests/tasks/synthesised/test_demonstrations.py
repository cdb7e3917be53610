"""Demonstrations: what they show is what an attempt gets, and a verifier takes it; several tasks of
a family in one conversation; a prompt is the one that an agent reads."""

import asyncio
import json
from random import Random

import pytest

from speciale.chat import encode, encode_request, parse
from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.synth.gates import gates_json, judge
from speciale.synth.gates.gate import Gate, Judged
from speciale.synth.starter import make
from speciale.tasks.sources import load_tasks
from speciale.tasks.synthesised.demonstrations import demonstrations, hasty, joined
from speciale.tasks.synthesised.family import Family, TaskFiles, write_family
from speciale.tasks.synthesised.pool import WorldPool
from speciale.tasks.synthesised.source import synthesised_tasks
from speciale.tasks.task import Attempt


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


def small(pattern, domain, count):
    found = make({
        "author": "starter", "key": f"starter-{pattern}", "category": pattern, "domain": domain,
        "seed": 0, "index": 0,
    })  # fmt: skip
    return Family(found.about, found.files, dict(list(found.tasks.items())[:count]))


@pytest.fixture(scope="module")
def store(tmp_path_factory, sandbox):
    """Three small families: one that reads, one that writes, one that is held out; all accepted
    that pass the gates but the seventh."""
    root = tmp_path_factory.mktemp("store")
    for found in (
        small("hunt", "boxes-a", 5),
        small("move", "shelves-a", 2),
        small("hops", "rooms-a", 1),
    ):
        keep(root, found, sandbox)
    return root


def keep(root, found, sandbox):
    folder = root / "families" / found.about.id
    folder.mkdir(parents=True)
    write_family(folder, found)
    judged = {
        number: Judged(one.digest, (*one.gates, Gate(7, True)))
        for number, one in asyncio.run(judge(found, sandbox)).items()
    }
    (folder / "gates.json").write_text(json.dumps(gates_json(judged)))


def calls_in(messages):
    return [call for message in messages for call in message.get("tool_calls", ())]


def test_what_is_shown_is_what_an_attempt_gets(store, sandbox):
    async def checked():
        shown = {f"{each.family}/{each.number}": each for each in demonstrations(store, 1, None)}
        async with WorldPool(sandbox) as pool:
            tasks = list(synthesised_tasks(str(store), 1, None, None, None, pool))
            assert {task.id for task in tasks} == set(shown) and len(tasks) >= 6
            for task in tasks:
                found = shown[task.id]
                assert found.messages[0] == task.prompt[0]
                assert found.tools == task.tools and found.level == task.level
                results = [each["content"] for each in found.messages if each["role"] == "tool"]
                made = calls_in(found.messages)
                assert len(made) == len(results) == task.level + 1
                async with task.open() as world:
                    for call, result in zip(made, results):
                        function = call["function"]
                        arguments = json.loads(function["arguments"])
                        assert (await world.call(function["name"], arguments)).text == result
                answer = found.messages[-1]["content"]
                assert (await task.verify(Attempt(answer, found.messages))).score == 1
                assert (await task.verify(Attempt(f"{answer}1", found.messages))).score == 0
                assert task.metadata["unseen"] == ("pattern" if "hops" in task.id else "")

    asyncio.run(checked())


def test_order_and_splits(store):
    first, again, other = (
        [(each.family, each.number) for each in demonstrations(store, seed, None)]
        for seed in (0, 0, 1)
    )
    assert first == again != other and sorted(first) == sorted(other)
    train = {(each.family, each.number) for each in demonstrations(store, 0)}
    held = {(each.family, each.number) for each in demonstrations(store, 0, "heldout")}
    assert train | held == set(first) and not train & held
    assert ("starter-hops", "000") in held


def test_a_prompt_is_the_one_that_an_agent_reads(store):
    found = next(each for each in demonstrations(store, 0, None) if each.level == 1)
    asked = {"messages": list(found.messages[:1]), "tools": list(found.tools)}
    whole = encode(found.conversation(), "thinking")
    assert whole.startswith(encode_request({**asked, "thinking": True}).text)
    reply = whole.split("<｜Assistant｜><think>")[1].split("<｜end▁of▁sentence｜>")[0]
    message = parse(reply + "<｜end▁of▁sentence｜>", "thinking")
    assert message["reasoning_content"] == found.messages[1]["reasoning_content"]
    call = message["tool_calls"][0]["function"]
    expected = found.messages[1]["tool_calls"][0]["function"]
    assert call["name"] == expected["name"]
    assert json.loads(call["arguments"]) == json.loads(expected["arguments"])


def test_several_tasks_share_a_conversation(store):
    single = list(demonstrations(store, 0, None))
    found = list(joined(single, 3))
    assert sum(len(each.number.split("+")) for each in found) == len(single) > len(found)
    for each in found:
        turns = [message for message in each.messages if message["role"] == "user"]
        assert len(turns) == len(each.number.split("+")) <= 3
        ids = [call["id"] for call in calls_in(each.messages)]
        assert len(ids) == len(set(ids))
        results = [m["tool_call_id"] for m in each.messages if m["role"] == "tool"]
        assert results == ids
        encode(each.conversation(), "chat")
        # Whoever changes the state comes last: the next one was made in a fresh world.
        assert len(turns) == 1 or "move" not in each.family
    assert list(joined(single, 1)) == [each for each in joined(single, 1) if "+" not in each.number]


def test_a_hasty_one_answers_before_its_calls_are_made(store):
    whole = max(demonstrations(store, seed=0), key=lambda each: len(each.messages))
    calls = (len(whole.messages) - 2) // 2
    found = [hasty(whole, Random(seed)).messages for seed in range(60)]
    assert {(len(each) - 2) // 2 for each in found} == set(range(calls))
    for each in found:
        assert list(each[:-1]) == list(whole.messages[: len(each) - 1])
        assert each[-1]["content"] == each[-1]["reasoning_content"]
        assert each[-1]["content"] == whole.messages[-1]["content"]


def test_results_of_other_forms_come_from_another_run(tmp_path, sandbox):
    """Evidence sorts the keys of objects, and a model does not read them sorted."""
    found = small("hunt", "boxes-a", 2)
    tools = found.files["tools.py"].replace(b"list(row)", b'{"b": row[0], "a": row[1]}')
    tasks = {
        number: TaskFiles(
            task.about.model_copy(update={"metadata": {"changes": False}}),
            {**task.files, "solution.py": task.files["solution.py"].replace(
                b"tools.look(n=n)", b"tools.look(n=n).values()")},
        )
        for number, task in found.tasks.items()
    }  # fmt: skip
    keep(tmp_path, Family(found.about, {**found.files, "tools.py": tools}, tasks), sandbox)
    shown = list(demonstrations(tmp_path, 0, None, sandbox))
    assert shown
    for each in shown:
        results = [message["content"] for message in each.messages if message["role"] == "tool"]
        assert all([*json.loads(text)] == ["b", "a"] for text in results[1:]), results
        assert each.messages[1]["reasoning_content"] == ""


def test_no_store(tmp_path):
    with pytest.raises(DataError, match="is no store of tasks"):
        next(demonstrations(tmp_path, 0))


def test_a_category_and_families_in_turn(store):
    one = list(load_tasks(f"synth:{store}#starter-hunt"))
    assert {task.metadata["category"] for task in one} == {"starter-hunt"} and len(one) > 1
    assert one[0].source == f"synth:{store}#starter-hunt"
    families = [task.id.split("/")[0] for task in load_tasks(f"synth:{store}", seed=2)]
    assert len(set(families[:3])) == 3  # one of each before the second of any
    with pytest.raises(DataError, match="no tasks of category 'starter-none': it has starter-hops"):
        load_tasks(f"synth:{store}#starter-none")
