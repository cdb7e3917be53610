"""BFCL's single-turn tasks: which calls of the first answer are right, by BFCL's own checker."""

import asyncio
import copy

import pytest
from bfcl_trajectories import DONE, accepted, attempt, gold, said, wrong_ones

from speciale.tasks.bfcl import CATEGORIES, bfcl_tasks, servers
from speciale.tasks.bfcl.single_turn import UNSOLVABLE
from speciale.tasks.task import Attempt

SINGLE = [name for name, category in CATEGORIES.items() if category.kind != "worlds"]


def scores(task, *answers):
    """Of each answer's calls, in one event loop."""

    async def main():
        made = [attempt(task, [calls]) for calls in answers]
        return [verdict.score for verdict in await asyncio.gather(*map(task.verify, made))]

    return asyncio.run(main())


def with_arguments(call, **arguments):
    return [{**call, "arguments": arguments}]


def named(name):
    category = max((c for c in SINGLE if name.startswith(c + "_")), key=len)
    return next(one for one in bfcl_tasks(category) if one.id == name)


async def judge(category, count, seed):
    passed = []
    tasks = [t for t in bfcl_tasks(category, count, seed) if "unsolvable" not in t.metadata]
    right = await asyncio.gather(*(task.verify(attempt(task, gold(task))) for task in tasks))
    assert [(t.id, v) for t, v in zip(tasks, right) if v.score != 1.0] == []
    for task in tasks:
        for wrong, excuse in await accepted(task, list(wrong_ones(task))):
            passed.append((task.id, wrong.what, excuse))
    return passed


@pytest.mark.parametrize("category", SINGLE)
def test_right_calls_score_1_and_wrong_ones_0(category):
    passed = asyncio.run(judge(category, 12, seed=1))
    assert [one for one in passed if not one[2]] == []


@pytest.mark.slow
@pytest.mark.parametrize("category", SINGLE)
def test_all_right_calls_score_1_and_wrong_ones_0(category):
    passed = asyncio.run(judge(category, None, seed=0))
    print(f"\n{category}: {len(passed)} mistakes accepted, each allowed by BFCL's answer")
    assert [one for one in passed if not one[2]] == []


def test_tasks_that_no_right_answer_solves_are_marked():
    marked = {
        task.id: task.metadata["unsolvable"]
        for category in SINGLE
        for task in bfcl_tasks(category)
        if "unsolvable" in task.metadata
    }
    assert marked == UNSOLVABLE


# --- the rules ------------------------------------------------------------------------------------


def test_any_allowed_value_and_optional_arguments():
    task = named("simple_python_326")  # include_player_stats: true, false or left out
    ((call,),) = gold(task)
    needed = {"team_name": "Lakers", "league": "NBA"}
    right = [
        with_arguments(call, **needed),
        with_arguments(call, **needed, include_player_stats=True),
        with_arguments(call, **needed, include_player_stats=False),
        with_arguments(call, league="NBA", team_name="LOS-ANGELES, LAKERS."),
    ]
    wrong = [
        with_arguments(call, **needed, include_player_stats="true"),
        with_arguments(call, **needed, more=1),
        with_arguments(call, league="NBA"),
        with_arguments(call, league="NBA", team_name="Lakers of Los Angeles"),
    ]
    assert scores(task, *right, *wrong) == [1.0] * 4 + [0.0] * 4


def test_parallel_calls_in_any_order_but_no_more_and_no_fewer():
    task = named("parallel_0")
    (calls,) = gold(task)
    assert len(calls) == 2
    tries = calls[::-1], [*calls, calls[0]], [calls[0]] * 2, calls[:1]
    assert scores(task, *tries) == [1.0, 0.0, 0.0, 0.0]


def test_the_right_function_of_several():
    task = named("multiple_0")
    ((call,),) = gold(task)
    names = [one["function"]["name"] for one in task.tools]
    expected = [float(name == call["name"]) for name in names]
    assert scores(task, *([{**call, "name": name}] for name in names)) == expected
    assert sorted(expected) == [0.0] * (len(names) - 1) + [1.0]


def test_values_of_java_are_literals():
    task = named("simple_java_25")
    ((call,),) = gold(task)
    arguments = call["arguments"]
    assert arguments["id"] == "42L"
    tries = [
        with_arguments(call, **arguments | {"id": one}) for one in ("42l", "42", "43L", 42, "")
    ]
    assert scores(task, *tries) == [1.0, 0.0, 0.0, 0.0, 0.0]


def test_silence_where_nothing_helps():
    task = next(bfcl_tasks("irrelevance"))
    call = {"name": task.tools[0]["function"]["name"], "arguments": {}}
    assert scores(task, [], [call]) == [1.0, 0.0]
    assert asyncio.run(task.verify("None of these helps.")).score == 1.0
    for nothing in (Attempt(" "), Attempt("", task.prompt)):  # a budget that ended first
        assert asyncio.run(task.verify(nothing)).reasons == ("There is no answer.",)


def test_any_offered_function_where_some_helps():
    task = next(bfcl_tasks("live_relevance"))
    call = {"name": task.tools[0]["function"]["name"], "arguments": {}}
    assert scores(task, [call], [{**call, "name": "made_up"}], []) == [1.0, 0.0, 0.0]


def test_the_first_answer_counts_alone():
    """Prompts of users may hold answers; what comes after the first one is not looked at."""
    task = next(t for t in bfcl_tasks("live_irrelevance") if len(t.prompt) > 2)
    assert any(message["role"] == "assistant" for message in task.prompt)
    call = said([{"name": "f", "arguments": {}}])
    assert asyncio.run(task.verify(Attempt("", [*task.prompt, DONE, call]))).score == 1.0
    assert asyncio.run(task.verify(Attempt("", [*task.prompt, call, DONE]))).score == 0.0


def test_unread_arguments_are_wrong():
    task = named("multiple_0")
    message = copy.deepcopy(said(gold(task)[0]))
    message["tool_calls"][0]["function"]["arguments"] = '{"a": '
    verdict = asyncio.run(task.verify(Attempt("", [*task.prompt, message])))
    assert verdict.score == 0.0 and "no JSON object" in verdict.reasons[0]


def test_tools_can_be_called_and_give_nothing():
    task = named("multiple_0")

    async def main():
        async with task.open() as environment:
            assert environment.tools == task.tools
            return await environment.call(gold(task)[0][0]["name"], {})

    assert not asyncio.run(main()).error


# BFCL's reader of JavaScript arrays tries each way to pair these brackets: 2 to the power of 40.
SLOW_LITERAL = "[[" + "],[" * 40


def test_a_literal_without_end_for_bfcls_reader_costs_a_verdict_of_0(monkeypatch):
    monkeypatch.setattr(servers, "ANSWER_S", 2.0)
    for task in bfcl_tasks("simple_javascript"):
        ((call,),) = gold(task)
        lists = [name for name, value in call["arguments"].items() if value.startswith("[")]
        if lists:
            break
    arguments = call["arguments"] | {lists[0]: SLOW_LITERAL}
    verdict = asyncio.run(task.verify(attempt(task, [[{**call, "arguments": arguments}]])))
    assert verdict.score == 0.0 and "could not be run" in verdict.reasons[0]
    assert scores(task, [call]) == [1.0]


def test_values_of_any_kind_get_a_verdict():
    values = [None, [], {}, [None], {"": None}, "\ud800", float("nan"), 10**400]
    for name in ("simple_python_326", "simple_java_25", "simple_javascript_0"):
        task = named(name)
        ((call,),) = gold(task)
        arguments = call["arguments"]
        tries = [
            with_arguments(call, **arguments | {key: value})
            for key in arguments
            for value in values
        ]
        assert set(scores(task, *tries)) == {0.0}
