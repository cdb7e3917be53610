"""A run is a folder: recipe, facts, data, metrics, checkpoints, the model, results, report.

recipe.toml run.json metrics.jsonl results.json report.html
data/    tokenizer.json train.tokens valid.tokens chat.npy
stages/  pretrain.safetensors ... (finished) and pretrain.part.safetensors (under way)
model/   the finished model, an HF-layout folder with its tokenizer
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import speciale
from speciale.errors import CheckpointError, ConfigError
from speciale.files import explained, is_leftover, make_folder, write_atomic
from speciale.train.flops import active_parameters, total_parameters
from speciale.train.recipe import STAGES, Recipe, StageName, read_recipe


class Run:
    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self.config = recipe.model_config_checked()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    def finished(self, stage: StageName) -> Path:
        return self.folder / "stages" / f"{stage}.safetensors"

    def partial(self, stage: StageName) -> Path:
        return self.folder / "stages" / f"{stage}.part.safetensors"

    @classmethod
    def create(cls, folder: Path, recipe: Recipe, command: str) -> Run:
        """Opens a run folder, new or left by the same recipe; ConfigError if by another one."""
        run = cls(folder, recipe)
        if not _is_text(os.path.realpath(folder)):
            raise ConfigError(
                f"the path {os.path.realpath(folder)!r} of the run is not UTF-8, which safetensors "
                "needs: choose another --out"
            )
        saved = folder / "recipe.toml"
        try:
            known = saved.read_bytes().decode(errors="replace") if saved.exists() else None
            foreign = folder.exists() and not all(map(is_leftover, folder.iterdir()))
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be a run folder ({error.strerror}): choose another --out"
            ) from None
        if known is None:
            if foreign:
                raise ConfigError(f"{folder} is not empty and holds no run: choose another --out")
            # First of all: with it a killed run is known again, however little else there is.
            write_atomic(saved, recipe.to_toml())
        elif known != recipe.to_toml():
            raise ConfigError(
                f"{folder} holds a run of another recipe (see {saved}): choose another --out, "
                "or delete that folder to start anew"
            )
        make_folder(folder / "stages")
        make_folder(run.data)
        if not (folder / "run.json").exists():
            write_atomic(folder / "run.json", json.dumps(_facts(recipe, command), indent=2) + "\n")
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        if not (folder / "recipe.toml").exists():
            raise CheckpointError(f"{folder} holds no recipe.toml: give the folder of a run")
        return cls(folder, read_recipe(str(folder / "recipe.toml")))

    def facts(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / "run.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.folder / 'run.json'} cannot be read ({error}): delete it and run the same "
                "command again"
            ) from None

    def add_facts(self, **facts: Any) -> None:
        whole = {**self.facts(), **facts}
        write_atomic(self.folder / "run.json", json.dumps(whole, indent=2) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for one process; ConfigError where another one works on it."""
        path = self.folder / ".lock"
        with explained(path):
            lock = open(path, "w")  # noqa: SIM115
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(
                    f"another process works on {self.folder}: wait for it, stop it, or choose "
                    "another --out"
                ) from None
            self._tidy()
            yield

    def _tidy(self) -> None:
        """Deletes what a killed process left behind: temporary files, and a checkpoint of a stage
        that then finished."""
        done = [self.partial(stage) for stage in STAGES if self.finished(stage).exists()]
        for path in (*done, *filter(is_leftover, self.folder.rglob(".*.tmp"))):
            with explained(path):
                path.unlink(missing_ok=True)

    def log(self, **record: Any) -> None:
        """Adds one JSON line to the metrics."""
        with explained(self.metrics), open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 2), **record}) + "\n")

    def forget(self, stage: StageName, after_step: int) -> None:
        """Drops the metrics of steps that a resumed stage will do again."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text("utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the line under way when the process was killed
            if record.get("stage") != stage or record.get("step", after_step + 1) <= after_step:
                kept.append(line)
        write_atomic(self.metrics, "".join(line + "\n" for line in kept))


def _is_text(path: str) -> bool:
    """Whether a path is free of the surrogates that stand for bytes outside UTF-8."""
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False


def _facts(recipe: Recipe, command: str) -> dict[str, Any]:
    config = recipe.model_config_checked()
    return {
        "name": recipe.name,
        "command": command,
        "seed": recipe.seed,
        "version": speciale.__version__,
        "machine": f"{processor()}, {torch.get_num_threads()} threads",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "started": time.time(),
        "parameters": {"total": total_parameters(config), "active": active_parameters(config)},
        "config": config.to_dict(),
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
