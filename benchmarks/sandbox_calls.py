"""The sandbox: what a call costs cold, warm and under load, what 10,000 calls leave behind, and how
far a memory bomb gets before it is stopped.

    python benchmarks/sandbox_calls.py [--calls 10000] [--at-once 4]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from _results import Row, write
from speciale.sandbox import Limits, Sandbox

BOMB = """
import mmap, os, time
for _ in range(16):
    if os.fork() == 0:
        break
held = mmap.mmap(-1, 4 << 30, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
for place in range(0, 4 << 30, 4096):
    held[place] = 1
time.sleep(60)
"""


def quantiles(seconds: list[float]) -> Row:
    ordered = sorted(seconds)
    return {
        f"p{share}, ms": round(1e3 * ordered[min(len(ordered) - 1, len(ordered) * share // 100)], 1)
        for share in (50, 99)
    }


async def timed(call: Callable[..., Awaitable[object]], *arguments: object) -> float:
    begun = time.perf_counter()
    await call(*arguments)
    return time.perf_counter() - begun


def below() -> dict[int, int]:
    """All processes that this one started, and theirs: number -> parent, in the order of birth."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(values[1]), int(values[19])
    found = {os.getpid()}
    while grown := {pid for pid, (parent, _) in parents.items() if parent in found} - found:
        found |= grown
    found.discard(os.getpid())
    return {pid: parents[pid][0] for pid in sorted(found, key=lambda pid: parents[pid][1])}


def held() -> dict[str, int]:
    """What could leak: here, in the jail's first process and in the temporary folder."""
    processes = below()
    first = Path(f"/proc/{list(processes)[1]}")  # bubblewrap, which waits, is before it
    own = Path("/proc/self")
    return {
        "processes": len(processes),
        "descriptors": len(list((own / "fd").iterdir())),
        "jail's descriptors": len(list((first / "fd").iterdir())),
        "mounts": len((own / "mountinfo").read_text().splitlines()),
        "jail's mounts": len((first / "mountinfo").read_text().splitlines()),
        "temporary files": len(list(Path(tempfile.gettempdir()).iterdir())),
        "namespaces": namespaces(list(processes)),
    }


def namespaces(processes: list[int]) -> int:
    """All that one of `processes` is in."""
    found = set()
    for pid in processes:
        found |= {os.readlink(path) for path in Path(f"/proc/{pid}/ns").iterdir()}
    return len(found)


async def many(sandbox: Sandbox, calls: int, at_once: int) -> Row:
    await sandbox.run("true")
    await asyncio.sleep(2)  # what ends takes a moment
    before, numbers, seconds = held(), iter(range(calls)), []

    async def one(number: int) -> None:
        outcome = await sandbox.run(f"echo {number} | tee file")
        assert outcome.stdout == f"{number}\n".encode(), outcome

    async def worker() -> None:
        for number in numbers:
            seconds.append(await timed(one, number))

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    took = time.perf_counter() - begun
    await asyncio.sleep(2)
    after = held()
    leaked = {name: f"{before[name]} -> {after[name]}" for name in before}
    print(f"before and after {calls} calls:", leaked)
    unlike = {name for name in before if before[name] != after[name]}
    if unlike:
        raise SystemExit(f"something was left behind: {unlike}")
    return {
        "what": f"{calls} calls, {at_once} at a time",
        "calls/s": round(calls / took, 1),
        **quantiles(seconds),
        "left": 0,
    }


async def alone(sandbox: Sandbox) -> list[Row]:
    """One call at a time, warm."""
    rows: list[Row] = []
    for name, command in (
        ("one at a time: true", ["true"]),
        ("one at a time: bash -c 'echo hi'", "echo hi"),
        ("one at a time: python3 -c pass", ["python3", "-c", "pass"]),
    ):
        seconds = [await timed(sandbox.run, command) for _ in range(400)]
        rows.append({"what": name, **quantiles(seconds)})
    async with sandbox.session() as session:
        seconds = [await timed(session.run, "echo hi") for _ in range(400)]
        rows.append({"what": "in a session: bash -c 'echo hi'", **quantiles(seconds)})

    async def open_and_close() -> None:
        async with sandbox.session():
            pass

    seconds = [await timed(open_and_close) for _ in range(200)]
    return [*rows, {"what": "a session, opened and closed", **quantiles(seconds)}]


async def cold() -> Row:
    async def whole() -> None:
        async with Sandbox() as sandbox:
            await sandbox.run(["true"])

    return {
        "what": "a new sandbox and its first call",
        **quantiles([await timed(whole) for _ in range(40)]),
    }


async def bomb(sandbox: Sandbox) -> Row:
    """17 processes that fill shared memory as fast as they can."""
    limits = Limits(memory_mb=256)
    most = 0

    def used() -> int:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["Shmem"].split()[0])

    before = used()
    task = asyncio.create_task(sandbox.run(["python3", "-c", BOMB], limits=limits))
    while not task.done():
        most = max(most, used() - before)
        await asyncio.sleep(0.002)
    outcome = await task
    assert outcome.stopped == "memory", outcome
    return {
        "what": f"a memory bomb of 17 processes, limit {limits.memory_mb} MB",
        "peak, MB": most >> 10,
        "stopped after, ms": round(outcome.seconds * 1e3),
    }


async def everything(calls: int, at_once: int) -> list[Row]:
    rows = [await cold()]
    async with Sandbox() as sandbox:
        rows += await alone(sandbox)
        rows.append(await many(sandbox, calls, at_once))
        rows.append(await bomb(sandbox))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--at-once", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as tempfile.tempdir:  # to see what is left there
        rows = asyncio.run(everything(options.calls, options.at_once))
    write("sandbox_calls", rows)


if __name__ == "__main__":
    main()
