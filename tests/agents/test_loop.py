"""The loop: calls answered whatever is wrong with them, budgets kept, everything recorded."""

import asyncio
import json

import pytest
from acting import Desk, call, says

from speciale.agents.calls import CallLimits, clipped
from speciale.agents.loop import Budget, Called, Plan, attempt_task, run_agent
from speciale.agents.sampler import SamplerError
from speciale.agents.scripted import ScriptedSampler, byte_tokenizer, replay
from speciale.agents.trajectory import Trajectory, append_trajectory, read_trajectories
from speciale.chat import CallStart, ReasoningDelta, encode_request
from speciale.engine.params import SamplingParams
from speciale.errors import ConfigError, DataError
from speciale.tasks.task import Task, Turn, Verdict

TOKENIZER = byte_tokenizer()
QUESTION = [{"role": "user", "content": "What is 2 + 3?"}]


def run(said, plan=None, environment=None, **options):
    sampler = ScriptedSampler(replay(said), TOKENIZER, options.pop("window", 128_000))
    environment = environment or Desk()
    return asyncio.run(run_agent(sampler, QUESTION, environment, plan, **options))


def results_of(trajectory):
    return [m["content"] for m in trajectory.messages if m["role"] == "tool"]


def test_a_call_its_result_and_an_answer():
    heard = []
    done = run(
        [says("", "add them", [call("add", a=2, b=3)]), says("5", "so")], on_event=heard.append
    )
    assert (done.stop, done.answer, results_of(done)) == ("answer", "5", ["5"])
    assert [type(e) for e in heard if isinstance(e, Called | CallStart)] == [CallStart, Called]
    assert "".join(e.text for e in heard if isinstance(e, ReasoningDelta)) == "add themso"


def test_calls_of_one_message_run_side_by_side_and_answer_in_order():
    calls = [call("meet"), call("meet"), call("add", a=1, b=1)]
    done = run([says("", "t", calls), says("ok", "t")])
    assert results_of(done) == ["first", "second", "2"]


BAD = {
    "unknown tool": (call("nothing", a=1), "there is no tool 'nothing'; the tools are add,"),
    "wrong type": (call("add", a="two", b=3), "The argument 'a': 'two' is not of type 'integer'."),
    "missing argument": (call("add", a=2), "'b' is a required property."),
    "too many arguments": (call("add", a=2, b=3, c=4), "It takes no 'c', but a, b."),
    "no JSON": (
        {"type": "function", "function": {"name": "add", "arguments": '{"a": 2,'}},
        "the arguments of add are no JSON",
    ),
    "no object": (
        {"type": "function", "function": {"name": "add", "arguments": "[1]"}},
        "The arguments are [1]: give an object.",
    ),
    "hanging": (call("slow", seconds=600), "did not answer within 0.3 seconds"),
    "stubborn": (call("stubborn"), "did not answer within 0.3 seconds"),
    "broken": (call("crash"), "crash failed (ValueError: the tool broke)"),
    "flood": (call("flood"), "99,999,000 characters left out"),
    "half a character": (call("half"), "half a pair: ?"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_call_is_a_result_and_the_loop_goes_on(name, monkeypatch):
    from speciale.agents import calls, conversation

    bad, words = BAD[name]
    monkeypatch.setattr(calls, "_GRACE_S", 0.1)
    # Said as a message where the format can write it, else handed over behind the parser.
    if name in ("no JSON", "no object"):
        real = conversation._message

        def broken(events, place):
            message = real(events, place)
            for each in message.get("tool_calls", ()):
                each["function"]["arguments"] = bad["function"]["arguments"]
            return message

        monkeypatch.setattr(conversation, "_message", broken)
        said = call("add", a=1, b=2)
    else:
        said = bad
    done = run(
        [says("", "t", [said]), says("5", "t")],
        Plan(limits=CallLimits(seconds=0.3, characters=1000)),
    )
    (result,) = results_of(done)
    assert words in result and len(result) < 1200
    assert done.stop == "answer" and done.answer == "5"
    assert done.steps[0].calls[0].error == (name not in ("flood", "half a character"))
    json.loads(done.to_json())


def test_a_call_that_cannot_be_read_is_asked_for_again():
    broken = 't</think>\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name="add">\n<｜DSML｜param'
    done = run([broken, says("", "t", [call("add", a=2, b=3)]), says("5", "t")])
    assert done.stop == "answer" and results_of(done) == ["5"]
    again = done.messages[2]
    assert again["role"] == "user" and "could not be read" in again["content"]


BUDGETS = {
    "turns": (Plan(budget=Budget(turns=3)), "turns", 3),
    "tokens": (Plan(budget=Budget(tokens=400)), "length", None),
    "completion": (Plan(params=SamplingParams(max_tokens=10)), "length", 1),
}


@pytest.mark.parametrize("name", BUDGETS)
def test_budgets(name):
    plan, stop, steps = BUDGETS[name]
    done = run([says("", "t", [call("add", a=1, b=1)])] * 60, plan)
    assert done.stop == stop
    assert steps is None or len(done.steps) == steps
    if plan.budget.tokens:
        assert done.sampled_tokens == plan.budget.tokens


def test_seconds_end_a_run_inside_a_call():
    plan = Plan(budget=Budget(seconds=0.3))
    done = run([says("", "t", [call("slow", seconds=600)])], plan)
    assert done.stop == "seconds" and len(done.steps) == 1


def test_a_full_window_ends_the_run():
    done = run(
        [says("", "t", [call("flood")])], Plan(limits=CallLimits(characters=9000)), window=5000
    )
    assert done.stop == "context"


def test_who_cancels_keeps_what_was_done():
    async def main():
        record = Trajectory()
        said = [says("", "t", [call("add", a=2, b=3)]), says("", "t", [call("slow", seconds=600)])]
        sampler = ScriptedSampler(replay(said), TOKENIZER)
        working = asyncio.create_task(run_agent(sampler, QUESTION, Desk(), trajectory=record))
        await asyncio.sleep(0.3)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert record.stop == "cancelled" and len(record.steps) == 2
        assert results_of(record) == ["5"]

    asyncio.run(main())


def test_a_model_that_fails_is_in_the_record():
    def fails(_prompt):
        raise SamplerError("the server is away")

    done = asyncio.run(run_agent(ScriptedSampler(fails, TOKENIZER), QUESTION, Desk()))
    assert (done.stop, done.error) == ("error", "the server is away")


def long_script(turns, steps):
    said = []
    for turn in range(turns):
        for step in range(steps):
            said.append(
                says(
                    "",
                    f"thought {turn}.{step} " * 8,
                    [call("add", a=turn, b=step)] * (1 + step % 2),
                )
            )
        said.append(says(f"answer {turn}", "done"))
    return said


def test_thirty_steps_three_user_turns_equal_the_golden_rules_and_reuse_their_prefix():
    turns = [Turn([{"role": "user", "content": f"and turn {n}?"}]) for n in (1, 2)]
    done = run(long_script(3, 9), turns=turns)
    assert done.stop == "answer" and len(done.steps) == 30
    asked = [n for n, m in enumerate(done.messages) if m["role"] == "assistant"]
    for number, place in enumerate(asked):
        request = {"messages": done.messages[:place], "tools": done.tools, "thinking": True}
        prompt = TOKENIZER.decode(done.prompt(number), skip_special_tokens=False)
        assert prompt == encode_request(request).text
    assert done.reused() >= 0.95


def test_a_trajectory_comes_back_from_its_file_exactly(tmp_path):
    turns = [Turn([{"role": "user", "content": "é\u2028 <think>?"}])]
    done = run(long_script(2, 3), turns=turns)
    done.score, done.about = 0.5, {"seed": 3}
    path = tmp_path / "sub" / "trajectories.jsonl"
    append_trajectory(path, done)
    append_trajectory(path, done)
    with open(path, "ab") as file:
        file.write(b'{"task": "half a li')  # its writer was killed
    first, second = read_trajectories(path)
    assert first.to_json() == second.to_json() == done.to_json()
    for number in range(len(done.steps)):
        assert first.prompt(number) == done.prompt(number)
        assert first.roles(TOKENIZER, number) == done.roles(TOKENIZER, number)
    assert first.segments() == done.segments()


def test_segments_join_steps_until_thinking_is_dropped():
    turns = [Turn([{"role": "user", "content": "and?"}])]
    done = run(long_script(2, 3), turns=turns)
    segments = done.segments()
    assert [segment.steps for segment in segments] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    for segment in segments:
        assert len(segment.ids) == len(segment.mask) == len(segment.logprobs)
        sampled = [token for token, mask in zip(segment.ids, segment.mask) if mask]
        assert sampled == [token for n in segment.steps for token in done.steps[n].ids]
        last = segment.steps[-1]
        assert segment.ids == [*done.prompt(last), *done.steps[last].ids]


@pytest.mark.parametrize(
    "line", [b"{}x\n", b"[1]\n", b'{"steps": [{"kept": "a"}]}\n', b'{"version": 9}\n', b"\xff\n"]
)
def test_a_line_that_is_no_trajectory_is_named(tmp_path, line):
    path = tmp_path / "t.jsonl"
    path.write_bytes(Trajectory().to_json().encode() + b"\n" + line)
    with pytest.raises(DataError, match="line 2"):
        list(read_trajectories(path))


def test_a_task_is_attempted_and_scored():
    async def verifier(attempt):
        made = [m for m in attempt.messages if m["role"] == "tool"]
        solved = attempt.answer == "5" and len(made) == 1
        return Verdict(float(solved), () if solved else ("not 5",))

    class Open:
        async def __aenter__(self):
            return Desk()

        async def __aexit__(self, *_):
            pass

    task = Task("1", "test", QUESTION, verifier, Open)
    said = [says("", "t", [call("add", a=2, b=3)]), says("5", "t")]
    done = asyncio.run(attempt_task(ScriptedSampler(replay(said), TOKENIZER), task))
    assert (done.task, done.score, done.reasons) == ("test#1", 1.0, [])
    done = asyncio.run(attempt_task(ScriptedSampler(replay([says("5", "t")]), TOKENIZER), task))
    assert (done.score, done.reasons) == (0.0, ["not 5"])


def test_files_of_a_task_lie_before_its_tools():
    async def verifier(attempt):
        return Verdict(float("the right word" in str(attempt.messages)))

    files = {"notes/a.txt": "the right word\n"}
    task = Task("1", "test", QUESTION, verifier, metadata={"files": files})
    said = [says("", "t", [call("bash", command="cat notes/a.txt")]), says("done", "t")]
    model = ScriptedSampler(replay(said), TOKENIZER)
    assert asyncio.run(attempt_task(model, task, tools="bash")).score == 1.0
    with pytest.raises(ConfigError, match="no tools are named"):
        asyncio.run(attempt_task(model, task))
    with pytest.raises(ConfigError, match="a sandbox to lie in"):
        asyncio.run(attempt_task(model, task, tools="search:docs"))


def test_half_a_line_does_not_spoil_the_next(tmp_path):
    path = tmp_path / "t.jsonl"
    append_trajectory(path, Trajectory(task="first"))
    with open(path, "a") as file:
        file.write('{"task": "killed wh')
    append_trajectory(path, Trajectory(task="second"))
    assert [each.task for each in read_trajectories(path)] == ["first", "second"]


def test_a_long_result_keeps_its_ends():
    assert clipped("abc", 3) == "abc"
    text = clipped("a" * 600 + "b" * 600, 1000)
    assert text.startswith("a" * 500 + "\n[… 200 characters") and text.endswith("b" * 500)
