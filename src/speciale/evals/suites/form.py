"""Format: calls and JSON that fit a schema drawn anew, with the values that were asked for.

No knowledge is wanted, so what is missed is form. `calls`: one of several tools, with its
arguments; `json`: an object of the same schema as the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from math import prod
from random import Random
from typing import Any

from speciale.errors import ConfigError
from speciale.evals.attempts import Question
from speciale.evals.suites.suite import Choice, Said, Suite, taken
from speciale.tasks.arguments import argument_faults
from speciale.tasks.noted import noted
from speciale.tasks.task import Attempt, Task, Verdict

CELLS = ("calls", "json")
TOOLS = 3  # offered
_THINGS = ("lamp", "door", "oven", "fan", "gate", "pump", "radio", "screen", "valve", "clock")
_COLOURS = ("red", "green", "blue")
_NUMBERS = tuple(range(1, 10))
_FIELDS: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {  # schema, what it allows
    "colour": ({"type": "string", "enum": list(_COLOURS)}, _COLOURS),
    "level": ({"type": "integer", "minimum": 1, "maximum": 9}, _NUMBERS),
    "active": ({"type": "boolean"}, (True, False)),
    "minutes": ({"type": "integer", "minimum": 1, "maximum": 9}, _NUMBERS),
}


def questions(choice: Choice) -> list[Question]:
    found: list[Question] = []
    for cell in choice.cells or CELLS:
        if cell not in CELLS:
            raise ConfigError(f"the suite format has no cell {cell!r}: it has {', '.join(CELLS)}")
        tasks = (_task(cell, Random(f"{cell}/{choice.seed}/{n}"), n) for n in count())
        found += taken(cell, tasks, choice.tasks)
    return found


def _task(cell: str, rng: Random, number: int) -> Task:
    names = rng.sample(_THINGS, TOOLS)
    tools = [_tool(name, rng.sample(sorted(_FIELDS), rng.randint(2, 3))) for name in names]
    tool = tools[0]
    wanted = {key: rng.choice(_FIELDS[key][1]) for key in _properties(tool)}
    values = ", ".join(f"{key} = {json.dumps(value)}" for key, value in wanted.items())
    rng.shuffle(tools)
    if cell == "calls":
        ask = f"Set the {names[0]}: {values}."
    else:
        schema = json.dumps(tool["function"]["parameters"])
        ask = (
            f"Answer with one JSON object of this schema and nothing else: {schema} Take {values}."
        )

    async def verify(attempt: Attempt) -> Verdict:
        return (
            _called(attempt, tool, wanted) if cell == "calls" else _written(attempt, tool, wanted)
        )

    return Task(
        id=f"{cell}-{number}",
        source=f"format/{cell}",
        prompt=[{"role": "user", "content": ask}],
        verifier=verify,
        open=noted(tools) if cell == "calls" else None,
        tools=tools if cell == "calls" else (),
        answer=json.dumps(wanted),
        metadata={"tool": tool},
    )


def _tool(name: str, fields: list[str]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {key: _FIELDS[key][0] for key in fields},
        "required": fields,
        "additionalProperties": False,
    }
    function = {"name": f"set_{name}", "description": f"Sets the {name}.", "parameters": schema}
    return {"type": "function", "function": function}


def _properties(tool: dict[str, Any]) -> list[str]:
    return list(tool["function"]["parameters"]["properties"])


def _called(attempt: Attempt, tool: dict[str, Any], wanted: dict[str, Any]) -> Verdict:
    """Half for a first call that fits its schema, all for the one that was asked for, alone."""
    calls = [
        c for m in attempt.messages for c in m.get("tool_calls") or () if m["role"] == "assistant"
    ]
    if not calls:
        return Verdict(0.0, ("There is no call.",))
    function = calls[0]["function"]
    if function["name"] != tool["function"]["name"]:
        return Verdict(0.0, (f"It calls {function['name']}, not {tool['function']['name']}.",))
    return _judged(function["arguments"], tool, wanted, len(calls) == 1)


def _written(attempt: Attempt, tool: dict[str, Any], wanted: dict[str, Any]) -> Verdict:
    return _judged(attempt.answer, tool, wanted, True)


def _judged(text: str, tool: dict[str, Any], wanted: dict[str, Any], alone: bool) -> Verdict:
    try:
        values = json.loads(text)
    except ValueError:
        return Verdict(0.0, ("It is no JSON.",))
    faults = argument_faults(tool, values)
    if faults:
        return Verdict(0.0, tuple(faults))
    if values != wanted or not alone:
        return Verdict(0.5, ("It fits the schema, but is not what was asked for.",))
    return Verdict(1.0)


def _said(question: Question, values: dict[str, Any], name: str) -> Iterator[Said]:
    if question.cell == "calls":
        function = {"name": name, "arguments": json.dumps(values)}
        call = {"id": "call_0", "type": "function", "function": function}
        yield {"role": "assistant", "content": "", "tool_calls": [call]}
        yield "Done."
    else:
        yield json.dumps(values)


def oracle(question: Question) -> Iterator[Said]:
    name = question.task.metadata["tool"]["function"]["name"]
    return _said(question, json.loads(question.task.answer or ""), name)


def guess(question: Question, rng: Random) -> Iterator[Said]:
    """Any tool of those offered, any values that its schema allows."""
    tool = question.task.metadata["tool"]
    if question.cell == "calls":
        tool = rng.choice(list(question.task.tools))
    values = {key: rng.choice(_FIELDS[key][1]) for key in _properties(tool)}
    return _said(question, values, tool["function"]["name"])


def chance(question: Question) -> float:
    ways = prod(len(_FIELDS[key][1]) for key in _properties(question.task.metadata["tool"]))
    return 1 / ways / (TOOLS if question.cell == "calls" else 1)


SUITE = Suite("format", "calls and JSON that fit a schema", questions, oracle, guess, chance)
