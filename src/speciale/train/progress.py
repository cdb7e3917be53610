"""What a long command shows: a bar with ETA on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_EVERY = 5.0  # seconds, where the output is not a terminal

console = Console(highlight=False)


class Task:
    """One piece of work: `advance` it and say what it is doing."""

    def __init__(self, label: str, total: int | None, done: int, bar: Progress | None) -> None:
        self.label, self.total, self.done, self._bar = label, total, done, bar
        self._first, self._start = done, time.monotonic()
        self._shown = self._start
        if bar is not None:
            self._id = bar.add_task(label, total=total, completed=done, text="")

    def advance(self, amount: int = 1, text: str = "") -> None:
        self.done += amount
        if self._bar is not None:
            self._bar.update(self._id, completed=self.done, **({"text": text} if text else {}))
            return
        now = time.monotonic()
        if now - self._shown >= _LINE_EVERY or self.done == self.total:
            self._shown = now
            console.print(f"{self.label} {self._count()} {text}{self._eta(now)}", soft_wrap=True)
            sys.stdout.flush()

    def _count(self) -> str:
        return f"{self.done}/{self.total}" if self.total else f"{self.done}"

    def _eta(self, now: float) -> str:
        new = self.done - self._first
        if not self.total or not new or self.done >= self.total:
            return ""
        left = (now - self._start) / new * (self.total - self.done)
        return f", ETA {int(left) // 60}:{int(left) % 60:02d}"


@contextmanager
def task(label: str, total: int | None = None, done: int = 0, shown: bool = True) -> Iterator[Task]:
    """Shows the work of the block; `total` in steps, of which `done` were done before."""
    if not shown:
        yield Task(label, total, done, Progress(disable=True))
        return
    if not console.is_terminal:
        console.print(f"{label} ...")
        sys.stdout.flush()
        yield Task(label, total, done, None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[text]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield Task(label, total, done, bar)
