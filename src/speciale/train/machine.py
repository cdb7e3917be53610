"""This machine: what a run notes of it, its matmul peak, the memory that was used."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import torch

import speciale


def machine_facts(command: str) -> dict[str, Any]:
    """What every run notes of where and how it was started."""
    return {
        "command": command,
        "version": speciale.__version__,
        "machine": f"{processor()}, {torch.get_num_threads()} threads",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "started": time.time(),
    }


def processor() -> str:
    """The name of this machine's processor, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def measure_peak_gflops(size: int = 2048, seconds: float = 1.0) -> float:
    """This machine's float32 matmul peak: the best of repeated size^3 products, in GFLOP/s."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far."""
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
