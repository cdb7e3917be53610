"""Which runs belong together: those a model came from, and the RL that began from a model."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speciale.errors import CheckpointError
from speciale.evals.records import Run, parsed, read_run

_MOST_RUNS = 8  # behind one another


@dataclass
class History:
    """The runs that led to a model, the first one first, with the recipe of each."""

    runs: list[Run]
    recipes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def last(self) -> Run:
        return self.runs[-1]


def read_history(folder: Path) -> History:
    """The run and those whose models it began from, as far as they are there."""
    runs: list[Run] = []
    recipes: list[dict[str, Any]] = []
    place: Path | None = folder
    while place is not None and len(runs) < _MOST_RUNS:
        try:
            run = read_run(place)
        except CheckpointError:
            if not runs:
                raise
            break
        runs.insert(0, run)
        recipes.insert(0, _recipe(run.recipe))
        before = _before(recipes[0])
        place = _found(before, place) if before else None
    return History(runs, recipes)


def rl_runs(folder: Path) -> list[Path]:
    """The RL runs in a run's folder, as a speedrun leaves one, and those beside it that began from
    its model or from one of these."""
    inside = [place for place in _folders(folder) if _is_rl(place)]
    family = {place.resolve() for place in (folder, *inside)}
    beside = []
    for place in _folders(folder.resolve().parent):
        before = _before(_recipe_in(place))
        model = _found(before, place) if before else None
        if place.resolve() not in family and model is not None and model.resolve() in family:
            beside.append(place)
    return [*inside, *(place for place in beside if _is_rl(place))]


def run_label(folder: Path) -> str:
    """The name that the run was given, and its folder's where that is another."""
    try:
        info = parsed((folder / "run.json").read_text(encoding="utf-8", errors="replace")) or {}
    except OSError:
        info = {}
    name, place = str(info.get("name") or folder.name), folder.resolve().name
    return name if name == place else f"{name} ({place})"


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(place for place in folder.iterdir() if place.is_dir())
    except OSError:  # that may not be looked into
        return []


def _is_rl(folder: Path) -> bool:
    return "domains" in _recipe_in(folder)


def _before(recipe: dict[str, Any]) -> str | None:
    """The model that a recipe begins from; the table of a model to be made is none."""
    before = recipe.get("model") or recipe.get("student")
    return before if isinstance(before, str) else None


def _recipe_in(folder: Path) -> dict[str, Any]:
    try:
        return _recipe((folder / "recipe.toml").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return {}


def _recipe(text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text or "")
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _found(name: str, run: Path) -> Path | None:
    """A path of a recipe counts from where the command was run, mostly above the run. What a run
    holds itself, as the package's does, goes before another of the same name."""
    for root in (run, Path(), *run.resolve().parents):
        try:
            if (root / name / "run.json").exists():
                return root / name
        except (OSError, ValueError):  # too long for a path, or no path at all
            return None
    return None
