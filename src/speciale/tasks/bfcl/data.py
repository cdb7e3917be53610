"""BFCL's questions, answers and function documents, read as data out of the package bfcl-eval.

BFCL v4 (gorilla.cs.berkeley.edu/leaderboard, Apache-2.0) ships one file of JSON lines a category.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from speciale.errors import DataError

VERSION = "2026.3.23"
MEND = f"pip install --no-deps bfcl-eval=={VERSION}"

# The classes of the multi-turn categories, and the files that describe their functions.
CLASSES = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "TwitterAPI": "posting_api",
    "VehicleControlAPI": "vehicle_control",
}

Json = dict[str, Any]


@cache
def cases(category: str) -> tuple[Json, ...]:
    """The rows of a category, each with its `ground_truth` where there is one. Not to be changed.

    Raises DataError where bfcl-eval is missing or is one without this category.
    """
    questions = _rows(f"BFCL_v4_{category}.json")
    if category.endswith("relevance"):  # irrelevance too: what counts is whether there is a call
        return tuple(questions)
    answers = {row["id"]: row for row in _rows(f"possible_answer/BFCL_v4_{category}.json")}
    return tuple(row | {"ground_truth": answers[row["id"]]["ground_truth"]} for row in questions)


@cache
def documents(class_name: str) -> tuple[Json, ...]:
    """What the functions of a multi-turn class do and take, as BFCL writes it."""
    return tuple(_rows(f"multi_turn_func_doc/{CLASSES[class_name]}.json"))


def _rows(name: str) -> list[Json]:
    package = importlib.util.find_spec("bfcl_eval")  # finds it without importing it
    if package is None or not package.submodule_search_locations:
        raise DataError(f"BFCL's tasks need the package bfcl-eval: run `{MEND}`.")
    path = Path(package.submodule_search_locations[0]) / "data" / name
    try:
        return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): install the bfcl-eval that has it, `{MEND}`."
        ) from error
