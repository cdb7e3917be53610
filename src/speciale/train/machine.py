"""This machine: what a run notes of it, its matmul peak, the memory that was used."""

from __future__ import annotations

import platform
import re
import time
from pathlib import Path
from typing import Any

import torch

import speciale

_CPU = torch.device("cpu")


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


def measure_peak_gflops(device: torch.device = _CPU, seconds: float = 1.0) -> float:
    """The matmul peak of this machine, in float32, or of a GPU, in bfloat16, in GFLOP/s: the best
    of repeated products."""
    gpu = device.type == "cuda"
    size, dtype = (8192, torch.bfloat16) if gpu else (2048, torch.float32)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        if gpu:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far."""
    try:  # Linux has getrusage begin with the parent's
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource

    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
