"""What a run shows on the terminal: tasks so far, rate, time to go, refusals by gate.

On a terminal a live line; elsewhere, such as in a log file, a line now and then.
"""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from speciale.synth.gates.gate import GATES
from speciale.synth.run import Summary

EVERY_S = 30.0  # of the lines where there is no terminal


class Show:
    """A context manager whose instance is `run`'s `progress`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._said = time.monotonic()
        self._bar: Progress | None = None
        self._task: Any = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("tasks"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn("{task.fields[rest]}", markup=False), console=self._console,
            )  # fmt: skip
            self._task = self._bar.add_task("tasks", total=None, rest="")

    def __enter__(self) -> Show:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, summary: Summary) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task, total=summary.want, completed=min(summary.accepted, summary.want),
                rest=rest(summary),
            )  # fmt: skip
        elif time.monotonic() - self._said >= EVERY_S:
            self._said = time.monotonic()
            line = f"{summary.accepted:,} of {summary.want:,} tasks; {rest(summary)}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def rest(summary: Summary) -> str:
    """Rate, time to go, and what was refused, in words."""
    parts = []
    if summary.an_hour:
        left = max(0, summary.want - summary.accepted) / summary.an_hour * 3600
        parts.append(f"{summary.an_hour:,.0f} an hour, {_clock(left)} to go")
    if summary.refused:
        named = (f"{GATES[n]} {count}" for n, count in sorted(summary.refused.items()))
        parts.append(f"refused: {', '.join(named)}")
    if summary.rejected or summary.failed:
        parts.append(f"items without a task {summary.rejected}, failed {summary.failed}")
    return "; ".join(parts)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
