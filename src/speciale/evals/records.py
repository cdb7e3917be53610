"""Read a run folder (run.json, recipe.toml, metrics.jsonl, results.json) into one `Run`.
A run may be in progress or killed, so a missing file or a broken JSON line becomes a note,
never an error: only a folder that is not there is one.
"""

import json
import math
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speciale.errors import CheckpointError


@dataclass
class Stage:
    """One training stage. `train` and `valid` are sorted by step, one line a step.

    start: tokens trained in the stages before this one.
    summary: the stage's closing line, or None while it has not ended.
    """

    name: str
    train: list[dict] = field(default_factory=list)
    valid: list[dict] = field(default_factory=list)
    summary: dict | None = None
    start: float = 0.0


@dataclass
class Run:
    """What a run folder holds. `notes` says, one sentence each, what is absent or broken."""

    path: Path
    info: dict
    recipe: str | None
    stages: list[Stage]
    results: dict
    notes: list[str]

    @property
    def name(self) -> str:
        return str(self.info.get("name") or self.path.resolve().name)


def read_run(path: Path) -> Run:
    """Read the run folder `path`.

    Counters in metrics.jsonl (step, tokens, seconds) start at zero in every stage. A resumed
    run repeats steps: the later line counts. Raises CheckpointError if there is no such folder.
    """
    path = Path(path)
    if not path.is_dir():
        raise CheckpointError(
            f"There is no run folder at '{path}'; give the folder that a training run wrote."
        )
    notes: list[str] = []
    info = _read_object(path / "run.json", "machine, seed, command", notes)
    recipe = _read_text(path / "recipe.toml", "the resolved recipe", notes)
    stages = _read_stages(path / "metrics.jsonl", notes)
    notes += [
        f"Stage '{stage.name}' has not ended: its figures come from its last metrics line."
        for stage in stages
        if stage.summary is None
    ]
    results = _read_object(path / "results.json", "attention, problems, samples", notes)
    return Run(path, info, recipe, stages, results, notes)


def _read_text(path: Path, content: str, notes: list[str]) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        notes.append(f"{path.name} is not there yet ({content}).")
    except OSError as error:
        notes.append(f"{path.name} could not be read: {error.strerror}.")
    return None


def parsed(text: str) -> dict | None:
    """A JSON object, or None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _read_object(path: Path, content: str, notes: list[str]) -> dict:
    text = _read_text(path, content, notes)
    if text is None:
        return {}
    value = parsed(text)
    if value is None:
        notes.append(f"{path.name} is not a complete JSON object, so it is left out ({content}).")
        return {}
    return value


def _read_stages(path: Path, notes: list[str]) -> list[Stage]:
    text = _read_text(path, "losses, speed, stages", notes)
    stages: dict[str, Stage] = {}
    steps: dict[tuple[str, str], dict[float, dict]] = {}
    # Only "\n" ends a line: str.splitlines would also cut at U+2028, legal inside JSON strings.
    lines = [line for line in (text or "").split("\n") if line.strip()]
    broken = [number for number, line in enumerate(lines, 1) if parsed(line) is None]
    for row in filter(None, map(parsed, lines)):
        name, kind = str(row.get("stage", "unnamed")), row.get("kind")
        if kind == "stage":
            stages.setdefault(name, Stage(name)).summary = row
        elif kind in ("train", "valid") and number(row.get("step")) is not None:
            stages.setdefault(name, Stage(name))
            steps.setdefault((name, kind), {})[number(row["step"])] = row
    if broken == [len(lines)]:
        notes.append(f"The last line of {path.name} is cut off, so it is left out.")
    elif broken:
        notes.append(f"{path.name}: {len(broken)} of {len(lines)} lines are not JSON, left out.")
    start = 0.0
    for stage in stages.values():
        stage.train, stage.valid = (
            [row for _, row in sorted(steps.get((stage.name, kind), {}).items())]
            for kind in ("train", "valid")
        )
        stage.start = start
        start += totals(stage)["tokens"] or 0.0
    return list(stages.values())


def number(value: Any) -> float | None:
    """`value` as a finite float, or None when it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def objects(value: Any) -> list[dict]:
    """The JSON objects of a list; [] when `value` is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def mapping(value: Any) -> dict:
    """`value` if it is a JSON object, else {}."""
    return value if isinstance(value, dict) else {}


def vector(value: Any) -> list[float] | None:
    """A list of finite floats, or None when any item is not one or there is none."""
    items = [number(item) for item in value] if isinstance(value, list) else []
    return items if items and None not in items else None


def matrix(value: Any) -> list[list[float]] | None:
    """Rows of finite floats, all of one length, or None."""
    rows = [vector(row) for row in value] if isinstance(value, list) else []
    fits = bool(rows) and None not in rows and len({len(row) for row in rows}) == 1
    return rows if fits else None


def totals(stage: Stage) -> dict[str, float | None]:
    """seconds, tokens, steps, tokens_per_second, mfu, flops, peak_memory_mb of a stage.

    From the closing line, else from the last train line (MFU: mean of the lines); None where
    neither holds the figure.
    """
    last = stage.train[-1] if stage.train else {}
    known = stage.summary or {}
    keys = ("seconds", "tokens", "steps", "mfu", "flops", "peak_memory_mb")
    out = {key: number(known.get(key)) for key in keys}
    for key, source in (("seconds", "seconds"), ("tokens", "tokens"), ("steps", "step")):
        if out[key] is None:
            out[key] = number(last.get(source))
    if out["mfu"] is None:
        shares = [mfu for row in stage.train if (mfu := number(row.get("mfu"))) is not None]
        out["mfu"] = sum(shares) / len(shares) if shares else None
    out["tokens_per_second"] = (
        out["tokens"] / out["seconds"] if out["tokens"] is not None and out["seconds"] else None
    )
    return out


def run_totals(run: Run) -> dict[str, float | None]:
    """The figures of `totals` over all stages: sums, the highest peak memory, and the MFU and
    speed of the whole, the MFU weighted by the stages' seconds."""
    stages = [totals(stage) for stage in run.stages]

    def known(key: str) -> list[float]:
        return [figures[key] for figures in stages if figures[key] is not None]

    sums = ("seconds", "tokens", "steps", "flops")
    out: dict[str, float | None] = {key: sum(known(key)) if known(key) else None for key in sums}
    out["peak_memory_mb"] = max(known("peak_memory_mb"), default=None)
    weighted = [(s["mfu"], s["seconds"]) for s in stages if s["mfu"] is not None and s["seconds"]]
    spent = sum(seconds for _, seconds in weighted)
    out["mfu"] = sum(mfu * seconds for mfu, seconds in weighted) / spent if spent else None
    out["tokens_per_second"] = (
        out["tokens"] / out["seconds"] if out["tokens"] is not None and out["seconds"] else None
    )
    return out


def accuracy(problems: list[dict], key: str) -> float | None:
    """Share solved of all problems: rows weighted by their n (1 where it is not recorded)."""
    known = [
        (share, number(row.get("n")) or 1.0)
        for row in problems
        if (share := number(row.get(key))) is not None
    ]
    return sum(share * n for share, n in known) / sum(n for _, n in known) if known else None


def tokens_at(stage: Stage, row: dict) -> float | None:
    """Tokens trained since the run began at the line `row` (of the run's `stage`).

    A line without its own count, such as a valid line, is placed by its step between the train
    lines around it. None where the stage has no token counts.
    """
    own = number(row.get("tokens"))
    if own is not None:
        return stage.start + own
    counts = [
        (number(line["step"]), tokens)
        for line in stage.train
        if (tokens := number(line.get("tokens"))) is not None
    ]
    total = totals(stage)
    if total["steps"] is not None and total["tokens"] is not None:
        counts = [*(c for c in counts if c[0] < total["steps"]), (total["steps"], total["tokens"])]
    if not counts:
        return None
    step, known = number(row["step"]), [(0.0, 0.0), *counts]
    after = bisect_right(known, (step, math.inf))
    if after == len(known):
        return stage.start + known[-1][1]
    (left, low), (right, high) = known[max(after - 1, 0)], known[after]
    share = (step - left) / (right - left) if right > left else 0.0
    return stage.start + low + share * (high - low)


def series(stage: Stage, rows: list[dict], key: str) -> tuple[list[float], list[float]]:
    """(tokens since the run began, value) of the lines that hold a finite number under `key`."""
    found = [(tokens_at(stage, row), number(row.get(key))) for row in rows]
    kept = [(x, y) for x, y in found if x is not None and y is not None]
    return [x for x, _ in kept], [y for _, y in kept]
