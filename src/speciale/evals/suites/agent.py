"""Agents: synthesised environments that no training saw, and BFCL v4.

Cells are `synth:DIR#CATEGORY` (held-out tasks of a store; a run's own is RUN/tasks) and
`bfcl/CATEGORY`. A task counts as solved by the state and the answer that its calls lead to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from speciale.errors import ConfigError
from speciale.evals.attempts import Question
from speciale.evals.suites.suite import Choice, Said, Suite, split_cell, taken
from speciale.tasks.sources import load_tasks
from speciale.tasks.synthesised.demonstrations import demonstrations
from speciale.tasks.synthesised.family import read_about
from speciale.tasks.synthesised.source import FAMILIES

BFCL = ("bfcl/simple_python", "bfcl/multiple", "bfcl/parallel", "bfcl/multi_turn_base")


def questions(choice: Choice) -> list[Question]:
    found: list[Question] = []
    for cell in choice.cells or [*synthesised(choice.store), *BFCL]:
        source, level = split_cell(cell)
        split = "heldout" if source.startswith("synth:") else None
        tasks = load_tasks(source, seed=choice.seed, level=level, split=split)
        found += [_asked(question) for question in taken(_short(cell), tasks, choice.tasks)]
    return found


def _asked(question: Question) -> Question:
    """Problems for an interpreter are given one."""
    interpreter = question.task.metadata.get("kind") == "interpreter"
    return replace(question, tools="python") if interpreter else question


def synthesised(store: Path | None) -> list[str]:
    """The cells of a store, one a category."""
    if store is None:
        return []
    root = store / FAMILIES
    if not root.is_dir():
        raise ConfigError(f"{store} is no store of tasks: name one with --store, or leave it out")
    names = {read_about(path).category for path in root.iterdir() if path.is_dir()}
    return [f"synth:{store}#{name}" for name in sorted(names)]


def _short(cell: str) -> str:
    """Without the folder, which is not the same everywhere."""
    return f"synth#{cell.split('#')[-1]}" if cell.startswith("synth:") and "#" in cell else cell


def oracle(question: Question) -> Iterator[Said]:
    """The calls of the task's own solution, or BFCL's right ones; then the answer."""
    task = question.task
    if task.source.startswith("synth:"):
        folder = task.source.removeprefix("synth:").split("#")[0]
        family, _, number = task.id.rpartition("/")
        for each in demonstrations(folder, 0, split=None):
            if (each.family, each.number) == (family, number):
                yield from (m for m in each.messages if m["role"] == "assistant")
                return
        raise ConfigError(f"{folder} has no solution of {task.id}")
    for turn in task.metadata["gold"]:
        if turn:
            yield {"role": "assistant", "content": "", "tool_calls": _calls(turn)}
        yield "Done."


def _calls(gold: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{place}",
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
        for place, call in enumerate(gold)
    ]


def guess(question: Question, rng: Random) -> Iterator[Said]:
    """A call of any tool without arguments, and any digit."""
    tools = question.task.tools
    if tools:
        name = rng.choice(list(tools))["function"]["name"]
        yield {
            "role": "assistant",
            "content": "",
            "tool_calls": _calls([{"name": name, "arguments": {}}]),
        }
    while True:  # as many turns as the user takes
        yield rng.choice("0123456789")


def chance(question: Question) -> float:
    """None: answers are one of 10^5 and more (docs/synthesis.md), calls need their arguments."""
    return 0.0


SUITE = Suite(
    "agent", "held-out environments with tools, and BFCL v4", questions, oracle, guess, chance
)
