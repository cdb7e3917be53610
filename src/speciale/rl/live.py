"""An RL run on the terminal while it goes: progress, reward, domains, stability, rates, failures.

On a terminal a view that is drawn over itself; elsewhere, such as in a log file, a line now and
then. What a line cannot hold is in metrics.jsonl and the report.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import islice, pairwise
from statistics import fmean
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from speciale.rl.metrics import flatten
from speciale.terminal import visible

LINE_EVERY_S = 5.0  # where the output is not a terminal
KEPT = 400  # steps, for the sparklines
ETA_STEPS = 20  # whose mean time tells how long the rest takes
BARS = "▁▂▃▄▅▆▇█"
ABSENT = "–"
_LABEL = 9  # characters of a row's name
_AROUND = 9  # lines of the view that are not a domain's
_STABILITY = {
    "entropy": ("entropy", "{:.2f}"), "clipped": ("clipped", "{:.1%}"),
    "masked": ("masked", "{:.1%}"), "kl": ("KL", "{:.1e}"), "gap/mean": ("gap", "{:.1e}"),
    "gap/max": ("max gap", "{:.1e}"), "routing_agreement": ("routing", "{:.1%}"),
    "staleness/mean": ("staleness", "{:.1f}"), "length/truncated": ("truncated", "{:.1%}"),
}  # fmt: skip


class Live:
    """A context manager; `update` it with the records that Metrics writes.

    The time to go is measured between the updates of this process, so that a resumed run's first
    steps count for nothing. clock: seconds, as time.monotonic.
    """

    def __init__(
        self,
        total_steps: int,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self._clock = total_steps, clock
        self._console = console or Console(stderr=True, highlight=False)
        self._steps: deque[dict[str, float]] = deque(maxlen=KEPT)
        self._ends = deque([(clock(), 0)], maxlen=ETA_STEPS + 1)  # when which step ended
        self._record: Mapping[str, Any] = {}
        self._held_out: list[tuple[int, float | None, float | None]] = []
        self._failures: dict[str, int] = {}
        self._said = -float("inf")
        self._lock = threading.RLock()  # a thread that prints draws the view too
        self._screen: Screen | None = None
        if self._console.is_terminal:
            self._screen = Screen(
                get_renderable=self._view, console=self._console, auto_refresh=False,
                vertical_overflow="ellipsis",
            )  # fmt: skip

    def __enter__(self) -> Live:
        if self._screen is not None:
            self._screen.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._screen is not None:
            self._screen.stop()

    def update(self, record: Mapping[str, Any]) -> None:
        """A record of a step, or of an evaluation."""
        with self._lock:
            if record.get("kind") == "eval":
                self._evaluated(record)
            else:
                self._stepped(record)
        if self._screen is not None:
            self._screen.refresh()

    def say(self, text: str) -> None:
        """A line that stays, above the view."""
        self._console.print(Text(visible(text)), soft_wrap=True)

    def _stepped(self, record: Mapping[str, Any]) -> None:
        step = int(record["step"])
        if not self._record:  # the first of this process: it began one step before
            self._ends[0] = (self._ends[0][0], step - 1)
        self._ends.append((self._clock(), step))
        self._record = record
        self._steps.append({k: v for k, v in flatten(record) if math.isfinite(v)})
        for name, count in _table(record, "failures").items():
            self._failures[name] = self._failures.get(name, 0) + int(count or 0)
        if self._screen is None:
            now = self._clock()
            if now - self._said >= LINE_EVERY_S or step >= self.total:
                self._said = now
                self.say(self._line())

    def _evaluated(self, record: Mapping[str, Any]) -> None:
        rows = [row for row in record.get("rows", ()) if row.get("split") != "train"]
        sides = [_mean(row.get("pass1") for row in rows if bool(row.get("trained")) is side)
                 for side in (True, False)]  # fmt: skip
        self._held_out.append((int(record["step"]), *sides))
        if self._screen is None:
            self.say(f"evaluation: {self._evaluation()}")

    def _line(self) -> str:
        """A step in one line of text."""
        last = self._steps[-1]
        parts = [
            f"{name} {shape.format(last[key])}"
            for key, (name, shape) in {
                "reward/mean": ("reward", "{:.3f}"), "score": ("score", "{:.3f}"),
                "length/mean": ("length", "{:.0f}"), "entropy": ("entropy", "{:.2f}"),
                "kl": ("KL", "{:.1e}"), "gap/mean": ("gap", "{:.1e}"),
                "staleness/mean": ("stale", "{:.1f}"), "rate/sampled": ("sampled", "{:,.0f} tok/s"),
                "rate/trained": ("trained", "{:,.0f} tok/s"),
            }.items() if key in last
        ]  # fmt: skip
        if failed := self._failed():
            parts.append(f"failed so far: {failed}")
        return f"step {self._count()} {' · '.join(parts)}{self._to_go(', ETA {}')}"

    def _view(self) -> RenderableType:
        with self._lock:
            return self._drawn()

    def _drawn(self) -> RenderableType:
        if not self._steps:
            words = f"step {self._count()}: the first attempts are under way"
            parts: list[RenderableType] = [Text(words)]
            if self._held_out:
                parts.append(Text(f"held out  {self._evaluation()}"))
            return Group(*parts)
        last = self._steps[-1]
        parts = [self._progress(), self._curves()]
        if self._held_out:
            parts.append(_row("held out", self._evaluation()))
        parts.append(self._domains())
        shown = [
            f"{name} {shape.format(last[key])}"
            for key, (name, shape) in _STABILITY.items() if key in last
        ]  # fmt: skip
        parts.append(_row("stability", " · ".join(shown)))
        parts.append(_row("rates", " · ".join(self._rates())))
        if failed := self._failed():
            parts.append(_row("failures", failed, "bold red"))
        return Group(*parts)

    def _progress(self) -> RenderableType:
        done = int(self._record["step"])
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_row(
            Text(f"step {self._count()}", style="bold"),
            ProgressBar(total=max(self.total, 1), completed=min(done, self.total), width=24),
            Text(self._to_go("ETA {}").strip()),
        )
        return table

    def _curves(self) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=_LABEL)
        width = max(8, min(60, self._console.width - 32))
        for name, key in (("reward", "reward/mean"), ("score", "score")):
            values = [step[key] for step in self._steps if key in step]
            if values:
                table.add_row(
                    Text(name, style="dim"), Text(f"{values[-1]:.3f}", style="bold"),
                    Text(sparkline(values, width), style="cyan"),
                    Text(f"best {max(values):.3f}", style="dim"),
                )  # fmt: skip
        return table

    def _domains(self) -> RenderableType:
        """A line a domain, as many as the screen is high enough for."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("domain", overflow="ellipsis", no_wrap=True, max_width=28)
        columns = {"reward": "{:.3f}", "score": "{:.3f}", "tokens": "{:.0f}", "groups": "{:.0f}"}
        for name in columns:
            table.add_column(name, justify="right", no_wrap=True)
        width = min(40, self._console.width - 64)
        if curves := width >= 8:
            table.add_column("score over time", no_wrap=True)
        domains = _table(self._record, "domains")
        room = max(1, self._console.height - _AROUND)
        for name in islice(domains, room):
            figures = _table(domains, name)
            cells = [_figure(figures.get(key), shape) for key, shape in columns.items()]
            past = [step[key] for step in self._steps if (key := f"domains/{name}/score") in step]
            line = [Text(sparkline(past, width), style="cyan")] if curves else []
            table.add_row(Text(visible(str(name))), *cells, *line)
        if len(domains) <= room:
            return table
        return Group(table, Text(f"and {len(domains) - room} more", style="dim"))

    def _rates(self) -> Iterator[str]:
        last = self._steps[-1]
        phases = {key[7:]: value for key, value in last.items() if key.startswith("phases/")}
        for key, value in last.items():
            if key.startswith("rate/"):
                yield f"{key[5:]} {value:,.0f} tok/s"
        total = sum(phases.values())
        for name, seconds in phases.items():
            if total > 0 and seconds > 0:
                yield f"{name} {seconds:.2f} s ({seconds / total:.0%})"
        if "busy" in last:
            yield f"sampler busy {last['busy']:.0%}"

    def _evaluation(self) -> str:
        """The last evaluation's means, and how far they are from the first's."""
        first, last = self._held_out[0], self._held_out[-1]
        parts = []
        for name, start, now in zip(("trained", "new"), first[1:], last[1:]):
            if now is not None:
                gain = "" if start is None or first is last else f" ({(now - start) * 100:+.1f})"
                parts.append(f"pass@1 {now:.1%}{gain} in {name} environments")
        return f"step {last[0]}: {', '.join(parts) or 'nothing measured'}"

    def _failed(self) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in self._failures.items() if count)

    def _count(self) -> str:
        return f"{self._record.get('step', 0)}/{self.total}"

    def _to_go(self, words: str) -> str:
        """`words` with the time to go, or nothing where it is not known."""
        (start, before), (end, done) = self._ends[0], self._ends[-1]
        if done <= before or done >= self.total:
            return ""
        seconds = round((end - start) / (done - before) * (self.total - done))
        hours, rest = divmod(max(0, seconds), 3600)
        clock = f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else ""
        return words.format(clock or f"{rest // 60}:{rest % 60:02d}")


def sparkline(values: list[float], width: int) -> str:
    """`values` as a line of bars, means of equal stretches where there are more than `width`."""
    count = min(width, len(values))
    edges = [round(index * len(values) / count) for index in range(count + 1)] if count else [0]
    means = [fmean(values[low:high]) for low, high in pairwise(edges)]
    low, high = min(means, default=0.0), max(means, default=0.0)
    span = (high - low) or 1.0
    return "".join(BARS[min(7, int((mean - low) / span * 8))] for mean in means)


def _row(name: str, text: str, style: str = "") -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=_LABEL)
    table.add_row(Text(name, style="dim"), Text(visible(text), style=style))
    return table


def _figure(value: Any, shape: str) -> str:
    return shape.format(value) if isinstance(value, int | float) else ABSENT


def _table(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, Mapping) else {}


def _mean(values: Iterator[Any]) -> float | None:
    numbers = [value for value in values if isinstance(value, int | float)]
    return fmean(numbers) if numbers else None
