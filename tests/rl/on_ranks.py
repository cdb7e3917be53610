"""RL of the small model by whoever calls: one process or the ranks of torchrun.

torchrun --nproc-per-node 2 on_ranks.py MODEL OUT JOBS  # JOBS: JSON list of layout and tables
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from rl.small import letter_tasks, small_recipe
from speciale.rl import draws, trainer
from speciale.rl.trainer import train_on_ranks
from speciale.train.parallel.ranks import Layout


def train(model: Path, folder: Path, layout: dict, tables: dict) -> None:
    tables = {"train": {"steps": 4, "learning_rate": 1e-3, **tables.pop("train", {})}, **tables}
    recipe = small_recipe(model, evaluation={"every": 100, "tasks": 1}, **tables)
    train_on_ranks(folder, recipe, Layout(**layout), "test")


if __name__ == "__main__":
    draws.load_tasks, trainer.write_report = letter_tasks, lambda _: None
    out = Path(sys.argv[2])
    job = json.loads(sys.argv[3])
    train(Path(sys.argv[1]), out, job["layout"], job.get("tables", {}))
