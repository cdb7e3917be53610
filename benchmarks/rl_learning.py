"""Does RL teach? The speedrun's chat model, RL from it, held-out pass@1 before and after.

    python benchmarks/rl_learning.py runs/laptop-agents         # three seeds of mixed RL
    python benchmarks/rl_learning.py runs/laptop --recipe rl-laptop --seeds 0 --set train.minutes=5

Sources that are trained on and sources that never are stand apart. A cell counts in the average if
its pass@1 before RL is between 10% and 60%, whatever comes after. Draws results/rl_learning.png.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from _results import RESULTS, Row, write
from _rl import finished_run
from speciale.rl.recipe import read_recipe

LOW, HIGH = 0.1, 0.6


def evaluations_of(folder: Path) -> list[tuple[float, list[dict]]]:
    """(minutes of training, rows) of every evaluation, in order."""
    minutes, found = 0.0, []
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["kind"] == "step":
            minutes = record["seconds"] / 60
        elif record["kind"] == "eval":
            found.append((minutes, record["rows"]))
    return found


def key_of(row: dict) -> tuple:
    return row["trained"], row["source"], row["level"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="runs/laptop-agents")
    parser.add_argument("--recipe", default="mixed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/rl-learning"))
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    options = parser.parse_args()

    found: dict[tuple, list[tuple[float, float]]] = {}
    curves = {}
    for seed in options.seeds:
        changes = [f"model={options.model}", f"seed={seed}", *options.overrides]
        recipe = read_recipe(options.recipe, changes)
        curves[seed] = evaluations_of(finished_run(options.out / str(seed), recipe).folder)
        for first, last in zip(curves[seed][0][1], curves[seed][-1][1], strict=True):
            found.setdefault(key_of(first), []).append((first["pass1"], last["pass1"]))
    rows: list[Row] = []
    counted: dict[bool, set] = {True: set(), False: set()}
    for trained in (True, False):
        gains = []
        for (kind, source, level), pairs in found.items():
            if kind != trained:
                continue
            before, after = (sum(values) / len(pairs) for values in zip(*pairs))
            counts = LOW <= before <= HIGH
            if counts:
                gains.append(after - before)
                counted[trained].add((kind, source, level))
            rows.append(
                {
                    "source": source.split("#")[-1],
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
    draw(curves, counted)


def draw(curves: dict[int, list[tuple[float, list[dict]]]], counted: dict[bool, set]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for trained, style, label in ((True, "o-", "trained on"), (False, "s--", "never trained on")):
        for place, curve in enumerate(curves.values() if counted[trained] else ()):
            means = []
            for _, rows in curve:
                own = [row["pass1"] for row in rows if key_of(row) in counted[trained]]
                means.append(100 * sum(own) / len(own))
            axes.plot([minutes for minutes, _ in curve], means, style, color=f"C{place}",
                      label=label if place == 0 else None)  # fmt: skip
    axes.set_xlabel("minutes of RL on two cores")
    axes.set_ylabel("held-out pass@1 of what counts, mean, %")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(RESULTS / "rl_learning.png", dpi=110)


if __name__ == "__main__":
    main()
