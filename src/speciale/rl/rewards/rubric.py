"""The rubric reward: a generative reward model marks an answer criterion by criterion.

V3.2 report, section 3.1: in general tasks "each prompt has its own rubric"; here it is
`task.metadata["rubric"]`. The reward is the weighted mean of the marks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from speciale.agents.trajectory import Trajectory
from speciale.errors import DataError
from speciale.rl.rewards.asking import Unreadable, ask, judgement
from speciale.rl.rewards.component import close_if_open, question_of
from speciale.rl.rewards.grader import Grader
from speciale.tasks.task import Task

_INSTRUCTIONS = """\
You mark an answer to a question by a rubric. Judge each criterion of the rubric by itself, from \
what the answer says and not from what it says about itself. "met" is true, false, or a number \
from 0 to 1 where a criterion is met in part; "reason" is one sentence that names the place in the \
answer that decides it.

Reply with one JSON object and nothing else, with one entry a criterion, in order:
{"criteria": [{"criterion": 1, "reason": "...", "met": true}, ...]}"""

_MOST = 1_000_000  # of a weight


@dataclass(frozen=True)
class Criterion:
    text: str
    weight: float = 1.0


class Rubric:
    """0 to 1: how far the answer meets the rubric of its task."""

    name = "rubric"

    def __init__(self, grader: Grader) -> None:
        self._grader = grader

    async def value(self, task: Task, trajectory: Trajectory) -> float:
        """DataError for a task without a rubric, and where the grader's reply cannot be read, its
        second one neither. An attempt without an answer has 0, and nobody is asked."""
        criteria = criteria_of(task)
        answer = trajectory.answer
        if not answer.strip():
            return 0.0
        listed = "\n".join(f"{n}. {each.text}" for n, each in enumerate(criteria, 1))
        asked = f"The rubric:\n{listed}\n\nThe question, and the answer that you mark:"
        messages = judgement(
            _INSTRUCTIONS, asked, {"question": question_of(task), "answer": answer}
        )
        marks = await ask(self._grader, messages, lambda reply: read_marks(reply, len(criteria)))
        total = sum(each.weight for each in criteria)
        return sum(each.weight * mark for each, mark in zip(criteria, marks)) / total

    async def close(self) -> None:
        await close_if_open(self._grader)


def criteria_of(task: Task) -> list[Criterion]:
    """The task's rubric: a text is one criterion; else a list of texts or of {criterion, weight}.
    DataError where there is none or it is of another form."""
    rubric, where = task.metadata.get("rubric"), f"the rubric of {task.source}#{task.id}"
    if rubric is None:
        raise DataError(f"{where} is missing: put one into metadata, or give rubric no weight")
    entries = [rubric] if isinstance(rubric, str) else rubric
    if not isinstance(entries, Sequence) or not entries:
        raise DataError(f"{where} is {rubric!r}: give a text or a list of {{criterion, weight}}")
    return [_criterion(entry, f"{where}, entry {n}") for n, entry in enumerate(entries, 1)]


def _criterion(entry: Any, where: str) -> Criterion:
    if isinstance(entry, str):
        entry = {"criterion": entry}
    if not isinstance(entry, dict) or not {"criterion"} <= entry.keys() <= {"criterion", "weight"}:
        raise DataError(f"{where} is {entry!r}: give {{criterion, weight}}")
    text, weight = entry["criterion"], entry.get("weight", 1.0)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where} has the criterion {text!r}: give a sentence")
    if not _is_number(weight) or not 0 < weight <= _MOST:
        raise DataError(
            f"{where} has the weight {weight!r}: give a number above 0, at most {_MOST:,}"
        )
    return Criterion(text.strip(), float(weight))


def read_marks(reply: str, count: int) -> list[float]:
    """The marks, 0 to 1, of a reply that is the JSON object asked for, in one code fence at most.
    Unreadable for all else: a verdict that stands somewhere in a text may be a quoted one."""
    try:
        said = json.loads(_unfenced(reply), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("it is not one JSON object alone") from None
    if not isinstance(said, dict) or said.keys() != {"criteria"}:
        raise Unreadable('it is no object with "criteria" alone')
    entries = said["criteria"]
    if not isinstance(entries, list) or len(entries) != count:
        raise Unreadable(f'"criteria" is no list of {count}')
    return [_mark(entry, number) for number, entry in enumerate(entries, 1)]


def _mark(entry: Any, number: int) -> float:
    if not isinstance(entry, dict) or entry.keys() != {"criterion", "reason", "met"}:
        raise Unreadable(f'entry {number} has not just "criterion", "reason" and "met"')
    if isinstance(entry["criterion"], bool) or entry["criterion"] != number:
        raise Unreadable(f"entry {number} is not about criterion {number}")
    if not isinstance(entry["reason"], str) or not entry["reason"].strip():
        raise Unreadable(f'entry {number} has no text as "reason"')
    met = entry["met"]
    if isinstance(met, bool):
        return float(met)
    if not _is_number(met) or not 0 <= met <= 1:  # so NaN too
        raise Unreadable(f'"met" of entry {number} is not true, false or a number from 0 to 1')
    return float(met)


def _unfenced(reply: str) -> str:
    """Without one code fence around all of it."""
    reply = reply.strip()
    opening, line, inside = reply.partition("\n")
    if line and opening in ("```", "```json") and inside.endswith("```"):
        return inside.removesuffix("```")
    return reply


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("a key of its JSON comes twice")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
