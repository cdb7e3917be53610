"""A run in a process of its own, to be killed: python kill_script.py MODEL OUT."""

import sys
from pathlib import Path

from rl.small import letter_tasks, small_recipe
from speciale.rl import draws
from speciale.rl.run import RlRun
from speciale.rl.trainer import Trainer

if __name__ == "__main__":
    draws.load_tasks = letter_tasks
    recipe = small_recipe(
        sys.argv[1], train={"steps": 30}, evaluation={"every": 10, "tasks": 2, "samples": 2}
    )
    run = RlRun.create(Path(sys.argv[2]), recipe, "kill_script")
    with run.locked():
        Trainer(run).train()
