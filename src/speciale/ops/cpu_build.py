"""Compiles the C++ of `cpu/` for this very processor at first use (a few seconds), and keeps it.

Nothing is compiled at install: where there is no compiler, PyTorch's own operations do the work
(paged_torch.py). The library shares PyTorch's OpenMP threads, so both never compete for the cores.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from functools import cache
from pathlib import Path

_SOURCES = Path(__file__).with_name("cpu")
_FLAGS = ["-O3", "-march=native", "-std=c++17", "-fPIC", "-fopenmp", "-Wno-psabi"]


@cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where they cannot be had, which is said once as a warning.

    SPECIALE_KERNELS=torch asks for PyTorch's operations instead.
    """
    if os.environ.get("SPECIALE_KERNELS") == "torch":
        return None
    names = (os.environ.get("CXX", "g++"), "g++", "clang++")
    compiler = next(filter(None, map(shutil.which, names)), None)
    if compiler is None:
        _warn("there is no C++ compiler (g++ or clang++)")
        return None
    try:
        path = _folder() / f"cpu_kernels-{_fingerprint(compiler)}.so"
        if not path.exists():
            _compile(compiler, path)
        _share_openmp()
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        _warn(f"they cannot be compiled: {detail.strip().splitlines()[-1]}")
        return None


def _warn(why: str) -> None:
    warnings.warn(
        f"speciale's CPU kernels are not used, as {why}; generation works, but slower",
        RuntimeWarning,
        stacklevel=3,
    )


def _folder() -> Path:
    """Where compiled code is kept: a folder that only this user can write to."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "speciale"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = folder.stat()
    if facts.st_uid != os.getuid() or facts.st_mode & 0o022:
        raise OSError(f"{folder} can be written by others: chmod 700 it")
    return folder


def _fingerprint(compiler: str) -> str:
    """Differs where the source, the flags, the compiler or the processor does."""
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    try:
        facts = Path("/proc/cpuinfo").read_text().splitlines()
        processor = "".join(sorted({x for x in facts if x.startswith(("flags", "Features"))}))
    except OSError:
        processor = platform.processor()
    sources = b"".join(path.read_bytes() for path in sorted(_SOURCES.iterdir()))
    parts = (sources, " ".join(_FLAGS).encode(), version, processor.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _compile(compiler: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as work:
        unit, built = Path(work) / "kernels.o", Path(work) / "kernels.so"
        # Linked without OpenMP's library: its symbols are found in the one that PyTorch brought.
        for command in (
            [compiler, *_FLAGS, "-c", str(_SOURCES / "kernels.cpp"), "-o", str(unit)],
            [compiler, "-shared", str(unit), "-o", str(built)],
        ):
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        os.replace(built, path)  # whole or not at all: another process may be here too


def _share_openmp() -> None:
    """Makes the symbols of the OpenMP library that PyTorch loaded visible to ours."""
    import torch  # noqa: F401  (loads it)

    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    for path in {line.split()[-1] for line in lines if "gomp" in line or "libomp" in line}:
        ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
