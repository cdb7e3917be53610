"""What a store's tasks cost: tokens and money over all items of a model's, per accepted task.

Read from the folders themselves: making.json of the families, and the reasons of items that gave
none (V3.2 report, 3.2.3: synthesis at scale is paid for by the task).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from speciale.errors import DataError
from speciale.synth.folders import KEPT, REJECTED, read_gates
from speciale.synth.llm.making import MAKING, Making, figures_of

_NUMBER = re.compile(r"\d{3,6}")


@dataclass
class Sum:
    """`items`, of which `unpriced` had no prices; `accepted`: tasks that all gates passed; tokens;
    `money` in the currency of the prices; `seconds` of making, workers side by side not counted."""

    items: int = 0
    accepted: int = 0
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    unpriced: int = 0
    seconds: float = 0.0

    @property
    def tokens_a_task(self) -> float | None:
        """Prompt and completion tokens of all items for each accepted task."""
        if not self.accepted:
            return None
        return (self.prompt_tokens + self.completion_tokens) / self.accepted

    @property
    def money_a_task(self) -> float | None:
        return self.money / self.accepted if self.accepted else None

    def add(self, made: Making, accepted: int) -> None:
        self.items += 1
        self.accepted += accepted
        self.completions += made.completions
        self.prompt_tokens += made.prompt_tokens
        self.completion_tokens += made.completion_tokens
        self.money = round(self.money + (made.cost or 0.0), 6)
        self.unpriced += made.cost is None
        self.seconds = round(self.seconds + made.seconds, 1)


@dataclass
class Costs:
    """Of a whole store, and by model ("MODEL at HOST"; "no family" for items that gave none)."""

    all: Sum = field(default_factory=Sum)
    by_model: dict[str, Sum] = field(default_factory=dict)


def costs(store: Path) -> Costs:
    """Sums over the items that a model made; others cost nothing and are not counted. DataError for
    a folder that is no store, or for a making.json that was spoilt."""
    if not (store / KEPT).is_dir():
        raise DataError(f"{store} is no store: name a folder that synth has made")
    found = Costs()
    for made, accepted in _items(store):
        name = f"{made.model} at {made.host}" if made.model else "no family"
        found.all.add(made, accepted)
        found.by_model.setdefault(name, Sum()).add(made, accepted)
    return found


def _items(store: Path) -> Iterator[tuple[Making, int]]:
    for folder in sorted((store / KEPT).iterdir()):
        if (folder / MAKING).is_file():
            yield _read(folder / MAKING), _tasks(folder)
    rejected = sorted((store / REJECTED).iterdir()) if (store / REJECTED).is_dir() else []
    for folder in rejected:
        if (store / KEPT / folder.name).is_dir():
            continue  # the other half, counted above
        if (folder / MAKING).is_file():
            yield _read(folder / MAKING), 0
            continue
        made = figures_of(str(read_gates(folder).get("reason") or ""))
        if made is not None:
            yield made, 0


def _tasks(folder: Path) -> int:
    found = (folder / "tasks").glob("*")
    return sum(path.is_dir() and bool(_NUMBER.fullmatch(path.name)) for path in found)


def _read(path: Path) -> Making:
    try:
        return Making.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise DataError(
            f"{path} cannot be read ({said}): remove it to leave it out of the sums"
        ) from None
