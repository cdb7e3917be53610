"""A family of data as a task for agents: its files are laid, the python tool is real, the answer is
scored."""

import asyncio
import json

from speciale.agents import attempt_task
from speciale.agents.scripted import ScriptedSampler, byte_tokenizer, replay
from speciale.synth.interpreter.author import make
from speciale.tasks.synthesised.source import family_task

ITEM = {"author": "interpreter", "key": "interpreter-data-1-000000", "category": "data", "seed": 1,
        "index": 0}  # fmt: skip


def calls(code):
    function = {"name": "python", "arguments": json.dumps({"code": code})}
    return {"role": "assistant", "content": "", "tool_calls": [
        {"id": "1", "type": "function", "function": function}]}  # fmt: skip


def says(text):
    return {"role": "assistant", "content": text}


def cells_of(solution):
    """The texts between the raw strings of a solution, as an agent would write them."""
    return [part.partition("'''")[0] for part in solution.split("r'''")[1:]]


def test_an_agent_solves_a_task_through_the_python_tool():
    family = make(ITEM)
    number = "001"
    task = family_task(family, number)
    assert task.open is None and "NOTES.txt" in task.metadata["files"]
    told = []

    def policy(prompt):
        told.append(prompt)
        if len(told) <= 2:
            return calls(cells_of(family.tasks[number].solution)[len(told) - 1])
        printed = prompt[prompt.rindex('{"') : prompt.rindex("}") + 1]
        return says(f"The result is\n{printed}")

    done = asyncio.run(
        attempt_task(ScriptedSampler(policy, byte_tokenizer()), task, tools="python")
    )
    assert (done.score, done.reasons) == (1.0, [])
    assert "one " in told[1] and task.prompt[0]["content"] in told[0]  # the notes were read

    model = ScriptedSampler(replay([calls("1 + 1"), says('{"total": 2}')]), byte_tokenizer())
    done = asyncio.run(attempt_task(model, task, tools="python"))
    assert done.score == 0.0 and done.reasons
