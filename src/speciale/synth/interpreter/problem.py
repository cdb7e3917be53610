"""A problem as authors make it, and the files that it becomes.

solution.py sends its cells one after the other and reads the JSON that the last one printed;
verify.py compares with the right answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from speciale.synth.interpreter import guesses, measures
from speciale.synth.interpreter.tables import read_tables
from speciale.tasks.synthesised.family import TaskAbout, TaskFiles


@dataclass(frozen=True)
class Problem:
    """`answer` was found by the author's own means, not by running `cells`. `prompt` says its form.
    `decimals`: to which its floats are rounded; an answer that rounds to the same is right."""

    prompt: str
    answer: Any
    cells: tuple[str, ...]
    pattern: str
    decimals: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def about(self, level: int = 1, easier: str | None = None) -> TaskAbout:
        return TaskAbout(
            prompt=self.prompt,
            level=level,
            answer_schema=schema_of(self.answer),
            harder_than=easier,
            pattern=self.pattern,
            metadata=self.metadata,
        )

    def files(self, level: int, easier: str | None) -> TaskFiles:
        texts = {"solution.py": solution_text(self.cells), "verify.py": verify_text(self)}
        return TaskFiles(
            self.about(level, easier), {name: text.encode() for name, text in texts.items()}
        )

    def difficulty(self, files: dict[str, str]) -> dict[str, Any]:
        return measures.difficulty(self.about(), self.cells, self.answer, files)


def ladders(groups: list[list[Problem]], files: dict[str, str]) -> dict[str, TaskFiles]:
    """Tasks by number. Each group is a chain from easy to hard: what is no harder than the one
    before is left out, so that levels rise within it, and so is what can be guessed."""
    tasks: dict[str, TaskFiles] = {}
    tables = read_tables(files)
    for group in groups:
        level, easier, base = 1, None, None
        for problem in group:
            own = problem.difficulty(files)
            seen = guesses.naive_values(problem.prompt, tables)
            shown = None not in guesses.looked_up(problem.prompt, problem.answer, seen)
            if shown or own["space_log10"] < measures.LEAST_SPACE:
                continue
            if base is not None and not measures.rises(own, base):
                continue
            number = f"{len(tasks):03d}"
            tasks[number] = problem.files(level, easier)
            level, easier, base = level + 1, number, own
    return tasks


def schema_of(value: Any) -> dict[str, Any]:
    """The JSON schema of values of this form."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {key: schema_of(each) for key, each in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else {}}
    names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return {"type": names[type(value)]}


def form_of(value: Any) -> str:
    """An answer of this form with nothing in it, for prompts: {"total": 0}."""

    def empty(each: Any) -> Any:
        if isinstance(each, dict):
            return {key: empty(part) for key, part in each.items()}
        if isinstance(each, list):
            return [empty(each[0])] if each else []
        return type(each)("" if isinstance(each, str) else 0)

    return json.dumps(empty(value), ensure_ascii=False)


def solution_text(cells: tuple[str, ...]) -> str:
    """Cells stand in raw strings, for people to read. ValueError for a cell that cannot."""
    parts = []
    for number, cell in enumerate(cells, 1):
        cell = cell.strip("\n")
        if "'''" in cell or cell.endswith(("\\", "'")):
            raise ValueError("a cell that no raw string can hold")
        parts.append(f"CELL_{number} = r'''\n{cell}\n'''\n")
    calls = [f"tools.python(code=CELL_{number})" for number in range(1, len(cells) + 1)]
    body = "".join(f"    {call}\n" for call in calls[:-1])
    body += f"    printed = {calls[-1]}\n    return json.loads(printed.splitlines()[-1])\n"
    return "import json\n\n" + "\n".join(parts) + f"\n\ndef solve(tools):\n{body}"


_SAME = '''

def same(given, right):
    """Whether a part of the answer is right: None, or what is wrong with it."""
    if isinstance(right, dict):
        if not isinstance(given, dict) or set(given) != set(right):
            return f"It must be an object with the keys {', '.join(sorted(right))}."
        return next(filter(None, (same(given[key], right[key]) for key in right)), None)
    if isinstance(right, list):
        if not isinstance(given, list) or len(given) != len(right):
            return "It must be a list of another length."
        return next(filter(None, map(same, given, right)), None)
    if isinstance(right, str):
        return None if isinstance(given, str) and given == right else f"{given!r:.80} is wrong."
    if isinstance(right, bool):
        return None if given is right else f"{given!r:.80} is wrong."
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return f"{given!r:.80} is no number."
'''
_EXACT = """    return None if given == right else f"{given} is wrong."
"""
_ROUNDED = """    if isinstance(right, int):
        return None if given == right else f"{given} is wrong."
    return None if abs(given - right) <= HALF else f"{given} is wrong."
"""
_VERIFY = """

def verify(answer, before, after):
    return same(answer, RIGHT) or True
"""


def verify_text(problem: Problem) -> str:
    text = f"RIGHT = {problem.answer!r}\n"
    if problem.decimals is not None:
        half = 0.5000001 * 10**-problem.decimals
        text += f"HALF = {half!r}  # of a unit in the last decimal that is asked for\n"
    return text + _SAME + (_EXACT if problem.decimals is None else _ROUNDED) + _VERIFY


def ends_well(value: float, decimals: int) -> bool:
    """Whether a figure is far enough from where rounding turns for sums in any order to agree."""
    rest = abs(value) * 10**decimals % 1
    return abs(rest - 0.5) > 1e-4
