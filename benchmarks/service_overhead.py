"""What the service itself costs, with no model behind it: streamed chunks a second of one core's
time, and the time to the first byte beside 100 open streams (20 words a second each).

    python benchmarks/service_overhead.py [--seconds 10] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

from _results import Row, write
from _service import Server, get, stream

OFF = """
[[deployments]]
name = "null"
backend = "{backend}"
filter = {{ enabled = {filter} }}
"""


def throughput(folder: Path, filtered: bool, rounds: int) -> tuple[float, float]:
    """Chunks a second of server's CPU time, and of wall time; medians of `rounds` of 20 streams."""
    cpu, wall = [], []
    with Server(folder, "--config", str(config(folder, "null", filtered))) as server:

        async def answers(words: int) -> int:
            told = await asyncio.gather(*(stream(server.port, words) for _ in range(20)))
            return sum(one["chunks"] for one in told)

        asyncio.run(answers(100))
        for _ in range(rounds):
            used, begun = server.cpu_seconds(), time.perf_counter()
            chunks = asyncio.run(answers(1000))
            wall.append(chunks / (time.perf_counter() - begun))
            cpu.append(chunks / (server.cpu_seconds() - used))
    return statistics.median(cpu), statistics.median(wall)


def first_bytes(folder: Path, filtered: bool, seconds: float) -> dict[str, list[float]]:
    """Milliseconds, sorted, while 100 streams are open: to the first byte of short answers
    ("answer"), and to the whole of /healthz, which does nothing ("health").

    The streams are read by a process of its own, so that reading them does not delay the clock.
    """
    times: dict[str, list[float]] = {"answer": [], "health": []}
    with Server(folder, "--config", str(config(folder, "null:20", filtered))) as server:
        others = multiprocessing.get_context("spawn").Process(
            target=keep_open, args=(server.port, seconds + 4)
        )
        others.start()

        async def measure() -> None:
            await asyncio.sleep(3)  # all are open
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                told = await stream(server.port, 2)
                times["answer"].append(told["first_s"] * 1e3)
                await asyncio.sleep(0.02)
                begun = time.perf_counter()
                await get(server.port, "/healthz")
                times["health"].append((time.perf_counter() - begun) * 1e3)
                await asyncio.sleep(0.02)

        asyncio.run(measure())
        others.join()
    return {name: sorted(found) for name, found in times.items()}


def keep_open(port: int, seconds: float) -> None:
    """100 streams of 20 words a second each, for so long, at their own moments of a second."""

    async def one(number: int) -> None:
        await asyncio.sleep(number / 100)
        await stream(port, int(20 * seconds))

    async def streams() -> None:
        await asyncio.gather(*(one(number) for number in range(100)))

    asyncio.run(streams())


def config(folder: Path, backend: str, filtered: bool) -> Path:
    path = folder / "service.toml"
    path.write_text(OFF.format(backend=backend, filter=str(filtered).lower()))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows: list[Row] = []
    for filtered in (False, True):
        with tempfile.TemporaryDirectory() as name:
            cpu, wall = throughput(Path(name), filtered, options.rounds)
        with tempfile.TemporaryDirectory() as name:
            times = first_bytes(Path(name), filtered, options.seconds)
        answer, health = times["answer"], times["health"]
        rows.append(
            {
                "content filter": "on" if filtered else "off",
                "chunks/s a core": cpu,
                "chunks/s wall": wall,
                "first byte p50, ms": answer[len(answer) // 2],
                "first byte p99, ms": answer[int(len(answer) * 0.99)],
                "health p50, ms": health[len(health) // 2],
                "health p99, ms": health[int(len(health) * 0.99)],
                "requests": len(answer),
            }
        )
    write("service_overhead", rows)


if __name__ == "__main__":
    main()
