"""Every planted bad candidate is refused by the gate that it was planted for; good ones pass."""

import asyncio
import json

import inn
import planted
import pytest

from speciale.sandbox import Sandbox
from speciale.synth.gates import GATES, gates_json, judge
from speciale.synth.gates.bench import RUNS, open_bench
from speciale.tasks.synthesised import processes, world

pytestmark = pytest.mark.slow  # in .ci/run


@pytest.fixture(scope="module")
def sandbox():
    with pytest.MonkeyPatch.context() as patch:
        for module in (processes, world):  # what never ends should end sooner here
            patch.setattr(module, "WORK_S", 4.0)
            patch.setattr(module, "CALL_S", 2.0, raising=False)
        box = Sandbox()
        yield box
        box.close()


@pytest.fixture(scope="module")
def judged(sandbox):
    """All planted tasks in one family, behind the two good ones."""
    good = list(inn.family().tasks.values())
    bad = [each for _, _, each in planted.TASKS.values()]
    family = inn.family([*good, *bad])
    names = dict(zip(planted.TASKS, list(family.tasks)[2:]))
    return asyncio.run(judge(family, sandbox)), names


def refusal(one):
    gate = one.refusal
    return (gate.number, gate.reason) if gate else None


@pytest.mark.parametrize("name", planted.TASKS)
def test_planted_task_is_refused(judged, name):
    verdicts, names = judged
    gate, words, _ = planted.TASKS[name]
    refused = refusal(verdicts[names[name]])
    assert refused and refused[0] == gate, refused
    assert words in refused[1], refused


@pytest.mark.parametrize("name", planted.WORLDS)
def test_planted_world_is_refused(sandbox, name):
    gate, words, fields = planted.WORLDS[name]
    verdicts = asyncio.run(judge(inn.family([inn.reading()], **fields), sandbox))
    refused = refusal(verdicts["000"])
    assert refused and refused[0] == gate, refused
    assert words in refused[1], refused


def test_good_tasks_pass_beside_all_those(judged):
    verdicts, _ = judged
    for number in ("000", "001"):
        assert refusal(verdicts[number]) is None
        gates = {gate.number for gate in verdicts[number].gates}
        assert gates == set(GATES) - {7}  # the store's


def test_at_least_sixty_are_planted():
    assert len(planted.TASKS) + len(planted.WORLDS) >= 60


def test_same_family_is_judged_alike(sandbox):
    texts = [
        json.dumps(gates_json(asyncio.run(judge(inn.family(), sandbox))), sort_keys=True)
        for _ in range(2)
    ]
    assert texts[0] == texts[1]


def test_runs_have_the_hash_seeds_that_they_are_said_to_have(sandbox):
    family = inn.family([planted.TASKS["hash of a text"][2]])

    async def answers():
        async with open_bench(family, sandbox) as bench:
            return [(await bench.run("000", run)).answer for run in range(len(RUNS))]

    first = asyncio.run(answers())
    assert len(set(first)) == len(RUNS)
    assert asyncio.run(answers()) == first
