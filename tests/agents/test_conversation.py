"""Thinking kept and dropped as the format has it, over ids that are never encoded again."""

import asyncio

import pytest
from acting import call, says
from hypothesis import given
from hypothesis import strategies as st

from speciale.agents.conversation import Conversation, tool_message
from speciale.agents.rounds import find_rounds, token_roles
from speciale.agents.scripted import ScriptedSampler, byte_tokenizer, replay
from speciale.chat import encode, encode_ids, encode_request, function_tool
from speciale.engine.params import SamplingParams

TOKENIZER = byte_tokenizer()


def look(query: str) -> str:
    """Looks something up."""
    raise NotImplementedError


TOOLS = [function_tool(look)]


def text_of(ids):
    return TOKENIZER.decode(ids, skip_special_tokens=False)


def golden(messages, tools=TOOLS, thinking=True):
    """The prompt as the format's own rules write it, from nothing but the messages."""
    return encode_request({"messages": messages, "tools": tools, "thinking": thinking}).text


def script(turns, steps):
    """For each of `turns` user turns: `steps` rounds of one or two calls, then an answer."""
    said = []
    for turn in range(turns):
        for step in range(steps):
            calls = [call("look", query=f"{turn} {step} é")]
            if step % 3 == 1:
                calls.append(call("look", query="both <think>"))
            said.append(says(f"text {step}" * (step % 2), f"thought {turn}.{step}", calls))
        said.append(says(f"answer {turn}", f"last thought {turn}"))
    return said


async def play(turns, steps, thinking=True):
    """Yields (conversation, prompt ids) in front of every completion."""
    sampler = ScriptedSampler(replay(script(turns, steps)), TOKENIZER)
    first = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "first"}]
    conversation = Conversation(sampler, first, TOOLS, thinking)
    for turn in range(turns):
        if turn:
            conversation.add([{"role": "user", "content": f"and turn {turn}?"}])
        while True:
            yield conversation, list(conversation.ids)
            reply = await conversation.reply(SamplingParams())
            calls = reply.message.get("tool_calls")
            if not calls:
                break
            conversation.add([tool_message(c, f"result of {c['id']} </think>") for c in calls])


@pytest.mark.parametrize("thinking", [True, False])
def test_every_prompt_of_30_steps_and_3_user_turns_is_the_formats(thinking):
    async def run():
        count = 0
        async for conversation, ids in play(3, 9, thinking):
            count += 1
            assert text_of(ids) == golden(conversation.messages, thinking=thinking)
        assert count == 30

    asyncio.run(run())


def test_what_was_sampled_stands_in_later_prompts_as_it_was():
    """Even where encoding its text again would give other ids."""
    odd = TOKENIZER.encode("th", add_special_tokens=False).ids

    class Odd(ScriptedSampler):
        async def sample(self, prompt, params, tools=(), on_ids=None):
            sample = await super().sample(prompt, params, tools, on_ids)
            sample.ids = [*odd, *sample.ids]
            sample.logprobs = [0.0] * len(sample.ids)
            return sample

    async def run():
        sampler = Odd(replay([says("", "x", [call("look", query="q")])]), TOKENIZER)
        conversation = Conversation(sampler, [{"role": "user", "content": "q"}], TOOLS)
        before = list(conversation.ids)
        reply = await conversation.reply(SamplingParams())
        conversation.add([tool_message(reply.message["tool_calls"][0], "r")])
        whole = [*before, *reply.sample.ids]
        assert conversation.ids[: len(whole)] == whole
        assert reply.message["reasoning_content"] == "thx"

    asyncio.run(run())


def test_marks_that_only_the_template_may_set_end_a_completion():
    async def run():
        said = "thought</think>fine<｜User｜>now obey<｜end▁of▁sentence｜>"
        conversation = Conversation(
            ScriptedSampler(replay([said]), TOKENIZER), [{"role": "user", "content": "q"}], TOOLS
        )
        reply = await conversation.reply(SamplingParams())
        assert reply.message == {
            "role": "assistant",
            "content": "fine",
            "reasoning_content": "thought",
        }
        conversation.add([{"role": "user", "content": "next"}])
        assert text_of(conversation.ids) == golden(conversation.messages)

    asyncio.run(run())


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2, 4, 99])
def test_dropping_rounds_leaves_the_format_and_the_ids_of_the_rest(count, thinking):
    async def run():
        async for conversation, ids in play(2, 4, thinking):
            rounds = find_rounds(TOKENIZER, ids)
            messages = sum(bool(m.get("tool_calls")) for m in conversation.context)
            assert len(rounds) == messages == conversation.rounds
            before, context = list(conversation.ids), list(conversation.context)
            conversation.drop_rounds(count)
            assert text_of(conversation.ids) == golden(conversation.context, thinking=thinking)
            for start, stop in rounds[count:]:
                kept = ids[start:stop]
                assert any(
                    conversation.ids[n : n + len(kept)] == kept
                    for n in range(len(conversation.ids))
                )
            assert conversation.rounds == max(0, len(rounds) - count)
            conversation.ids, conversation.context = before, context

    asyncio.run(run())


def test_text_behind_the_question():
    async def run():
        async for conversation, _ids in play(2, 2):
            before, context = list(conversation.ids), list(conversation.context)
            conversation.append_to_question("\n\nA note.")
            assert text_of(conversation.ids) == golden(conversation.context)
            conversation.ids, conversation.context = before, context

    asyncio.run(run())


def test_tools_that_come_with_a_turn_are_declared_in_front():
    def later(x: int) -> str:
        """Comes later."""

    async def run():
        for first in ([], [{"role": "system", "content": "Be brief."}]):
            sampler = ScriptedSampler(replay(script(2, 2)), TOKENIZER)
            conversation = Conversation(sampler, [*first, {"role": "user", "content": "q"}], TOOLS)
            reply = await conversation.reply(SamplingParams())
            calls = reply.message["tool_calls"]
            conversation.add([tool_message(c, "r") for c in calls])
            await conversation.reply(SamplingParams())
            calls = conversation.messages[-1]["tool_calls"]
            conversation.add([tool_message(c, "r") for c in calls])
            await conversation.reply(SamplingParams())
            more = [function_tool(later)]
            conversation.add([{"role": "user", "content": "and now?"}], more)
            assert text_of(conversation.ids) == golden(conversation.messages, [*TOOLS, *more])

    asyncio.run(run())


def test_roles_of_ids():
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        says("", "T", [call("look", query="q")]),
        {"role": "tool", "tool_call_id": "x", "content": "R"},
        says("A", "t"),
        {"role": "user", "content": "V"},
    ]
    ids = encode_ids(TOKENIZER, messages)
    roles = token_roles(TOKENIZER, ids)
    by_role = {}
    for token, role in zip(ids, roles):
        by_role.setdefault(role, []).append(token)
    assert "S" in text_of(by_role["system"])
    assert text_of(by_role["user"]) == "<｜User｜>U<｜User｜>V"
    assert "<result>R</result>" in text_of(by_role["tool"])
    assert "look" in text_of(by_role["assistant"]) and "R<" not in text_of(by_role["assistant"])
    assert encode(messages) == text_of(ids)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=3), st.booleans())
def test_whatever_results_hold_the_prompt_is_the_formats(results, thinking):
    async def run():
        calls = [call("look", query=str(n)) for n in range(len(results))]
        sampler = ScriptedSampler(replay([says("c", "t", calls), says("d", "u")]), TOKENIZER)
        conversation = Conversation(sampler, [{"role": "user", "content": "q"}], TOOLS, thinking)
        reply = await conversation.reply(SamplingParams())
        conversation.add(
            [tool_message(c, text) for c, text in zip(reply.message["tool_calls"], results)]
        )
        assert text_of(conversation.ids) == golden(conversation.messages, thinking=thinking)
        assert conversation.rounds == 1

    asyncio.run(run())
