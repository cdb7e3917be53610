"""kill -9 of the server under load, again and again on one database: no answer that a client has
seen to its end lacks its row, none has two, and the balance is what the rows say.

    python benchmarks/service_faults.py [--kills 5] [--streams 100]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from _results import write
from _service import Server, stream
from service_load import ledger


async def until_killed(server: Server, streams: int, seconds: float) -> list[dict]:
    """What clients saw of a server that is killed after so many seconds."""
    told: list[dict] = []

    async def client() -> None:
        while server.process.poll() is None:
            try:
                told.append(await stream(server.port, 20))
            except OSError:
                return

    clients = [asyncio.create_task(client()) for _ in range(streams)]
    await asyncio.sleep(seconds)
    server.process.kill()
    await asyncio.gather(*clients)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--streams", type=int, default=100)
    options = parser.parse_args()
    chance = random.Random(0)
    told: list[dict] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(options.kills):
            server = Server(folder, "--backend", "null:50")
            told += asyncio.run(until_killed(server, options.streams, chance.uniform(2, 5)))
            server.kill()
        with Server(folder, "--backend", "null:50") as server:  # frees what the dead ones held
            rows = ledger(server.database)
        audit = subprocess.run(
            [
                sys.executable, "-c", "from speciale.cli import main; main()", "usage", "--audit",
                "--database", f"sqlite:///{folder / 'speciale.db'}",
            ],
            capture_output=True, text=True,
        )  # fmt: skip
    seen = [one for one in told if one["done"]]
    missing = [one["id"] for one in seen if one["id"] not in rows]
    differ = [
        one["id"]
        for one in seen
        if one["id"] in rows
        and rows[one["id"]]["completion_tokens"] != one["usage"]["completion_tokens"]
    ]
    write(
        "service_faults",
        [
            {
                "kills": options.kills,
                "answers seen whole": len(seen),
                "answers cut": len(told) - len(seen),
                "rows": len(rows),
                "rows missing": len(missing),
                "rows that differ": len(differ),
                "audit": "agrees" if audit.returncode == 0 else audit.stdout + audit.stderr,
            }
        ],
    )
    if missing or differ or audit.returncode:
        raise SystemExit("the books do not agree")


if __name__ == "__main__":
    main()
