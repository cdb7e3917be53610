"""A run's folder: its recipe, facts, metrics and lock, whatever runs in it.

recipe.toml run.json metrics.jsonl .lock; the rest is the business of the kind of run.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speciale.errors import CheckpointError, ConfigError
from speciale.files import explained, is_leftover, make_folder, write_atomic
from speciale.train.tables import Table


class RunFolder:
    """`recipe` is the run's own, resolved: a folder takes no other."""

    def __init__(self, folder: Path, recipe: Table) -> None:
        self.folder, self.recipe = folder, recipe

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    def enter(self, folders: tuple[str, ...], facts: dict[str, Any]) -> None:
        """Opens the folder, new or left by the same recipe; ConfigError if by another one."""
        folder = self.folder
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
            write_atomic(saved, self.recipe.to_toml())
        elif known != self.recipe.to_toml():
            raise ConfigError(
                f"{folder} holds a run of another recipe (see {saved}): choose another --out, "
                "or delete that folder to start anew"
            )
        for name in folders:
            make_folder(folder / name)
        if not (folder / "run.json").exists():
            write_atomic(folder / "run.json", json.dumps(facts, indent=2) + "\n")

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
        """Deletes what a killed process left behind."""
        for path in (*self._outdated(), *filter(is_leftover, self.folder.rglob(".*.tmp"))):
            with explained(path):
                path.unlink(missing_ok=True)

    def _outdated(self) -> list[Path]:
        """Files that another file made useless."""
        return []

    def log(self, **record: Any) -> None:
        """Adds one JSON line to the metrics."""
        with explained(self.metrics), open(self.metrics, "a", encoding="utf-8") as file:
            file.write(json.dumps({"time": round(time.time(), 2), **record}) + "\n")

    def keep_metrics(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Drops the metrics of what a resumed run will do again."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text("utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # the line under way when the process was killed
            if keep(record):
                kept.append(line)
        write_atomic(self.metrics, "".join(line + "\n" for line in kept))


def _is_text(path: str) -> bool:
    """Whether a path is free of the surrogates that stand for bytes outside UTF-8."""
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False
