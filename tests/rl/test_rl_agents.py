"""An agent's attempt in RL: turns with real tools, judged by state, tool results not learnt."""

import asyncio
import json

import pytest

from rl.small import small_recipe
from speciale.agents.scripted import ScriptedSampler
from speciale.rl.draws import Draw
from speciale.rl.rewards.component import Rewards
from speciale.rl.rewards.rules import Format, Outcome
from speciale.rl.rollouts import Rollouts, new_group
from speciale.sandbox import Sandbox
from speciale.synth.starter import make
from speciale.tasks.synthesised.pool import WorldPool
from speciale.tasks.synthesised.processes import roleplayer
from speciale.tasks.synthesised.source import family_task
from speciale.tasks.synthesised.world import open_world, run_solution


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


def family():
    return make({
        "author": "starter", "key": "starter-move", "category": "move", "domain": "shelves-a",
        "seed": 0, "index": 0,
    })  # fmt: skip


async def solved(found, number, sandbox):
    """The assistant messages of the reference solution."""
    files = {f"{number}.py": found.tasks[number].files["solution.py"]}
    async with (
        open_world(found, sandbox) as world,
        roleplayer("solution", files, sandbox) as solver,
    ):
        run = await run_solution(solver, world, f"{number}.py")
    said = [
        {
            "role": "assistant",
            "reasoning_content": "next",
            "tool_calls": [
                {
                    "id": "call_0", "type": "function",
                    "function": {"name": c.name, "arguments": json.dumps(dict(c.arguments))},
                }
            ],
        }
        for c in run.calls
    ]  # fmt: skip
    answer = run.answer if isinstance(run.answer, str) else json.dumps(run.answer)
    return [*said, {"role": "assistant", "reasoning_content": "done", "content": answer}]


def policy(messages, spoil):
    """Says the next message, by how many the prompt holds; `spoil`: answers after one call."""

    def say(prompt):
        turn = prompt.rpartition("<｜Assistant｜>")[2].count("<｜end▁of▁sentence｜>")
        return messages[-1] if spoil and turn else messages[min(turn, len(messages) - 1)]

    return say


@pytest.mark.parametrize("spoil", [False, True])
def test_an_attempt_with_tools(sandbox, spoil):
    async def attempted():
        found = family()
        number = next(iter(found.tasks))
        messages = await solved(found, number, sandbox)
        async with WorldPool(sandbox) as pool:
            task = family_task(found, number, pool=pool)
            draw = Draw(0, "letters", "x", task, thinking=True)
            recipe = small_recipe(
                "m", rollout={"max_tokens": 2000, "group_size": 4, "window": 99_999}
            )
            sampler = ScriptedSampler(policy(messages, spoil))
            rewards = {"letters": Rewards([(1.0, Outcome()), (0.5, Format(sampler.tokenizer))])}
            rollouts = Rollouts(recipe, sampler, rewards)
            group = new_group(draw)
            await asyncio.gather(*(attempt() for attempt in rollouts.attempts(draw, group)))
            return messages, group, sampler

    messages, group, sampler = asyncio.run(attempted())
    assert len(group.rollouts) == 4, group.errors
    for rollout in group.rollouts:
        assert rollout.score == (0.0 if spoil else 1.0)
        assert rollout.parts["format"] == 1.0
        [sequence] = rollout.sequences
        learnt = [token for token, s in zip(sequence.ids, sequence.sampled) if s]
        text = sampler.tokenizer.decode(learnt, skip_special_tokens=False)
        results = [m["content"] for m in rollout.messages if m["role"] == "tool"]
        assert len(results) == rollout.turns - 1 == (1 if spoil else len(messages) - 1)
        assert "tool_output" not in text and "function_results" not in text
        assert text.count("<｜end▁of▁sentence｜>") == rollout.turns
        whole = sampler.tokenizer.decode(sequence.ids, skip_special_tokens=False)
        assert all(result in whole for result in results)
