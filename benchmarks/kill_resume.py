"""Claim: a run killed with `kill -9` at 20 random moments and started again ends in the same bits.

The moments are drawn over the work of an uninterrupted run, with at least one in each part of it:
data, the four stages (between and within their steps), evaluation. Where a killed run ends before
its last moment came, the moments left are spent on another one. Checkpoints are frequent here, or
a short run would have none.

    python benchmarks/kill_resume.py [--recipe tiny] [--kills 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from safetensors import safe_open

from _results import Row, write
from speciale.train.recipe import STAGES, read_recipe

START = """
import speciale.train.loop as loop
from speciale.cli import main
loop._CHECKPOINT_EVERY, loop._LOG_EVERY = {every}, 1
main()
"""
PARTS = ("data", *STAGES, "evaluation")
EVALUATION = ("write model", "dense, sparse, window", "held-out problems")
TIMES = {"time", "seconds", "tokens_per_second", "mfu", "peak_memory_mb", "expert_load"}


def part_of(label: str) -> str:
    """The part of a run that a piece of work, as the screen names it, belongs to."""
    if label in STAGES:
        return label
    return "evaluation" if label in EVALUATION else "data"


@dataclass
class Process:
    """A `speciale speedrun` under way, and when each piece of its work began."""

    recipe: str
    folder: Path
    every: float  # seconds between checkpoints
    begun: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        code = START.format(every=self.every)
        arguments = ["speedrun", "--recipe", self.recipe, "--out", str(self.folder)]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.system = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.system.stdout:
            label = line.removesuffix(" ...\n")
            if label not in (line, "measure matmul peak"):  # which each stage does before it begins
                self.begun.append((time.monotonic(), label))

    def reaches(self, part: str, step: int, seconds: float) -> bool:
        """Waits for `step` of `part` and `seconds` more, or for a later part to begin, since the
        wanted one may need less the second time; False where the run ends before."""
        until = None
        while self.system.poll() is None:
            now = PARTS.index(part_of(self.begun[-1][1])) if self.begun else -1
            if now > PARTS.index(part):
                return True
            if until is None and now == PARTS.index(part):
                if steps_of(self.folder, part)[0] >= step:
                    until = time.monotonic() + seconds
            elif until is not None and time.monotonic() >= until:
                return True
            time.sleep(0.002)
        return False

    def end(self, expected: int = 0) -> float:
        """Waits for the end and returns its time. SystemExit where the run failed by itself."""
        code = self.system.wait()
        now = time.monotonic()
        self._reader.join()
        if code not in (0, expected):
            self._errors.seek(0)
            sys.exit(f"the run in {self.folder} failed with {code}: {self._errors.read()}")
        return now


def work(process: Process) -> dict[str, float]:
    """Seconds that each part of an uninterrupted run takes."""
    end = process.end()
    starts = [*process.begun, (end, "")]
    seconds = dict.fromkeys(PARTS, 0.0)
    for (start, label), (stop, _) in pairwise(starts):
        seconds[part_of(label)] += stop - start
    return seconds


def draw_moments(seconds: dict[str, float], kills: int, seed: int) -> list[tuple[str, float]]:
    """(part, share of it that is done), in the order of a run."""
    draw = random.Random(seed)
    parts = [*PARTS, *draw.choices(PARTS, [seconds[p] for p in PARTS], k=kills)][:kills]
    moments = [(part, draw.random()) for part in parts]
    return sorted(moments, key=lambda moment: (PARTS.index(moment[0]), moment[1]))


def steps_of(folder: Path, stage: str) -> tuple[int, int]:
    """The last step that the metrics of a stage hold, and the one that its checkpoint is of."""
    logged = saved = 0
    if (folder / "metrics.jsonl").exists():
        steps = [r["step"] for r in records(folder) if (r["kind"], r["stage"]) == ("train", stage)]
        logged = steps[-1] if steps else 0
    checkpoint = folder / "stages" / f"{stage}.part.safetensors"
    if checkpoint.exists():
        with safe_open(checkpoint, "pt") as file:
            saved = json.loads(file.metadata()["about"])["step"]
    return logged, saved


def records(folder: Path) -> list[dict]:
    """The metrics but for times; a line that the kill cut off is left out."""
    lines = (folder / "metrics.jsonl").read_text().split("\n")
    whole = [json.loads(line) for line in lines[:-1]]
    return [{k: v for k, v in record.items() if k not in TIMES} for record in whole]


def outcome(folder: Path) -> dict[str, str]:
    """What must not depend on the kills: the weights, the results, every measured step."""
    model, results = folder / "model" / "model.safetensors", folder / "results.json"
    return {
        "final weights": hashlib.sha256(model.read_bytes()).hexdigest(),
        "results.json": hashlib.sha256(results.read_bytes()).hexdigest(),
        "metrics": hashlib.sha256(json.dumps(records(folder)).encode()).hexdigest(),
        "files left over": ", ".join(p.name for p in folder.rglob(".*.tmp")) or "none",
    }


def killed_runs(
    recipe: str,
    folder: Path,
    every: float,
    moments: list[tuple[str, float]],
    seconds: dict[str, float],
) -> tuple[list[Row], list[dict[str, str]]]:
    """Kills and starts runs until no moment is left; one row a kill, one outcome a run."""
    rows: list[Row] = []
    outcomes = []
    left = list(moments)
    while left:
        run = folder / f"killed{len(outcomes) + 1}"
        while left:
            process = Process(recipe, run, every)
            part, share = left[0]
            # In a stage so many steps, and so much of one; elsewhere so much of its seconds.
            count = read_recipe(recipe).stage(part).steps if part in STAGES else 1
            step, rest = divmod(share * count, 1)
            if not process.reaches(part, int(step), rest * seconds[part] / count):
                left[0] = (part, share / 2)  # it was faster this time
                break
            process.system.kill()
            process.end(expected=-9)
            left.pop(0)
            start, label = process.begun[-1]
            row: Row = {"kill": len(rows) + 1, "during": label}
            row["seconds into it"] = round(time.monotonic() - start, 2)
            if label in STAGES:
                row["step"], row["goes on from"] = steps_of(run, label)
            rows.append(row)
            print(row, flush=True)
        process.end(expected=-9)
        Process(recipe, run, every).end()
        outcomes.append(outcome(run))
    return rows, outcomes


def measure(
    recipe: str, folder: Path, kills: int, seed: int, every: float
) -> tuple[list[Row], bool]:
    """The rows of the table and whether every killed run came to the uninterrupted one's bits."""
    whole = Process(recipe, folder / "whole", every)
    seconds = work(whole)
    expected = outcome(folder / "whole")
    moments = draw_moments(seconds, kills, seed)
    rows, outcomes = killed_runs(recipe, folder, every, moments, seconds)
    for what, value in expected.items():
        found = {run[what] for run in outcomes}
        same = found == {value}
        said = f"{'the same' if same else 'DIFFERENT'}: {value[:16]}"
        rows.append({"kill": f"{what} after all", "during": said})
    return rows, all(run == expected for run in outcomes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between checkpoints")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows, same = measure(
            options.recipe, Path(folder), options.kills, options.seed, options.every
        )
    write("kill_resume", rows)
    if not same:
        sys.exit("a killed run came to other bits than the uninterrupted one")


if __name__ == "__main__":
    main()
