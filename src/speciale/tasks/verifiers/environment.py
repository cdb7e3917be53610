"""A source of tasks as an environment of verifiers: what an exported package's load_environment
returns. Works with verifiers 0.3, whose `MultiTurnEnv` is its loop of an agent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from speciale.tasks.arguments import argument_faults
from speciale.tasks.sources import load_tasks
from speciale.tasks.task import Attempt, Task
from speciale.tasks.verifiers.messages import flat_tool, last_answer, to_openai

MAX_TURNS = 50


def environment(
    source: str,
    *,
    count: int = 1000,
    eval_count: int = 100,
    seed: int = 0,
    level: int | None = None,
) -> Any:
    """A `verifiers.Environment` over `source`: to train on the split "train", to evaluate on
    "heldout"; BFCL has no splits and is both. A rollout's reward is `Task.verify`'s score, and
    `state["reasons"]` says why it is no more.
    """
    import verifiers as vf
    from datasets import Dataset
    from verifiers.utils.message_utils import normalize_messages

    whole = source.startswith("bfcl/")
    tasks: dict[str, Task] = {}

    def build(split: str | None, most: int) -> Any:
        drawn = list(load_tasks(source, count=most, seed=seed, level=level, split=split))
        tasks.update({f"{task.source} {task.id}": task for task in drawn})
        return Dataset.from_list([_row(task) for task in drawn])

    def train() -> Any:
        return build(None if whole else "train", count)

    def evaluate() -> Any:
        return build(None if whole else "heldout", eval_count)

    def find(state: Mapping[str, Any]) -> Task:
        name = state["info"]["speciale_task"]
        for dataset in (train, evaluate):  # scored in another process than it was drawn in
            if name not in tasks:
                dataset()
        return tasks[name]

    async def verified(completion: Any, state: Any) -> float:
        task = find(state)
        said = [to_openai(message) for message in completion]
        verdict = await task.verify(Attempt(last_answer(said), [*task.prompt, *said]))
        state["reasons"] = list(verdict.reasons)
        return verdict.score

    class TaskEnv(vf.MultiTurnEnv):
        async def setup_state(self, state: Any) -> Any:
            task = find(state)
            state["stack"], state["turns"] = AsyncExitStack(), list(task.turns)
            state["offered"] = []  # tools that came with a turn
            if task.open is not None:
                state["world"] = await state["stack"].enter_async_context(task.open())
            return state

        @vf.stop
        async def answered(self, state: Any) -> bool:
            if not state["trajectory"] or state["turns"]:
                return False
            return not _calls(state["trajectory"][-1]["completion"][-1])

        async def env_response(self, messages: Any, state: Any, **_: Any) -> Any:
            calls = _calls(messages[-1])
            if calls:
                answers = [await _call(state, call) for call in calls]
            else:
                turn = state["turns"].pop(0)
                answers = list(turn.messages)
                state["offered"] += turn.tools
            state["tool_defs"] = [vf.Tool(**flat_tool(tool)) for tool in _tools(state)]
            return normalize_messages(answers)

        @vf.cleanup
        async def close(self, state: Any) -> None:
            if "stack" in state:
                await state["stack"].aclose()

    return TaskEnv(
        dataset=train,
        eval_dataset=evaluate,
        rubric=vf.Rubric(funcs=[verified]),
        max_turns=MAX_TURNS,
    )


def _row(task: Task) -> dict[str, Any]:
    # A column of a data set has one form: what differs from task to task goes in as JSON.
    info = {
        "speciale_task": f"{task.source} {task.id}",
        "tool_defs": [flat_tool(tool) for tool in task.tools],
    }
    return {
        "prompt": list(task.prompt),
        "answer": task.answer or "",
        "info": json.dumps(info),
    }


def _calls(message: Any) -> Sequence[Any]:
    return getattr(message, "tool_calls", None) or ()


def _tools(state: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    world = state["world"].tools if "world" in state else ()
    names = {tool["function"]["name"] for tool in world}
    new = [tool for tool in state["offered"] if tool["function"]["name"] not in names]
    return [*world, *new]


async def _call(state: Mapping[str, Any], call: Any) -> dict[str, Any]:
    """The result of a call as a message; a call that cannot be made is a result that says why."""
    known = {tool["function"]["name"]: tool for tool in _tools(state)}
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = call.arguments  # a text, which is no object
    if call.name not in known:
        text = f"Error: there is no tool {call.name!r}; there is {', '.join(sorted(known))}."
    elif faults := argument_faults(known[call.name], arguments):
        text = f"Error: {call.name} was not called. {' '.join(faults)}"
    else:
        try:
            text = (await state["world"].call(call.name, arguments)).text
        except Exception as error:  # a fault of the world's ends no rollout beside it
            text = f"Error: {type(error).__name__}: {error}"
    return {"role": "tool", "tool_call_id": call.id, "content": text}
