"""500 streams at once for a minute, 30% of the clients vanishing mid-answer, then the books: every
answer's usage as its client saw it against the ledger, and what the server still holds.

    python benchmarks/service_load.py [--streams 500] [--seconds 60] [--run runs/laptop]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import tempfile
import time
from pathlib import Path

from _results import Row, write
from _service import Server, stream


async def load(port: int, streams: int, seconds: float, model: str) -> list[dict]:
    """`streams` clients that ask again and again until the time is over."""
    told: list[dict] = []
    end = time.perf_counter() + seconds

    async def client(number: int) -> None:
        chance = random.Random(number)
        while time.perf_counter() < end:
            words = chance.randrange(20, 60)
            leaves = chance.randrange(1, words) if chance.random() < 0.3 else None
            one = await stream(port, words, leaves, model)
            told.append({**one, "left": leaves is not None})

    await asyncio.gather(*(client(number) for number in range(streams)))
    return told


def settled(server: Server) -> None:
    """Waits until the server has noticed that everybody is gone."""
    for _ in range(300):
        if server.metric("speciale_running_requests ") == 0:
            return
        time.sleep(0.1)
    raise SystemExit("requests are still running 30 seconds after the last client left")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--run", type=Path, help="a run, in place of words without a model")
    options = parser.parse_args()
    source = [str(options.run.resolve())] if options.run else ["--backend", "null:20"]
    model = options.run.resolve().name if options.run else "null"
    with tempfile.TemporaryDirectory() as name, Server(Path(name), *source) as server:
        asyncio.run(load(server.port, 20, 2, model))
        settled(server)
        before = (server.descriptors(), server.metric("speciale_tasks "), server.memory_mb())
        told = asyncio.run(load(server.port, options.streams, options.seconds, model))
        settled(server)
        time.sleep(1)
        after = (server.descriptors(), server.metric("speciale_tasks "), server.memory_mb())
        rows = ledger(server.database)
    whole = [one for one in told if one["done"]]
    seen = sum(one["usage"]["completion_tokens"] for one in whole)
    booked = sum(rows[one["id"]]["completion_tokens"] for one in whole)
    wrong = [
        one["id"]
        for one in whole
        if rows[one["id"]]["completion_tokens"] != one["usage"]["completion_tokens"]
        or rows[one["id"]]["status"] != 200
    ]
    missing = [one["id"] for one in told if one["id"] and one["id"] not in rows]
    broken = [one for one in told if not one["done"] and not one["left"]]
    row: Row = {
        "streams": options.streams,
        "seconds": options.seconds,
        "answers": len(whole),
        "left": sum(one["left"] and not one["done"] for one in told),
        "broken": len(broken),
        "tokens seen": seen,
        "tokens in the ledger": booked,
        "rows that differ": len(wrong),
        "rows missing": len(missing),
        "descriptors": f"{before[0]} -> {after[0]}",
        "tasks": f"{before[1]:.0f} -> {after[1]:.0f}",
        "memory, MB": f"{before[2]:.0f} -> {after[2]:.0f}",
    }
    write("service_load" if options.run is None else "service_load_run", [row])
    if wrong or missing or broken or seen != booked:
        raise SystemExit("the books do not agree")


def ledger(path: Path) -> dict[str, dict]:
    """Rows by request id; no id may be there twice."""
    with sqlite3.connect(path) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute("select * from ledger").fetchall()
    by_id = {row["request_id"]: dict(row) for row in rows}
    assert len(by_id) == len(rows), "a request has two rows"
    return by_id


if __name__ == "__main__":
    main()
