"""Does RL teach? The speedrun's chat model, RL from it, held-out pass@1 before and after.

    python benchmarks/rl_learning.py runs/laptop                # three seeds of rl-laptop
    python benchmarks/rl_learning.py runs/laptop --recipe my.toml --seeds 0 1 --set train.minutes=5

Sources that are trained on and sources that never are stand apart. A cell counts in the average if
its pass@1 before RL is between 10% and 60%, whatever comes after.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from _results import Row, write
from _rl import finished_run
from speciale.files import write_atomic
from speciale.rl.recipe import read_recipe

LOW, HIGH = 0.1, 0.6


def rows_of(folder: Path) -> list[list[dict]]:
    """The rows of every evaluation, in order."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["rows"] for line in lines if line["kind"] == "eval"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="runs/laptop")
    parser.add_argument("--recipe", default="rl-laptop")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/rl-learning"))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()

    found: dict[tuple, list[tuple[float, float]]] = {}
    curves = {}
    for seed in options.seeds:
        changes = [f"model={options.model}", f"seed={seed}", *options.overrides]
        recipe = read_recipe(options.recipe, changes)
        evaluations = rows_of(finished_run(options.out / str(seed), recipe).folder)
        curves[seed] = evaluations
        for first, last in zip(evaluations[0], evaluations[-1], strict=True):
            key = (first["trained"], first["source"], first["level"])
            found.setdefault(key, []).append((first["pass1"], last["pass1"]))
    rows: list[Row] = []
    for trained in (True, False):
        gains = []
        for (kind, source, level), pairs in found.items():
            if kind != trained:
                continue
            before, after = (sum(values) / len(pairs) for values in zip(*pairs))
            counts = LOW <= before <= HIGH
            gains += [after - before] if counts else []
            rows.append(
                {
                    "source": source,
                    "level": level if level is not None else "",
                    "trained on": "yes" if trained else "never",
                    "pass@1 before, %": 100 * before,
                    "pass@1 after, %": 100 * after,
                    "points": 100 * (after - before),
                    "counts": "yes" if counts else "no",
                }
            )
        if gains:
            name = f"mean of {len(gains)} that count"
            mean = 100 * sum(gains) / len(gains)
            rows.append(
                {"source": name, "trained on": "yes" if trained else "never", "points": mean}
            )
    write("rl_learning", rows)
    write_atomic(options.out / "curves.json", json.dumps(curves))


if __name__ == "__main__":
    main()
