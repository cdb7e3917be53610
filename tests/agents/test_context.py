"""Context management: at its share of the window, each strategy as the report has it, and a prompt
that is still the format's."""

import asyncio

import pytest
from acting import Desk, call, says

from speciale.agents.chat_server import ChatServer
from speciale.agents.context import STRATEGIES, discard_75, discard_all, fewest_steps, summary
from speciale.agents.conversation import Conversation, tool_message
from speciale.agents.loop import Budget, ContextManaged, Plan, run_agent
from speciale.agents.scripted import ScriptedSampler, byte_tokenizer, replay
from speciale.agents.trajectory import Trajectory
from speciale.chat import encode_request
from speciale.engine.params import SamplingParams

TOKENIZER = byte_tokenizer()
QUESTION = [{"role": "user", "content": "What is 2 + 3?"}]
PARAMS = SamplingParams()


def talk_after(rounds, policy=None):
    """A conversation after so many rounds, and the policy's answers from there on."""
    said = [says("", f"thought {n}", [call("add", a=n, b=n)]) for n in range(rounds)]
    sampler = ScriptedSampler(replay([*said, *(policy or [])]), TOKENIZER)
    talk = Conversation(sampler, QUESTION, Desk().tools)

    async def play():
        for _ in range(rounds):
            reply = await talk.reply(PARAMS)
            talk.add([tool_message(c, "result") for c in reply.message["tool_calls"]])

    asyncio.run(play())
    return talk


def thoughts_in(talk):
    text = TOKENIZER.decode(talk.ids, skip_special_tokens=False)
    request = {"messages": talk.context, "tools": talk.tools, "thinking": True}
    assert text == encode_request(request).text
    return [n for n in range(20) if f"thought {n}<" in text]


@pytest.mark.parametrize(
    ("rounds", "kept"), [(1, []), (2, []), (4, [3]), (5, [4]), (8, [6, 7]), (12, [9, 10, 11])]
)
def test_discard_75_drops_the_oldest_three_quarters(rounds, kept):
    talk = talk_after(rounds)
    asyncio.run(discard_75(talk, PARAMS))
    assert thoughts_in(talk) == kept
    assert len(talk.messages) == 1 + 2 * rounds, "what happened is not forgotten"


def test_discard_all_asks_the_question_afresh():
    fresh = Conversation(ScriptedSampler(replay([]), TOKENIZER), QUESTION, Desk().tools)
    talk = talk_after(5)
    asyncio.run(discard_all(talk, PARAMS))
    assert talk.ids == fresh.ids


def test_summary_stands_behind_the_question_in_place_of_the_rounds():
    asked = []

    def policy(prompt):
        asked.append(prompt)
        return says("I added 0 to 4.", "let me see")

    talk = talk_after(5)
    talk.sampler.policy = policy
    asyncio.run(summary(talk, PARAMS))
    assert thoughts_in(talk) == []
    assert "What is 2 + 3?\n\nWork on this has begun." in talk.context[-1]["content"]
    assert talk.context[-1]["content"].endswith("I added 0 to 4.")
    assert "let me see" not in TOKENIZER.decode(talk.ids)
    assert "Do not call a tool now" in asked[0] and "result" in asked[0]
    # And once more: the second summary comes behind the first.
    reply = {"said": [says("", "t", [call("add", a=1, b=1)]), says("And 1.", "t")]}
    talk.sampler.policy = replay(reply["said"])

    async def again():
        answer = await talk.reply(PARAMS)
        talk.add([tool_message(c, "2") for c in answer.message["tool_calls"]])
        await summary(talk, PARAMS)

    asyncio.run(again())
    assert talk.context[-1]["content"].endswith("And 1.") and len(talk.context) == 1


@pytest.mark.parametrize("name", [None, *STRATEGIES])
def test_the_loop_manages_the_context_at_its_share_of_the_window(name):
    heard = []
    window = 6000

    def policy(prompt):
        assert len(TOKENIZER.encode(prompt, add_special_tokens=False).ids) < window
        if "Do not call a tool now" in prompt:
            return says("summed up")
        return says("", "x" * 150, [call("add", a=1, b=2)])

    plan = Plan(budget=Budget(turns=50), strategy=STRATEGIES.get(name), share=0.7)
    sampler = ScriptedSampler(policy, TOKENIZER, window)
    done = asyncio.run(run_agent(sampler, QUESTION, Desk(), plan, on_event=heard.append))
    managed = [event for event in heard if isinstance(event, ContextManaged)]
    if name is None:
        assert done.stop == "context" or done.stop == "length"
        assert not managed and len(done.steps) < 50
        return
    assert done.stop == "turns" and len(done.steps) == 50
    assert len(managed) > 2
    assert all(0.7 * window <= event.before < window for event in managed)
    assert all(event.after < event.before for event in managed)
    before = [number for number, step in enumerate(done.steps) if step.managed is not None]
    assert len(managed) - 1 <= len(before) <= len(managed)
    assert [segment.steps[0] for segment in done.segments()] == [0, *before]
    assert len([m for m in done.messages if m["role"] == "tool"]) == 50, "all of it is recorded"


def test_fewest_steps_takes_the_shortest_run_that_answered():
    steps = {0: ("turns", 1), 1: ("answer", 5), 2: ("answer", 3), 3: ("answer", 3)}

    async def run(number):
        stop, count = steps[number]
        return Trajectory(stop=stop, steps=[None] * count, about={"run": number})

    best, every = asyncio.run(fewest_steps(run, 4))
    assert best.about["run"] == 2 and len(every) == 4
    steps[1] = steps[2] = steps[3] = ("error", 0)
    best, _ = asyncio.run(fewest_steps(run, 4))
    assert best.about["run"] == 0


def test_a_chat_servers_conversation_is_managed_likewise():
    talk = ChatServer("http://127.0.0.1:9/v1", "m")(QUESTION)
    for n in range(8):
        talk.add([says("", "t", [call("add", a=n, b=n)]), {"role": "tool", "content": "x" * 300}])
    before = talk.size
    asyncio.run(discard_75(talk, PARAMS))
    assert talk.rounds == 2 and talk.size < before / 2 and len(talk.messages) == 17
    asyncio.run(discard_all(talk, PARAMS))
    assert talk.context == QUESTION
    talk.append_to_question(" Hm.")
    assert talk.context[0]["content"] == "What is 2 + 3? Hm." and QUESTION[0]["content"][-1] == "?"
