"""What a benchmark found before, and whether it is slower or worse now, beyond noise.

results/history/NAME.jsonl keeps every entry of a benchmark, a line each, with machine and commit.
Only entries of one kind of machine are compared, and times only by what the machine gave at that
moment (its matmul speed), since a shared one may be twice as fast tomorrow. A figure's name says
which way is better; names that say nothing, and figures of whatever we are compared with, are not
judged.
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

Entry = dict  # as _results.write makes it: machine, threads, date, commit, rows


def _any(words: str) -> re.Pattern[str]:
    return re.compile("|".join(words.split("  ")), re.IGNORECASE)


_TIME_UNITS = r"\bms\b  µs  \bs\b  seconds  minutes"
_RATES = r"/s\b  /s a core  an hour"
# Figures of the other side, of the task or of the machine: no news about our code.
_OTHERS = _any(
    r"^(dense|plain|BLAS|uncached|reference|parts|disk|loss dense)\b(?! /)  bound ms  "
    r"transformers  untrained  constant  before  into it  GB$  with drafts"
)
_FAULTS = _any(r"missing  differ  broken  without a right  lost")
_MORE = _any(
    _RATES
    + r"  ratio  faster  times batch  dense / sparse  / ours  load / disk  recall  precision  "
    r"F1  MRR  right  solved  rate  accuracy  retrieval  exact  ^trained  pass  mfu  fewest steps  "
    r"summary \(%\)  discard"
)
_LESS = _any(
    _TIME_UNITS + r"  alarms  against  \bMB\b  memory  peak  \bover\b  loss  the bound  collapse  "
    r"short  scored 0"
)
_SECONDS = _any(f"{_TIME_UNITS}  {_RATES}")
_RATIO = _any(r"ratio  against  faster  times  bound  dense / sparse  / ours  load / disk")
# What a row is about, where it is a number.
_SETTINGS = {"context", "batch", "rows", "level", "seed", "piece", "k", "prompt tokens", "streams",
             "temperature", "kill"}  # fmt: skip
_TIMES, _PAIRED, _QUALITY = 0.30, 0.15, 0.05  # noise, relative, where too few entries tell
_UNKNOWN_SPEED = 1.0  # of times whose machine's speed at that moment is not known
_ENOUGH = 4  # entries from which the noise is measured


@dataclass(frozen=True)
class Change:
    """A figure beside its last one. noise: relative, what is no news."""

    row: str
    column: str
    before: float
    after: float
    noise: float
    sign: int  # 1: more is better

    @property
    def gain(self) -> float:
        """Relative, positive where it is better."""
        if self.before == self.after:
            return 0.0
        if self.before <= 0 or self.after <= 0:
            return self.sign * math.copysign(math.inf, self.after - self.before)
        return self.sign * math.log(self.after / self.before)

    @property
    def verdict(self) -> str:
        if abs(self.gain) <= self.noise:
            return "same"
        return "better" if self.gain > 0 else "worse"


def direction(column: str) -> int:
    """1 where more is better, -1 where less is, 0 where the name does not tell."""
    if _OTHERS.search(column):
        return 0
    if _FAULTS.search(column) or column.endswith("times the bound"):
        return -1
    return 1 if _MORE.search(column) else -1 if _LESS.search(column) else 0


def figures(entry: Entry) -> dict[tuple[str, str], float]:
    """The judged numbers of an entry by (row, column)."""
    found: dict[tuple[str, str], float] = {}
    seen: Counter[str] = Counter()
    for row in entry["rows"]:
        words = [str(v) for v in list(row.values())[:2] if isinstance(v, str)]
        words += [f"{key} {row[key]}" for key in row if key in _SETTINGS]
        name = ", ".join(words)
        seen[name] += 1
        if seen[name] > 1:
            name += f" #{seen[name]}"
        for column, value in row.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and column not in _SETTINGS and direction(column) and math.isfinite(value):
                found[name, column] = float(value)
    return found


def compare(entries: Sequence[Entry]) -> list[Change]:
    """The last entry against the one before it on the same machine; [] for a first one. What was
    before is told as it would be at the machine's speed of now."""
    if not entries:
        return []
    *earlier, last = entries
    earlier = [e for e in earlier if _machine(e) == _machine(last)]
    if not earlier:
        return []
    known = [_at_speed(figures(entry), entry.get("gflops"), last) for entry in earlier]
    unknown = earlier[-1].get("gflops") is None or last.get("gflops") is None
    changes = []
    for (row, column), value in figures(last).items():
        values = [k[row, column] for k in known if (row, column) in k]
        if (row, column) in known[-1]:
            usual = noise(column, values)
            if unknown and _SECONDS.search(column):
                usual = max(usual, _UNKNOWN_SPEED)
            changes.append(Change(row, column, values[-1], value, usual, direction(column)))
    return changes


def _at_speed(found: dict, gflops: float | None, last: Entry) -> dict:
    """Times and speeds as they would be at the last entry's speed of the machine."""
    if gflops is None or last.get("gflops") is None:
        return found
    faster = last["gflops"] / gflops
    return {
        (row, column): value * (faster if direction(column) > 0 else 1 / faster)
        if _SECONDS.search(column)
        else value
        for (row, column), value in found.items()
    }


def noise(column: str, values: Sequence[float]) -> float:
    """What a figure changes by from one entry to the next for no reason, relative: three times the
    median change where there are entries enough, else what its kind does on a shared machine."""
    if _FAULTS.search(column):
        return 0.0
    kind = _PAIRED if _RATIO.search(column) else _TIMES if _SECONDS.search(column) else _QUALITY
    steps = [abs(math.log(b / a)) for a, b in pairwise(values) if a > 0 and b > 0]
    if len(steps) + 1 < _ENOUGH:
        return kind
    return max(3 * statistics.median(steps), kind / 3)


def _machine(entry: Entry) -> tuple:
    return entry.get("machine"), entry.get("threads")


def read(path: Path) -> list[Entry]:
    """The entries of a history, oldest first; a line that is cut off is left out."""
    if not path.exists():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


def append(path: Path, entry: Entry) -> list[Entry]:
    """Adds an entry and returns all of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
    return read(path)


def told(changes: Iterable[Change]) -> str:
    """One line for each figure that is worse or better, worst first."""
    named = sorted((c for c in changes if c.verdict != "same"), key=lambda change: change.gain)
    return "\n".join(
        f"{change.verdict}: {change.row}, {change.column}: {change.before:.4g} -> "
        f"{change.after:.4g} (noise {100 * change.noise:.0f}%)"
        for change in named
    )
