"""Makes the model that comes with the package out of a finished run of `laptop-agents`.

Its weights after RL become bfloat16, that model (no other) is evaluated, and the card is written
from what the run and the evaluations recorded. `make reference` does all of it from nothing.

    python benchmarks/_reference.py runs/laptop-agents
"""

import argparse
import json
import shutil
import tomllib
from pathlib import Path

from _results import Row, write
from speciale.convert.conversion import Form, convert
from speciale.evals.attempts import Settings
from speciale.evals.card import write_card
from speciale.evals.run import Request, run_eval
from speciale.evals.suites.suite import Choice
from speciale.evals.target import ServerOptions
from speciale.model.checkpoint.weights import Weights
from speciale.reference import PLACE

MOST_BYTES = 12_000_000
SUITES = {"reasoning": 50, "agent": 20, "format": 20, "safety": 20, "longctx": 10}  # tasks a cell
BUDGETS, BUDGET_TASKS = (4, 8, 16, 32, 64), 20  # tokens of thinking
RECORDS = ("recipe.toml", "run.json", "metrics.jsonl", "results.json")


def copy_records(run: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for name in RECORDS:
        if (run / name).exists():
            shutil.copy(run / name, to / name)


def evaluate(suite: str, tasks: int, run: Path, budgets: tuple[int, ...] = ()) -> None:
    """Into the folder of what is shipped."""
    run_eval(
        Request(
            targets=(str(PLACE),),
            suites=(suite,),
            choice=Choice((), tasks, 0, run / "tasks" if suite == "agent" else None),
            settings=Settings(0, 4, 1.0, 512, 16),
            server=ServerOptions(),
            budgets=budgets,
        )
    )


def make(run: Path) -> None:
    rl = run / "rl"
    base = Path(tomllib.loads((rl / "recipe.toml").read_text())["model"])
    if base.is_absolute():
        raise SystemExit(f"{rl} began from {base}: make the run by a relative path, to be found")
    shutil.rmtree(PLACE, ignore_errors=True)
    convert(
        Weights(rl / "model"), PLACE / "model", Form("released", "bfloat16", 4_000_000_000, None)
    )
    copy_records(rl, PLACE)
    copy_records(run, PLACE / base)
    weights = sum(path.stat().st_size for path in (PLACE / "model").glob("*.safetensors"))
    if weights > MOST_BYTES:
        raise SystemExit(f"the weights have {weights:,} bytes, more than {MOST_BYTES:,}")
    for suite, tasks in SUITES.items():
        evaluate(suite, tasks, run)
    evaluate("reasoning", BUDGET_TASKS, run, BUDGETS)
    shutil.rmtree(PLACE / "evals" / "attempts")  # the figures stay; thousands of answers do not
    write("reference", figures())
    print(f"{write_card(PLACE)}: {weights:,} bytes of weights")


def figures() -> list[Row]:
    """What the evaluations found, for the board."""
    rows: list[Row] = []
    for suite in SUITES:
        found = json.loads((PLACE / "evals" / f"{suite}.json").read_text())
        rows += [
            {"suite": suite, "cell": row["cell"], "pass@1, %": 100 * row["pass1"],
             "pass@k, %": 100 * row["passk"], "tasks": row["tasks"]}
            for row in found["rows"]
            if row["pass1"] is not None
        ]  # fmt: skip
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    make(parser.parse_args().run)
