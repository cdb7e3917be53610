"""What a task's solution did, as a conversation to learn from: one call a message, then the answer.

A cold start for tool use before RL (V3.2 report, 3.1; DeepSeek-R1, arXiv 2501.12948, 2.3.1). Tasks
of one family may share a conversation, so that the text of its tools is read once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.tasks.environment import Message
from speciale.tasks.synthesised.family import GATES, Family, TaskFiles, read_family
from speciale.tasks.synthesised.processes import roleplayer
from speciale.tasks.synthesised.signatures import tools_of
from speciale.tasks.synthesised.source import FAMILIES, accepted_in, split_of_task
from speciale.tasks.synthesised.world import TOOLS, Call, open_world, result_of, run_solution

# name and arguments of a call, and its result as a model reads it
Made = tuple[str, Mapping[str, Any], str]


@dataclass(frozen=True)
class Demonstration:
    """`messages` in OpenAI's form, from the user's prompt to the assistant's answer; several user
    turns where it was joined, and then `number` is "000+007"."""

    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]]
    family: str
    number: str
    category: str
    level: int
    writes: bool  # its calls change the state

    def conversation(self) -> list[Message]:
        """The messages behind a system message that holds the tools: what an agent's prompt begins
        with, for `chat.encode`."""
        head: Message = {"role": "system", "content": "", "tools": list(self.tools)}
        return [head, *self.messages]


def demonstrations(
    folder: str | Path, seed: int, split: str | None = "train", sandbox: Sandbox | None = None
) -> Iterator[Demonstration]:
    """One of each accepted task of a store, family by family, both in an order by `seed`.

    Calls and results are those that gate 1 wrote down; where their text is not certain (floats,
    objects, clipped ones), the solution is run again in the sandbox. DataError for a store that
    cannot be read, SandboxError where one is needed and cannot be had.
    """
    root = Path(folder) / FAMILIES
    if not root.is_dir():
        raise DataError(
            f"{folder} is no store of tasks: `speciale synth starter --out DIR` makes one"
        )
    rng = Random(seed)
    paths = sorted(path for path in root.iterdir() if path.is_dir())
    rng.shuffle(paths)
    for path in paths:
        family, answers = read_family(path), accepted_in(path)
        numbers = [
            number
            for number, task in family.tasks.items()
            if number in answers and split in (None, split_of_task(task)) and TOOLS in family.files
        ]
        rng.shuffle(numbers)
        made = _evidence(path)
        plain = {number for number in numbers if _is_plain(family.tasks[number])}
        if again := [number for number in numbers if number not in plain or number not in made]:
            made |= _run_again(family, again, sandbox)
        for number in numbers:
            yield _demonstration(family, number, made[number], answers[number])


def joined(found: Iterable[Demonstration], turns: int) -> Iterator[Demonstration]:
    """Up to `turns` demonstrations of one family as one conversation. One that changes the state
    ends it: what comes after would see another world than it was made in."""
    group: list[Demonstration] = []
    for each in found:
        if group and (
            group[-1].family != each.family or len(group) >= turns or group[-1].writes
        ):  # fmt: skip
            yield _joined(group)
            group = []
        group.append(each)
    if group:
        yield _joined(group)


def hasty(found: Demonstration, rng: Random) -> Demonstration:
    """One task's, by somebody who gives its answer before the last calls are made: after none of
    them, or some."""
    *work, answer = found.messages
    calls = (len(work) - 1) // 2
    kept = work[: 1 + 2 * rng.randrange(calls)] if calls else work
    guess = {**answer, "reasoning_content": answer["content"]}
    return replace(found, messages=[*kept, guess])


def _joined(group: Sequence[Demonstration]) -> Demonstration:
    messages: list[Message] = []
    for place, each in enumerate(group):
        messages += [_renamed(message, f"{place}_") for message in each.messages]
    return replace(
        group[0],
        messages=messages,
        number="+".join(each.number for each in group),
        level=max(each.level for each in group),
        writes=group[-1].writes,
    )


def _renamed(message: Message, mark: str) -> Message:
    """With ids of calls that no other task of the conversation has."""
    if "tool_call_id" in message:
        return {**message, "tool_call_id": mark + message["tool_call_id"]}
    if "tool_calls" in message:
        calls = [{**call, "id": mark + call["id"]} for call in message["tool_calls"]]
        return {**message, "tool_calls": calls}
    return message


def _demonstration(family: Family, number: str, made: Sequence[Made], answer: Any) -> Demonstration:
    about = family.tasks[number].about
    thoughts = about.metadata.get("thoughts")
    if not isinstance(thoughts, list) or len(thoughts) != len(made) + 1:
        thoughts = [""] * (len(made) + 1)
    messages: list[Message] = [{"role": "user", "content": about.prompt}]
    for place, (name, arguments, result) in enumerate(made):
        function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        call = {"id": f"call_{place}", "type": "function", "function": function}
        messages += [
            {
                "role": "assistant", "content": "", "reasoning_content": str(thoughts[place]),
                "tool_calls": [call],
            },
            {"role": "tool", "tool_call_id": f"call_{place}", "content": result},
        ]  # fmt: skip
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    # The answer itself where there is nothing to work out: thinking is never empty before one.
    last = str(thoughts[-1]) or text
    messages.append({"role": "assistant", "content": text, "reasoning_content": last})
    return Demonstration(
        messages,
        tools_of(family.files[TOOLS].decode()),
        family.about.id,
        number,
        family.about.category,
        about.level,
        bool(about.metadata.get("changes", True)),
    )


def _is_plain(task: TaskFiles) -> bool:
    """Whether its author said that all results are words, whole numbers or lists of them: then
    gate 1's text of a result is the one that a model reads."""
    return task.about.metadata.get("results") == "plain"


def _evidence(folder: Path) -> dict[str, list[Made]]:
    """What the solutions did when gate 1 ran them, where it is written down whole."""
    try:
        tasks = json.loads((folder / GATES).read_bytes())["tasks"]
        found = {}
        for number, one in tasks.items():
            evidence = next(gate["evidence"] for gate in one["gates"] if gate["number"] == 1)
            trace = evidence.get("trace", [])
            whole = len(trace) == evidence.get("calls") and all(
                isinstance(call["arguments"], dict) and not call["result"].endswith("…")
                for call in trace
            )
            if whole:
                found[number] = [(c["name"], c["arguments"], c["result"]) for c in trace]
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(f"{folder / GATES} cannot be read ({error}): audit the store") from None


def _run_again(
    family: Family, numbers: Sequence[str], sandbox: Sandbox | None
) -> dict[str, list[Made]]:
    """Runs solutions. In a thread of its own: the caller may have an event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _runs(family, numbers, sandbox)).result()


async def _runs(
    family: Family, numbers: Sequence[str], sandbox: Sandbox | None
) -> dict[str, list[Made]]:
    files = {f"{number}.py": family.tasks[number].files["solution.py"] for number in numbers}
    found: dict[str, list[Made]] = {}
    async with (
        open_world(family, sandbox) as world,
        roleplayer("solution", files, sandbox) as solver,
    ):
        for number in numbers:
            run = await run_solution(solver, world, f"{number}.py")
            if run.fault is not None:
                raise DataError(f"{family.about.id}/{number} has a solution that fails: audit it")
            found[number] = [_made(call) for call in run.calls]
    return found


def _made(call: Call) -> Made:
    return call.name, call.arguments, result_of(call).text
