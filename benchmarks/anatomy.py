"""What each stage bought: the table of `speciale anatomy` at laptop size, kept.

    python benchmarks/anatomy.py runs/laptop-agents    # its tasks, data and stages, where alike

Runs what runs/anatomy does not hold yet, about two hours beside a finished speedrun on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _results import Row, write
from speciale.anatomy.recipe import read_anatomy
from speciale.anatomy.run import MEASURES, run_anatomy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("share", type=Path, nargs="?", default=None)
    parser.add_argument("--out", type=Path, default=Path("runs/anatomy"))
    options = parser.parse_args()
    found = run_anatomy(read_anatomy("anatomy"), options.out, "benchmark", options.share)
    write("anatomy", [row_of(one) for one in found])


def row_of(one: dict) -> Row:
    """Shares in %, changes in points with their interval, p by permutation of signs."""
    row: Row = {
        "variant": one["variant"], "beside": one["beside"] or "",
        "text loss, nats": one["loss"],
    }  # fmt: skip
    if one["recall"] is not None:
        row["indexer recall, %"] = 100 * one["recall"]
    for suite in MEASURES:
        figures, change = one[suite], one.get(f"{suite} change")
        low, high = figures["interval"]
        row[f"{suite}, tasks"] = figures["tasks"]
        row[f"{suite}, pass@1, %"] = 100 * figures["pass1"]
        row[f"{suite}, interval"] = f"{100 * low:.1f} to {100 * high:.1f}"
        if change is not None:
            row[f"{suite}, change"] = 100 * change["difference"]
            row[f"{suite}, change's interval"] = (
                f"{100 * change['low']:+.1f} to {100 * change['high']:+.1f}"
            )
            row[f"{suite}, p"] = change["p"]
    return row


if __name__ == "__main__":
    main()
