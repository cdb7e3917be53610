"""Claim: `speciale --help` answers in under 0.3 s: nothing heavy is imported before it is needed.

Beside it, in turns, the same interpreter that does nothing: what is left is ours.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from statistics import median

from _results import write

REPEATS = 10
SPECIALE = str(Path(sysconfig.get_path("scripts")) / "speciale")
COMMANDS = {
    "speciale --help": [SPECIALE, "--help"],
    "speciale --version": [SPECIALE, "--version"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def seconds(command: list[str]) -> float:
    """Wall time of one process, from its start to its end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    for command in COMMANDS.values():  # once unmeasured: files into the cache, bytecode written
        seconds(command)
    rounds = [{name: seconds(cmd) for name, cmd in COMMANDS.items()} for _ in range(REPEATS)]
    rows = []
    for name in COMMANDS:
        taken = [round(times[name], 4) for times in rounds]
        rows.append(
            {
                "command": name,
                "median s": median(taken),
                "best s": min(taken),
                "worst s": max(taken),
            }
        )
    write("cli_start", rows)


if __name__ == "__main__":
    main()
