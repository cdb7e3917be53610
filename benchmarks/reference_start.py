"""Claim: after the install `speciale chat` answers a held-out problem, thinking, in under 10 s.

    python benchmarks/reference_start.py

No run is named: the model that comes with the package answers. Each problem is given to two
processes one after the other, timed from their start to the end of the answer: the first finds
nothing compiled, as on a new machine, the second what the first has compiled. The problems are
those that no training may pose (split "heldout"), one of each family that the model was trained
on; their verifiers say whether an answer is right.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from pathlib import Path

from _results import Row, write
from speciale.reference import reference_model
from speciale.tasks.sources import load_tasks

SPECIALE = Path(sysconfig.get_path("scripts")) / "speciale"


def families() -> list[str]:
    """What the model was trained on, its levels with it, as `problems/NAME@LEVEL`."""
    rl = tomllib.loads((reference_model() / "recipe.toml").read_text())
    base = tomllib.loads((reference_model() / rl["model"] / "recipe.toml").read_text())
    return [f"problems/{name}@{level}" for name, level in base["data"]["families"].items()]


def asked(question: str, cache: str) -> tuple[float, str]:
    """(seconds from the start of the process, what it printed). cache: of what is compiled."""
    start = time.perf_counter()
    ended = subprocess.run(
        [str(SPECIALE), "chat"], input=question, text=True, capture_output=True, cwd=cache,
        env={**os.environ, "XDG_CACHE_HOME": cache},
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if ended.returncode:
        sys.exit(ended.stderr)
    return seconds, ended.stdout


def row(cell: str, seed: int) -> Row:
    source, level = cell.split("@")
    task = next(iter(load_tasks(source, seed=seed, level=int(level), split="heldout")))
    question = " ".join(task.prompt[-1]["content"].split())  # a line is a question
    with tempfile.TemporaryDirectory() as cache:
        (first, printed), (again, _) = asked(question, cache), asked(question, cache)
    thinking, closed, answer = printed.removeprefix("<think>").partition("</think>")
    verdict = asyncio.run(task.verify(answer.strip()))
    return {
        "problem": cell,
        "first start s": round(first, 2),
        "next start s": round(again, 2),
        "thinks": "yes" if closed and thinking.strip() else "no",
        "answer": answer.strip(),
        "right": int(verdict.score == 1.0),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=5, help="which held-out problems")
    seed = parser.parse_args().seed
    write("reference_start", [row(cell, seed) for cell in families()])


if __name__ == "__main__":
    main()
