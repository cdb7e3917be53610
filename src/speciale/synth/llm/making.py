"""making.json: how a family was made and what it cost, beside its tasks.

It says nothing that a gate looks at. An item that gave no family has the same figures in its
reason, so that no money is lost from the account (V3.2 report, 3.2.3, with a model).
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from speciale.synth.llm.meter import Ledger

MAKING = "making.json"
_FIGURES = re.compile(
    r" \[(\d+) completions, (\d+) tokens in, (\d+) out, (\d+\.\d{6}|no) money, (\d+\.\d) s\]$"
)


class Making(BaseModel):
    """The sums of an item, and its steps in order as meter.Used has them. `cost` is in the currency
    of the prices, None where no prices were given; `seconds` with the judging of the gates."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    model: str = ""
    host: str = ""
    completions: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None
    seconds: float
    ended: str | None = None  # why it did not go on: the budget, the server
    steps: list[dict[str, Any]] = []


def making(ledger: Ledger, url: str, model: str, ended: str | None) -> Making:
    """The account as it stands."""
    ledger.close()
    allowance = ledger.allowance
    return Making(
        model=model,
        host=host_of(url),
        completions=ledger.total("completions"),
        prompt_tokens=ledger.total("prompt_tokens"),
        completion_tokens=ledger.total("completion_tokens"),
        cost=round(ledger.money, 6) if allowance.price_in or allowance.price_out else None,
        seconds=round(sum(step.seconds for step in ledger.steps), 1),
        ended=ended,
        steps=[vars(step) for step in ledger.steps[1:]],
    )


def with_figures(reason: str, made: Making) -> str:
    """A reason that ends with what the item cost."""
    cost = "no" if made.cost is None else f"{made.cost:.6f}"
    return (
        f"{reason} [{made.completions} completions, {made.prompt_tokens} tokens in, "
        f"{made.completion_tokens} out, {cost} money, {made.seconds:.1f} s]"
    )


def figures_of(reason: str) -> Making | None:
    """What with_figures wrote, without steps; None where it wrote nothing."""
    found = _FIGURES.search(reason)
    if found is None:
        return None
    completions, prompt, completion, cost, seconds = found.groups()
    return Making(
        completions=int(completions),
        prompt_tokens=int(prompt),
        completion_tokens=int(completion),
        cost=None if cost == "no" else float(cost),
        seconds=float(seconds),
    )


def host_of(url: str) -> str:
    """Host and port of an address, without any credentials."""
    return urlsplit(url).netloc.rpartition("@")[2]
