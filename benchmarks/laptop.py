"""What the laptop recipe comes to: accuracy on held-out problems, time and memory of each stage.

Runs `speciale speedrun --recipe laptop` into the folder, or only reads it where that is done.

    python benchmarks/laptop.py [--run runs/laptop]
"""

import argparse
import json
from pathlib import Path

from _results import write
from speciale.speedrun import speedrun
from speciale.train.recipe import read_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", type=Path, default=Path("runs/laptop"))
    folder = parser.parse_args().run
    speedrun(folder, read_recipe("laptop"), f"python benchmarks/laptop.py --run {folder}")
    results = json.loads((folder / "results.json").read_text("utf-8"))
    losses = [{"attention": k, "valid loss": v} for k, v in results["attention"]["loss"].items()]
    lines = map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())
    keys = ("stage", "seconds", "tokens", "steps", "mfu", "peak_memory_mb")
    stages = [{key: line[key] for key in keys} for line in lines if line["kind"] == "stage"]
    write("laptop_problems", results["problems"])
    write("laptop_attention", losses)
    write("laptop_stages", stages)


if __name__ == "__main__":
    main()
