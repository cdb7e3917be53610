"""What a harness is: a program that asks a server, and a reader of what it wrote.

Its tasks are its own, scorers included; the questions come to our relay (relay.py), and what it
says of each document becomes a record as of any other suite.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from speciale.errors import ConfigError

_INSTALL = "`pip install 'speciale[harness]'`"


@dataclass(frozen=True)
class Cell:
    """`TASK`, or `TASK#SCORE` where a task gives several scores and the first is not meant."""

    task: str
    score: str | None

    @classmethod
    def named(cls, text: str) -> Cell:
        task, _, score = text.partition("#")
        return cls(task, score or None)

    def shown(self, task: str) -> str:
        """As a row's name; `task` as the harness calls it."""
        return task if self.score is None else f"{task}#{self.score}"


@dataclass(frozen=True)
class Ask:
    """One run of a harness: a cell, every document once."""

    cell: Cell
    sample: int
    url: str  # of the relay, up to /v1
    key: str  # the relay's
    tasks: int  # documents of each task
    temperature: float
    turns: int
    concurrency: int
    out: Path  # an empty folder


@dataclass(frozen=True)
class Doc:
    """What a harness says of one document; `score` is None where it was not measured, and `error`
    says why."""

    cell: str
    id: str
    score: float | None
    error: str | None = None
    answer: str = ""
    tokens: int | None = None
    prompt_tokens: int | None = None
    seconds: float = 0.0


class Heard(Protocol):
    """What the relay knows of a run's requests."""

    def reason(self, text: str) -> str | None:
        """Why a request was not answered, if `text` is what was said in place of an answer."""

    def usage(self, sample: int, messages: list[Any]) -> tuple[int | None, int | None]:
        """Tokens sampled and of the prompt, of the answer to these messages."""


@dataclass(frozen=True)
class Harness:
    """fails_in_words: one request that fails would end it, so that words stand in for an answer.
    version: of a finished run's folder."""

    name: str
    about: str
    module: str
    script: str
    suffix: str  # of the files that hold tasks
    arguments: Callable[[Ask], list[str]]
    environment: Callable[[Ask], Mapping[str, str]]
    read: Callable[[Ask, Heard], list[Doc]]
    version: Callable[[Path], str | None]
    fails_in_words: bool = False

    def program(self) -> list[str]:
        """How it is started: the one beside us, or one on PATH, with an environment of its own."""
        if find_spec(self.module) is not None:
            return [sys.executable, "-m", self.module]
        found = shutil.which(self.script)
        if found is None:
            raise ConfigError(
                f"the suite {self.name} needs {self.module}: run {_INSTALL}, or install it "
                f"elsewhere and put its `{self.script}` on PATH"
            )
        return [found]

    def check(self, cells: tuple[str, ...]) -> None:
        """ConfigError for what cannot be asked."""
        for package in ("starlette", "uvicorn"):
            if find_spec(package) is None:
                raise ConfigError(f"the suite {self.name} needs {package}: run {_INSTALL}")
        self.program()
        if not cells:
            raise ConfigError(f"the suite {self.name} has no tasks by itself: name some of its "
                              "with --cells")  # fmt: skip
        for text in cells:
            path = Path(Cell.named(text).task.partition("@")[0])
            if path.suffix == self.suffix and not path.is_file():
                raise ConfigError(f"the cell {text!r} names the file {path}, which is not there")


def share(value: Any) -> float | None:
    """A score from 0 to 1, or None for what is none: no figure, a list, a perplexity."""
    if isinstance(value, bool | int | float) and math.isfinite(value) and 0 <= value <= 1:
        return float(value)
    return None
