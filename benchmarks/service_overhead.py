"""What the service itself costs, with no model behind it: streamed chunks a second of one core's
time, and the time to the first byte beside 100 open streams (20 words a second each).

    python benchmarks/service_overhead.py [--seconds 10] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

from _results import Row, write
from _service import Server, stream

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


def first_bytes(folder: Path, filtered: bool, seconds: float) -> list[float]:
    """Milliseconds to the first byte of short requests while 100 streams are open, sorted."""
    times: list[float] = []
    with Server(folder, "--config", str(config(folder, "null:20", filtered))) as server:

        async def measure() -> None:
            end = time.perf_counter() + seconds
            words = int(20 * (seconds + 5))
            streams = [
                asyncio.create_task(stream(server.port, words, int(20 * seconds)))
                for _ in range(100)
            ]
            await asyncio.sleep(2)
            while time.perf_counter() < end:
                told = await stream(server.port, 2)
                times.append(told["first_s"] * 1e3)
                await asyncio.sleep(0.02)
            for task in streams:
                task.cancel()
            await asyncio.gather(*streams, return_exceptions=True)

        asyncio.run(measure())
    return sorted(times)


def config(folder: Path, backend: str, filtered: bool) -> Path:
    path = folder / "service.toml"
    path.write_text(OFF.format(backend=backend, filter=str(filtered).lower()))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows: list[Row] = []
    for filtered in (False, True):
        with tempfile.TemporaryDirectory() as name:
            cpu, wall = throughput(Path(name), filtered, options.rounds)
        with tempfile.TemporaryDirectory() as name:
            times = first_bytes(Path(name), filtered, options.seconds)
        rows.append(
            {
                "content filter": "on" if filtered else "off",
                "chunks/s a core": cpu,
                "chunks/s wall": wall,
                "first byte p50, ms": times[len(times) // 2],
                "first byte p99, ms": times[int(len(times) * 0.99)],
                "requests": len(times),
            }
        )
    write("service_overhead", rows)


if __name__ == "__main__":
    main()
