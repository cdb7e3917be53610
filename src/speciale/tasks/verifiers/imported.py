"""An installed environment of verifiers as tasks: its rows, and its rubric as their verifier.

Rubrics and tools run in this process, as verifiers runs them: they are code that you installed.
Taken is what a task can be: one prompt, tools without a state of their own, a rubric that scores
one rollout by itself.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from speciale.errors import DataError
from speciale.tasks.environment import Result
from speciale.tasks.task import Attempt, Task, Verdict
from speciale.tasks.verifiers.messages import openai_tool, to_openai

INSTALL = (
    "`pip install 'verifiers>=0.3.1,<0.4'` and the environment's own package into the Python that "
    "runs speciale (verifiers needs mcp below 2)"
)


def verifiers_tasks(name: str, seed: int, split: str | None) -> Iterator[Task]:
    """The rows of an environment, shuffled where `seed` is not 0; its data set for training, or
    with the split "heldout" that for evaluation. DataError for one that is not to be had."""
    try:
        import verifiers as vf
    except ImportError:
        vf = None
    if getattr(vf, "__file__", None) is None:  # any folder of that name can be imported
        raise DataError(f"verifiers:{name} needs the package verifiers: {INSTALL}.")
    try:
        environment = vf.load_environment(name)
    except Exception as error:  # whatever its module does
        raise DataError(f"verifiers could not load {name!r}: {error}") from None
    if reason := refused(environment, vf):
        raise DataError(f"verifiers:{name} cannot be taken as tasks: {reason}.")
    training = environment.dataset_source is not None and split != "heldout"
    rows = environment.get_dataset if training else environment.get_eval_dataset
    return (_task(name, environment, row, vf) for row in rows(seed=seed or None))


def refused(environment: Any, vf: Any) -> str | None:
    """Why an environment is no tasks; None where it is."""
    if not isinstance(environment, vf.MultiTurnEnv):
        return f"it is a {type(environment).__name__}, not a single turn or plain tools"
    if environment.message_type != "chat":
        return "it completes a text instead of answering messages"
    plain = vf.ToolEnv if isinstance(environment, vf.ToolEnv) else vf.SingleTurnEnv
    for method in ("env_response", "setup_state", "call_tool", "get_prompt_messages"):
        own, usual = getattr(type(environment), method, None), getattr(plain, method, None)
        if own is not usual:
            return f"its {method} is its own, and a task has nothing like it"
    if environment.rubric.has_group_rewards or environment.rubric.has_advantages:
        return "its rubric compares rollouts with each other"
    rubrics = getattr(environment.rubric, "rubrics", [environment.rubric])
    if any(isinstance(rubric, vf.JudgeRubric) for rubric in rubrics):
        return "its rubric asks a model to judge"
    if full_marks(environment) <= 0:
        return "its rubric has no reward"
    return None


def full_marks(environment: Any) -> float:
    """The reward of an answer that every function of the rubric gives 1 to."""
    return sum(weight for weight in environment.rubric._get_reward_weights() if weight > 0)


def _task(name: str, environment: Any, row: Mapping[str, Any], vf: Any) -> Task:
    prompt = [to_openai(message) for message in row["prompt"]]
    info = row.get("info") or {}
    tools = [openai_tool(tool) for tool in environment.tool_defs or ()]

    async def verify(attempt: Attempt) -> Verdict:
        return await _verdict(environment, row, attempt, len(prompt), vf)

    return Task(
        id=str(row["example_id"]),
        source=f"verifiers:{name}",
        prompt=prompt,
        verifier=verify,
        open=_opened(environment, tools) if tools else None,
        tools=tools,
        answer=str(row["answer"]) if row.get("answer") else None,
        metadata={"info": json.loads(info) if isinstance(info, str) else info},
    )


def _opened(environment: Any, tools: Sequence[Mapping[str, Any]]) -> Any:
    class Tools:
        def __init__(self) -> None:
            self.tools = tools

        async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
            try:
                answer = await environment.call_tool(name, dict(arguments), "")
            except Exception as error:
                return Result(environment.error_formatter(error), error=True)
            return Result(str(answer.content))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Tools]:
        yield Tools()

    return opened


async def _verdict(
    environment: Any, row: Mapping[str, Any], attempt: Attempt, prompt: int, vf: Any
) -> Verdict:
    from verifiers.utils.message_utils import normalize_messages

    said = list(attempt.messages[prompt:]) or [{"role": "assistant", "content": attempt.answer}]
    state = vf.State(input=dict(row))
    if isinstance(row.get("info"), str):
        state["info"] = json.loads(row["info"])
    state["prompt"] = normalize_messages(list(row["prompt"]))
    state["completion"] = normalize_messages(said)
    state["trajectory"] = [
        {"prompt": state["prompt"], "completion": [message]}
        for message in state["completion"]
        if message.role == "assistant"
    ]
    await environment.rubric.score_rollout(state)
    score = min(max(state["reward"] / full_marks(environment), 0.0), 1.0)
    if score == 1.0:
        return Verdict(1.0)
    parts = ", ".join(f"{part} {value:g}" for part, value in state["metrics"].items())
    return Verdict(score, (f"The rubric gave {parts}.",))
