"""Gate 6: how hard a task is, measured from its solution's run, and that harder ones are harder.

The space is what a guesser would choose from: for each part of the answer, and each written value
that the prompt does not give, the number of values that tools showed in its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from speciale.synth.gates.gate import Gate
from speciale.synth.gates.shortcut import holds
from speciale.synth.gates.values import Seen, canonical, leaves, text_of
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.world import Run

LEAST_CALLS = 2
MOST_DIGITS = 6  # of a computed figure that count


def difficulty(prompt: str, run: Run) -> dict[str, Any]:
    """Calls, writes, different tools, and log10 of the space."""
    seen = Seen(run.calls)
    space = sum(_choices(leaf, seen) for _, leaf in leaves(run.answer))
    for call in run.calls:
        if call.wrote:
            for _, leaf in leaves(dict(call.arguments)):
                if not holds(prompt, text_of(leaf)):
                    space += _choices(leaf, seen)
    return {
        "calls": len(run.calls),
        "tools": len({call.name for call in run.calls}),
        "writes": sum(call.wrote for call in run.calls),
        "space_log10": round(space, 2),
    }


def _choices(leaf: Any, seen: Seen) -> float:
    """log10 of how many values the leaf could have."""
    if leaf is None:
        return 0.0
    if isinstance(leaf, bool):
        return math.log10(2)
    alike = seen.alike(leaf)
    if alike:
        return math.log10(max(2, len(alike)))
    if isinstance(leaf, int | float):
        digits = len(canonical(abs(leaf)).replace(".", "").lstrip("0"))
        return float(min(MOST_DIGITS, max(1, digits)))
    return 1.0  # a text that tools showed in another form


def gate_difficulty(family: Family, number: str, runs: Mapping[str, Run]) -> Gate:
    """Of a task whose solution ran, and of the easier one where that ran too."""
    about = family.tasks[number].about
    own = difficulty(about.prompt, runs[number])
    evidence: dict[str, Any] = dict(own)
    if own["calls"] < LEAST_CALLS:
        return Gate(6, False, evidence, f"{own['calls']} call solves it: at least {LEAST_CALLS}.")
    easier = about.harder_than
    if easier is None:
        return Gate(6, True, evidence)
    if easier not in family.tasks or easier == number:
        return Gate(
            6, False, evidence, f"There is no task {easier!r} that it could be harder than."
        )
    if family.tasks[easier].about.level >= about.level:
        return Gate(6, False, evidence, f"It is of level {about.level}, as is {easier} or above.")
    if easier in runs:
        base = difficulty(family.tasks[easier].about.prompt, runs[easier])
        evidence["easier"] = {"task": easier, **base}
        gains = [own[key] - base[key] for key in ("calls", "space_log10")]
        if min(gains) < 0 or max(gains) <= 0:
            why = (
                f"It is no harder than {easier}: {own['calls']} calls after {base['calls']}, "
                f"a space of 10^{own['space_log10']:g} after 10^{base['space_log10']:g}."
            )
            return Gate(6, False, evidence, why)
    return Gate(6, True, evidence)
