"""Tasks of the user's own out of JSON lines, one task a line: docs/tasks.md has the fields.

Every line is checked before the first task is given; what is wrong with one is an error that names
the file, the line, the field and its value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from random import Random
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.tasks import answers, checks
from speciale.tasks.gym.catalogue import CATALOGUE
from speciale.tasks.gym.source import task_of
from speciale.tasks.maths import verify_maths
from speciale.tasks.noted import noted
from speciale.tasks.problem import split_of
from speciale.tasks.python_check import verify_by_code
from speciale.tasks.task import Attempt, Task, Verdict

VERIFIERS = Literal["exact", "number", "choice", "math", "json", "regex", "python", "reasoning-gym"]


def _relative(path: str) -> str:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise ValueError("a file's path is relative to /work and stays in it")
    return path


def _messages(prompt: Any) -> Any:
    """A text is one message of the user's."""
    if not isinstance(prompt, str):
        return prompt
    if not prompt.strip():
        raise ValueError("there is nothing in it")
    return [{"role": "user", "content": prompt}]


class Message(BaseModel):
    """A message in OpenAI's form; further fields, such as tool_calls, are kept."""

    model_config = ConfigDict(extra="allow")
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None


class Function(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: Annotated[str, Field(min_length=1)]
    parameters: dict[str, JsonValue] = {"type": "object", "properties": {}}


class Tool(BaseModel):
    """One of OpenAI's function tools."""

    model_config = ConfigDict(extra="allow")
    type: Literal["function"] = "function"
    function: Function


class Row(BaseModel):
    """One line."""

    model_config = ConfigDict(extra="forbid")
    id: str | None = None
    prompt: Annotated[list[Message], BeforeValidator(_messages), Field(min_length=1)]
    answer: JsonValue = None
    verifier: VERIFIERS = "exact"
    code: str | None = None
    tools: list[Tool] = []
    level: Annotated[int | None, Field(ge=1)] = None
    metadata: dict[str, JsonValue] = {}
    files: dict[Annotated[str, AfterValidator(_relative)], str] = {}

    @model_validator(mode="after")
    def _fits(self) -> Row:
        if self.verifier == "python":
            if self.code is None or "def verify(" not in self.code:
                raise ValueError("code: it has to define verify(answer, messages) for python")
            try:
                compile(self.code, "code", "exec")
            except SyntaxError as error:
                raise ValueError(f"code: it is not Python: {error}") from None
        elif self.code is not None:
            raise ValueError(f"code: it is for the verifier python, not {self.verifier}")
        textual = self.verifier in ("exact", "choice", "math", "regex", "reasoning-gym")
        if textual and not (isinstance(self.answer, str) and self.answer.strip()):
            raise ValueError(f"answer: {self.verifier} needs a text, not {self.answer!r}")
        if self.verifier == "number" and checks.value_of(str(self.answer)) is None:
            raise ValueError(f"answer: it is {self.answer!r}, not a number")
        if self.verifier == "choice" and not re.fullmatch("[A-Za-z]", str(self.answer)):
            raise ValueError(f"answer: it is {self.answer!r}, not one letter")
        if self.verifier == "regex":
            try:
                re.compile(str(self.answer))
            except re.error as error:
                raise ValueError(f"answer: {self.answer!r} is no pattern: {error}") from None
        if self.verifier == "json" and "answer" not in self.model_fields_set:
            raise ValueError("answer: json needs a value")
        if self.verifier == "reasoning-gym":
            family = self.metadata.get("family")
            known = isinstance(family, str) and family in CATALOGUE
            if not known or not isinstance(self.metadata.get("entry"), dict):
                raise ValueError("metadata: reasoning-gym needs a family and an entry")
            if not self.level or self.level > CATALOGUE[str(family)].levels:
                raise ValueError(f"level: {family} has no level {self.level}")
        return self


def jsonl_tasks(
    path: str, seed: int, level: int | None, split: str | None, sandbox: Sandbox | None
) -> Iterator[Task]:
    """The tasks of a file, each once: in its order, or shuffled where `seed` is not 0."""
    rows = read_rows(Path(path))
    if seed:
        Random(seed).shuffle(rows)
    tasks = (_task(path, number, row, sandbox) for number, row in rows)
    return (
        task
        for task in tasks
        if level in (None, task.level) and split in (None, split_of("jsonl", _text(task)))
    )


def _text(task: Task) -> str:
    return "\n".join(str(message["content"]) for message in task.prompt)


def read_rows(path: Path) -> list[tuple[int, Row]]:
    """Each line's number and row. DataError for the first line that is none."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"could not read {path}: {error.strerror or error}.") from None
    rows: list[tuple[int, Row]] = []
    known: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        try:
            row = Row.model_validate(json.loads(line.decode()))
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: it is not UTF-8 (byte {error.start}).") from None
        except ValidationError as error:
            raise DataError(f"{where}: {_sentence(error)}.") from None
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: it is not JSON: {error}.") from None
        name = row.id or str(number)
        if name in known:
            raise DataError(f"{where}: the id {name!r} is that of line {known[name]} too.")
        known[name] = number
        rows.append((number, row))
    if not rows:
        raise DataError(f"{path} holds no task: it is empty.")
    return rows


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    message = first["msg"].removeprefix("Value error, ")
    field = ".".join(str(part) for part in first["loc"])
    if not field:  # a rule about several fields, which says what it found
        return message
    return f"{field} is {_short(repr(first['input']))}: {message[:1].lower()}{message[1:]}"


def _short(text: str) -> str:
    return text if len(text) <= 100 else f"{text[:97]}..."


def _task(path: str, number: int, row: Row, sandbox: Sandbox | None) -> Task:
    if row.verifier == "reasoning-gym":
        family, entry = row.metadata["family"], row.metadata["entry"]
        verifier = task_of(family, row.level, 0, entry, row.answer, sandbox).verifier
    else:
        verifier = _verifier(row, sandbox)
    files = {"files": row.files} if row.files else {}
    tools = [tool.model_dump() for tool in row.tools]
    text = row.answer if isinstance(row.answer, str) else json.dumps(row.answer)
    return Task(
        id=row.id or str(number),
        source=path,
        prompt=[message.model_dump() for message in row.prompt],
        verifier=verifier,
        open=noted(tools) if tools else None,
        tools=tools,
        level=row.level,
        answer=None if row.answer is None and row.verifier != "json" else text,
        metadata={**row.metadata, **files},
    )


def _verifier(row: Row, sandbox: Sandbox | None) -> Any:
    async def verify(attempt: Attempt) -> Verdict:
        if row.verifier == "math":
            return await verify_maths(str(row.answer), attempt, sandbox)
        answer = answers.final_answer(attempt.answer)
        if len(answer) > answers.MOST:
            return Verdict(0.0, (f"The answer has {len(answer):,} characters: too many to score.",))
        if row.verifier == "python":
            return await verify_by_code(row.code or "", answer, attempt.messages, sandbox)
        if not answer:
            return Verdict(0.0, ("The answer is empty.",))
        if row.verifier == "regex":
            return await checks.pattern(str(row.answer), answer, sandbox)
        return checks.CHECKS[row.verifier](row.answer, answer)

    return verify
