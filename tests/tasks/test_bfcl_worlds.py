"""BFCL's multi-turn tasks: live environments in the sandbox, and verdicts on calls there."""

import asyncio
import json
import threading

import pytest
from bfcl_trajectories import accepted, attempt, gold, live, said, through_the_loop, wrong_ones

from speciale.errors import DataError
from speciale.sandbox import Sandbox, SandboxError
from speciale.tasks.bfcl import CATEGORIES, bfcl_tasks, servers
from speciale.tasks.task import Attempt

WORLDS = [name for name, category in CATEGORIES.items() if category.kind == "worlds"]


def named(name):
    """The task of this id."""
    return next(one for one in bfcl_tasks(name.rsplit("_", 1)[0]) if one.id == name)


async def results(task, calls):
    """What each call gives in a fresh environment."""
    async with task.open() as environment:
        return [(await environment.call(name, arguments)).text for name, arguments in calls]


async def judge(category, count, seed):
    """Draws tasks, replays their answers live, and returns which mistakes were accepted."""
    passed = []
    for task in bfcl_tasks(category, count, seed):
        async with task.open() as environment:
            done = await live(task, gold(task), environment)
        assert await task.verify(done) == await task.verify(attempt(task, gold(task)))
        assert (await task.verify(done)).score == 1.0, task.id
        for wrong, excuse in await accepted(task, list(wrong_ones(task))):
            passed.append((task.id, wrong.what, excuse))
    return passed


@pytest.mark.parametrize("category", WORLDS)
def test_right_calls_score_1_and_wrong_ones_0(category):
    passed = asyncio.run(judge(category, 5, seed=1))
    assert [one for one in passed if not one[2]] == []


@pytest.mark.parametrize("category", WORLDS)
def test_the_loop_replays_right_calls(category):
    async def main():
        return [await through_the_loop(task) for task in bfcl_tasks(category, 4, seed=2)]

    assert asyncio.run(main()) == [1.0] * 4


# --- the environment ------------------------------------------------------------------------------


def test_results_are_texts_as_bfcl_gives_them():
    task = named("multi_turn_base_0")
    calls = [
        ("cd", {"folder": "document"}),
        ("mkdir", {"dir_name": "temp"}),
        ("cat", {"file_name": "none.txt"}),
        ("cat", {"name": "a"}),
        ("unknown", {"x": 1}),
        ("_load_scenario", {"scenario": {}}),
        ("__init__", {}),
        ("root", {}),
    ]
    assert asyncio.run(results(task, calls)) == [
        '{"current_working_directory": "document"}',
        "None",
        '{"error": "cat: \'none.txt\': No such file or directory"}',
        "Error during execution: GorillaFileSystem.cat() got an unexpected keyword argument 'name'",
        "Error during execution: name 'unknown' is not defined",
        "Error during execution: name '_load_scenario' is not defined",
        "Error during execution: name '__init__' is not defined",
        "Error during execution: name 'root' is not defined",
    ]


def test_failed_calls_are_marked():
    async def main():
        async with named("multi_turn_base_0").open() as environment:
            marks = []
            for name, arguments in [("pwd", {}), ("cat", {"file_name": "no"}), ("cat", {})]:
                marks.append((await environment.call(name, arguments)).error)
            return marks

    assert asyncio.run(main()) == [False, True, True]


def test_no_case_sees_what_another_did(monkeypatch):
    """One process serves them all, and each finds the start state."""
    started = []
    start = servers.Server.start

    async def counted(self):
        started.append(self)
        await start(self)

    monkeypatch.setattr(servers.Server, "start", counted)
    task = named("multi_turn_base_0")
    calls = [("ls", {}), ("mkdir", {"dir_name": "mine"}), ("ls", {})]

    async def main():
        first = await results(task, calls)
        assert "mine" not in first[0] and "mine" in first[2]
        assert await results(task, calls) == first
        await task.verify(attempt(task, gold(task)))
        assert await results(task, calls) == first

    asyncio.run(main())
    assert len(started) == 1


def test_an_idle_process_ends_after_a_while(monkeypatch):
    monkeypatch.setattr(servers, "REST_S", 0.2)
    task = named("multi_turn_base_0")

    async def main():
        first = await results(task, [("pwd", {})])
        before = len(asyncio.all_tasks())
        async with asyncio.timeout(30):
            while len(asyncio.all_tasks()) >= before:
                await asyncio.sleep(0.1)
        assert await results(task, [("pwd", {})]) == first

    asyncio.run(main())


def test_environments_that_are_open_together_are_apart():
    task = named("multi_turn_base_0")

    async def main():
        async with task.open() as one, task.open() as two:
            await one.call("mkdir", {"dir_name": "mine"})
            assert "mine" in (await one.call("ls", {})).text
            assert "mine" not in (await two.call("ls", {})).text

    asyncio.run(main())


def test_parallel_calls_are_made_in_their_order():
    task = named("multi_turn_base_0")

    async def main():
        async with task.open() as environment:
            made = [environment.call("cd", {"folder": "document"}), environment.call("ls", {})]
            return [result.text for result in await asyncio.gather(*made)]

    _, listed = asyncio.run(main())
    assert "final_report.pdf" in listed


# A power of whole numbers that takes hours.
FOREVER = ("power", {"base": 9, "exponent": 10**10})


def test_a_call_without_end_breaks_its_own_environment_alone(monkeypatch):
    monkeypatch.setattr(servers, "ANSWER_S", 2.0)
    (task, *_) = (t for t in bfcl_tasks("multi_turn_base") if "MathAPI" in t.metadata["classes"])

    async def main():
        async with task.open() as broken, task.open() as whole:
            endless = await broken.call(*FOREVER)
            assert endless.error and "did not end within 2 s" in endless.text
            after = await broken.call("add", {"a": 1, "b": 2})
            assert after.error and "broken down" in after.text
            assert (await whole.call("add", {"a": 1, "b": 2})).text == '{"result": 3}'
        async with task.open() as fresh:
            assert (await fresh.call("add", {"a": 1, "b": 2})).text == '{"result": 3}'
        turns = gold(task)
        turns[0] = [{"name": FOREVER[0], "arguments": FOREVER[1]}, *turns[0]]
        verdict = await task.verify(attempt(task, turns))
        assert verdict.score == 0.0 and "could not be run" in verdict.reasons[0]
        assert (await task.verify(attempt(task, gold(task)))).score == 1.0

    asyncio.run(main())


def test_a_process_that_dies_costs_its_own_case_alone():
    async def main():
        async with servers.Servers().one() as server:
            with pytest.raises(servers.WorldError, match="ended with 1"):
                await server.ask({"do": "open", "case": {}})  # no classes: nobody catches it
            return await server.ask({"do": "open", "case": {"classes": []}})

    assert asyncio.run(main()) == {"open": True}


def test_a_cancelled_call_leaves_no_reply_for_the_next_case(monkeypatch):
    (task, *_) = (t for t in bfcl_tasks("multi_turn_base") if "MathAPI" in t.metadata["classes"])

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3), task.open() as environment:
                await environment.call(*FOREVER)
        assert (await task.verify(attempt(task, gold(task)))).score == 1.0

    asyncio.run(main())


def test_a_sandbox_that_was_closed_in_between_is_made_again():
    async def main():
        async with Sandbox() as sandbox:
            (task,) = bfcl_tasks("multi_turn_base", 1, sandbox=sandbox)
            scores = []
            for _ in range(2):
                scores.append((await task.verify(attempt(task, gold(task)))).score)
                sandbox.close()
            return scores

    assert asyncio.run(main()) == [1.0, 1.0]


@pytest.mark.parametrize(
    "script, error, words",
    [
        ("import sys; sys.exit('a wrong turn')", SandboxError, "did not start.*a wrong turn"),
        (
            "import os, json; body = json.dumps({'missing': 'no mpmath'}).encode()\n"
            "os.write(1, len(body).to_bytes(4, 'big') + body)",
            DataError,
            r"no mpmath.*speciale\[agents\].*bfcl-eval",
        ),
    ],
)
def test_classes_that_cannot_be_had_are_no_verdict(monkeypatch, tmp_path, script, error, words):
    (tmp_path / "world.py").write_text(script)
    monkeypatch.setattr(servers, "SCRIPT", tmp_path / "world.py")
    task = named("multi_turn_base_0")
    with pytest.raises(error, match=words):
        asyncio.run(task.verify(attempt(task, gold(task))))


def test_any_event_loop_may_ask():
    task = named("multi_turn_base_0")
    scores = []

    def verify():
        for _ in range(2):
            scores.append(asyncio.run(task.verify(attempt(task, gold(task)))).score)

    threads = [threading.Thread(target=verify) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert scores == [1.0] * 4
    assert len(servers.SHARED._loops) <= 3  # those of loops that ended are forgotten


# --- verdicts -------------------------------------------------------------------------------------


def reasons(task, turns):
    verdict = asyncio.run(task.verify(attempt(task, turns)))
    assert verdict.score == 0.0
    return verdict.reasons[0]


def test_reasons_say_where_and_what():
    task = named("multi_turn_base_0")
    turns = gold(task)
    assert reasons(task, [*turns[:2], [], turns[3]]) == "In turn 3 no call was made."
    assert reasons(task, [[turns[0][1]], *turns[1:]]).startswith(
        "After turn 1 GorillaFileSystem is in another state: root"
    )
    assert reasons(task, [*turns[:2], turns[1][:1], turns[3]]).startswith(
        "Up to turn 3 no call gave the result of sort, "
    )


def test_a_conversation_that_ended_early_is_wrong():
    task = named("multi_turn_base_0")
    done = attempt(task, gold(task))
    for most in range(len(done.messages) - 1):
        verdict = asyncio.run(task.verify(Attempt("", done.messages[:most])))
        assert verdict.score == 0.0 and verdict.reasons
    verdict = asyncio.run(task.verify("All done."))
    assert verdict.reasons == ("The conversation has 0 of 4 turns.",)


def test_further_right_calls_are_allowed_and_order_within_a_turn_is_free_where_states_agree():
    task = named("multi_turn_base_0")
    turns = gold(task)
    looks = {"name": "ls", "arguments": {"a": True}}
    more = [[looks, *calls, looks] for calls in turns]
    assert asyncio.run(task.verify(attempt(task, more))).score == 1.0


def test_a_call_that_the_loop_refused_did_nothing():
    """Of another type than documented, without an argument, or of a function not offered yet."""
    task = named("multi_turn_miss_func_0")  # sort is held out until the fourth turn
    turns = gold(task)
    held = {"name": "sort", "arguments": {"file_name": "final_report.pdf"}}
    refused = [
        {"name": "mkdir", "arguments": {"dir_name": 7}},
        {"name": "mkdir", "arguments": {"dir_name": "x", "mode": 7}},
        {"name": "mkdir", "arguments": {}},
        {"name": "rm", "arguments": None},
    ]
    more = [[*refused, *turns[0]], *turns[1:]]
    assert asyncio.run(task.verify(attempt(task, more))).score == 1.0
    early = [*turns[:2], [held], [], turns[4]]
    assert "turn 4 no call was made" in reasons(task, early)


def test_a_turn_that_needs_no_call_is_judged_by_what_comes_after_it():
    task = named("multi_turn_miss_func_0")
    turns = gold(task)
    assert turns[2] == []
    looked = [*turns[:2], [{"name": "ls", "arguments": {}}], *turns[3:]]
    assert asyncio.run(task.verify(attempt(task, looked))).score == 1.0
    spoiled = [*turns[:2], [{"name": "mkdir", "arguments": {"dir_name": "x"}}], *turns[3:]]
    assert "After turn 4" in reasons(task, spoiled)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "assistant"}],
        [{}],
        [{"role": "user", "content": ["parts"]}],
        [{"role": "user"}, said([]), {"role": "assistant", "tool_calls": {"a": 1}}],
    ],
)
def test_messages_of_any_form_get_a_verdict(messages):
    task = named("multi_turn_base_0")
    verdict = asyncio.run(task.verify(Attempt("", messages)))
    assert verdict.score == 0.0 and verdict.reasons


def test_many_verdicts_at_once_are_those_of_one_after_the_other():
    tasks = list(bfcl_tasks("multi_turn_base", 6))
    tries = [(t, turns) for t in tasks for turns in (gold(t), [[] for _ in gold(t)])] * 3

    async def main():
        asked = (task.verify(attempt(task, turns)) for task, turns in tries)
        return [verdict.score for verdict in await asyncio.gather(*asked)]

    assert asyncio.run(main()) == [1.0, 0.0] * 18


def test_metadata_is_not_changed_by_a_replay():
    task = named("multi_turn_base_4")
    before = json.dumps(task.metadata)
    asyncio.run(judge("multi_turn_base", 1, seed=0))
    asyncio.run(task.verify(attempt(task, gold(task))))
    assert json.dumps(task.metadata) == before
