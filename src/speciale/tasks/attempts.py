"""Answers to tasks out of JSON lines, and the verdicts on all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from speciale.errors import DataError
from speciale.tasks.jsonl import Message
from speciale.tasks.task import Attempt, Task, Verdict

AT_ONCE = 8


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    answer: str | None = None
    messages: list[Message] = []


def read_attempts(path: Path) -> list[tuple[str | None, Attempt]]:
    """The id of a task and an attempt, for each line. DataError for the first line that is none."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"could not read {path}: {error.strerror or error}.") from None
    attempts: list[tuple[str | None, Attempt]] = []
    for number, text in enumerate(lines, 1):
        try:
            line = _Line.model_validate(json.loads(text.decode()))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "line"
            message, value = first["msg"], f"{first['input']!r:.100}"
            raise DataError(f"{path}, line {number}: {field} is {value}: {message}.") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: it is not JSON: {error}.") from None
        messages = [message.model_dump() for message in line.messages]
        answer = line.answer
        if answer is None:
            said = [each["content"] for each in messages if each["role"] == "assistant"]
            answer = said[-1] if said and said[-1] else ""
        attempts.append((line.id, Attempt(answer, messages)))
    if not attempts:
        raise DataError(f"{path} holds no answer: it is empty.")
    return attempts


async def verify_all(
    tasks: Sequence[Task], attempts: Sequence[tuple[str | None, Attempt]]
) -> list[tuple[Task, Verdict]]:
    """The verdict on each attempt; an id of None is the first task's."""
    if not tasks:
        raise DataError("the source has no such task.")
    known = {task.id: task for task in tasks}
    for name, _ in attempts:
        if name is not None and name not in known:
            raise DataError(
                f"there is no task {name!r} among the {len(tasks)} that were drawn: give the "
                "--count, --seed, --level and --split that it was shown with."
            )
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(task: Task, attempt: Attempt) -> tuple[Task, Verdict]:
        async with gate:
            return task, await task.verify(attempt)

    pairs = [(tasks[0] if name is None else known[name], attempt) for name, attempt in attempts]
    return list(await asyncio.gather(*(one(task, attempt) for task, attempt in pairs)))
