"""A run is a folder: recipe, facts, data, metrics, checkpoints, the model, results, report.

recipe.toml run.json metrics.jsonl results.json report.html
data/    tokenizer.json train.tokens valid.tokens chat.npy
stages/  pretrain.safetensors ... (finished) and pretrain.part.safetensors (under way)
model/   the finished model, an HF-layout folder with its tokenizer
"""

from __future__ import annotations

import fcntl
import json
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import speciale
from speciale.errors import CheckpointError, ConfigError
from speciale.files import make_folder, write_atomic
from speciale.train.recipe import Recipe, StageName, read_recipe


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
        saved = folder / "recipe.toml"
        if saved.exists():
            if saved.read_text("utf-8") != recipe.to_toml():
                raise ConfigError(
                    f"{folder} holds a run of another recipe (see {saved}): choose another --out, "
                    "or delete that folder to start anew"
                )
            return cls(folder, recipe)
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty and holds no run: choose another --out")
        run = cls(folder, recipe)
        make_folder(folder / "stages")
        make_folder(run.data)
        write_atomic(folder / "run.json", json.dumps(_facts(recipe, command), indent=2) + "\n")
        write_atomic(saved, recipe.to_toml())
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
            raise CheckpointError(f"{self.folder / 'run.json'} cannot be read ({error})") from None

    def add_facts(self, **facts: Any) -> None:
        whole = {**self.facts(), **facts}
        write_atomic(self.folder / "run.json", json.dumps(whole, indent=2) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for one process; ConfigError where another one works on it."""
        with open(self.folder / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(
                    f"another process works on {self.folder}: wait for it, stop it, or choose "
                    "another --out"
                ) from None
            yield

    def log(self, **record: Any) -> None:
        """Adds one JSON line to the metrics."""
        with open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 2), **record}) + "\n")

    def forget(self, stage: StageName, after_step: int) -> None:
        """Drops the metrics of steps that a resumed stage will do again."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text("utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the line under way when the process was killed
            if record.get("stage") != stage or record.get("step", after_step + 1) <= after_step:
                kept.append(line)
        write_atomic(self.metrics, "".join(line + "\n" for line in kept))


def _facts(recipe: Recipe, command: str) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "command": command,
        "seed": recipe.seed,
        "version": speciale.__version__,
        "machine": f"{_processor()}, {torch.get_num_threads()} threads",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "started": time.time(),
        "config": recipe.model_config_checked().to_dict(),
    }


def _processor() -> str:
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
