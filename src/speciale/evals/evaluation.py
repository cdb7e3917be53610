"""A suite put to a target: attempts, rows, a comparison with another target, budgets of thinking.

The folder of an evaluation keeps every attempt (attempts/SUITE.jsonl) and, for each suite, what was
found last (SUITE.json, and SUITE-budgets.json of budgets).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import speciale
from speciale.errors import ConfigError
from speciale.evals import statistics
from speciale.evals.attempts import Question, Record, Settings, attempts
from speciale.evals.budget import Thrifty
from speciale.evals.harnesses import HARNESSES
from speciale.evals.suites import SUITES, Suite
from speciale.evals.suites.suite import Choice
from speciale.evals.table import Prices, compared, rows_of
from speciale.evals.target import Target
from speciale.files import write_atomic
from speciale.train.machine import machine_facts
from speciale.train.progress import task


@dataclass
class Found:
    """What a suite found of a target; `records` by the budget of thinking (None: none was set)."""

    suite: str
    target: str
    digest: str
    seconds: float
    rows: list[dict]
    records: dict[int | None, list[Record]]
    settings: Settings


def suite_named(name: str) -> Suite:
    if name not in SUITES:
        there = (*SUITES.values(), *HARNESSES.values())
        known = "; ".join(f"{each.name} ({each.about})" for each in there)
        raise ConfigError(f"there is no suite {name!r}: give one of {known}")
    return SUITES[name]


async def evaluate(
    target: Target,
    suite: Suite,
    choice: Choice,
    settings: Settings,
    folder: Path,
    budgets: Sequence[int] = (),
    prices: Prices | None = None,
) -> Found:
    """Asks what was not asked before, and writes folder/SUITE.json, or with budgets
    folder/SUITE-budgets.json: the one stands beside the other."""
    questions = suite.questions(replace(choice, window=target.window, count=target.count))
    chance = chances(suite, questions)
    rows: list[dict] = []
    records: dict[int | None, list[Record]] = {}
    begun = time.perf_counter()
    for budget in budgets or (None,):
        asked = replace(settings, thinking_tokens=budget)
        total = len(questions) * settings.samples
        label = suite.name if budget is None else f"{suite.name}, {budget} tokens of thinking"
        with task(label, total) as progress:
            records[budget] = await attempts(
                _held(target, budget),
                suite.name,
                questions,
                asked,
                folder / "attempts" / f"{suite.name}.jsonl",
                progress.advance,
            )
        rows += [{**row, "budget": budget} for row in rows_of(records[budget], prices, chance)]
    found = Found(
        suite.name, target.name, target.digest, time.perf_counter() - begun, rows, records, settings
    )
    name = f"{suite.name}-budgets.json" if budgets else f"{suite.name}.json"
    write_atomic(folder / name, json.dumps(told(found, choice), indent=1) + "\n")
    return found


def chances(suite: Suite, questions: Sequence[Question]) -> Mapping[str, float]:
    """What guessing solves of each cell."""
    by_cell: dict[str, list[float]] = {}
    for question in questions:
        by_cell.setdefault(question.cell, []).append(suite.chance(question))
    return {cell: statistics.mean(values) for cell, values in by_cell.items()}


def _held(target: Target, budget: int | None) -> Target:
    if budget is None:
        return target
    if not hasattr(target.model, "sample"):
        raise ConfigError(
            f"{target.name} cannot be held to a budget of thinking, since it takes no token ids: "
            "leave --budgets out, or bound whole answers by --max-tokens"
        )
    return replace(target, model=Thrifty(target.model, budget))


def told(found: Found, choice: Choice) -> dict[str, Any]:
    """What is kept of it."""
    facts = machine_facts("")
    return {
        "suite": found.suite,
        "target": found.target,
        "digest": found.digest,
        "version": speciale.__version__,
        "machine": facts["machine"],
        "time": facts["started"],
        "seconds": found.seconds,
        "settings": asdict(found.settings),
        "cells": list(choice.cells),
        "tasks": choice.tasks,
        "rows": found.rows,
    }


def against(first: Found, second: Found) -> list[dict]:
    """The second target less the first, on the tasks that both were asked."""
    [one], [two] = first.records.values(), second.records.values()
    return compared(one, two)
