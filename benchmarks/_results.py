"""What every benchmark ends with: a table on the screen, benchmarks/results/NAME.json, and what is
better or worse than at the last time on this machine (_history.py).

The figures in the README come from these files, so each holds the machine and the commit too.
"""

from __future__ import annotations

import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import _history
from speciale.files import write_atomic
from speciale.train.machine import measure_peak_gflops, processor

RESULTS = Path(__file__).parent / "results"

Row = dict[str, float | int | str]  # column name, with its unit -> value; the first one says what


def write(name: str, rows: list[Row]) -> Path:
    """Prints `rows` as a table and writes them to results/`name`.json; returns that path."""
    facts = {
        "benchmark": name,
        "machine": processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "gflops": measure_peak_gflops(),  # what the machine gave just then: others may share it
    }
    entry = {**facts, "rows": rows}
    path = RESULTS / f"{name}.json"
    write_atomic(path, json.dumps(entry, indent=2, ensure_ascii=False) + "\n")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    caption = f"{facts['machine']}, {facts['threads']} threads, torch {facts['torch']}"
    table = Table(title=name, caption=f"{caption}, {facts['commit']}")
    for column in columns:
        words = any(isinstance(row.get(column), str) for row in rows)
        table.add_column(column, justify="left" if words else "right")
    for row in rows:
        table.add_row(*(_shown(row.get(column, "")) for column in columns))
    Console().print(table)
    changes = _history.compare(_history.append(RESULTS / "history" / f"{name}.jsonl", entry))
    if changes:
        same = sum(change.verdict == "same" for change in changes)
        print(f"{same} of {len(changes)} figures are as at the last time here, within noise")
        print(_history.told(changes), end="\n" * (same < len(changes)))
    return path


def _shown(value: float | int | str) -> str:
    """Numbers to four digits, but never in powers of ten where they are large."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)


def _commit() -> str:
    """The commit that was measured, with "-dirty" where files other than results differ."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", ":/", ":(top,exclude)benchmarks/results")
    except (OSError, subprocess.CalledProcessError):  # no git, or sources out of an archive
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=RESULTS.parent, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
