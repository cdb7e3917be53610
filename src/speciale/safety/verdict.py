"""What a check found: scores from the classifiers become a verdict in Azure OpenAI's shape.

Prompts report jailbreak and indirect_attack, completions protected material; the rest is common.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["prompt", "completion"]
Attacks = Literal["prompt", "document"] | None  # what a text is, and so which attacks it may hold

CATEGORIES = ("hate", "sexual", "violence", "self_harm")
SEVERITIES = ("safe", "low", "medium", "high")  # 0, 2, 4, 6
LEVELS = {"low": 2, "medium": 4, "high": 6, "off": 99}  # a threshold as a severity

Results = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Scores:
    """What classifiers found in one text. `severity`: category -> 0 safe, 2 low, 4 medium, 6 high;
    a service may know the odd ones between, too."""

    severity: dict[str, int]
    jailbreak: bool  # looked for in prompts only
    indirect_attack: bool  # looked for in documents only
    profanity: bool


@dataclass(slots=True)
class Verdict:
    """`entries` is the results by name. `error`: why a check did not take place, else None."""

    entries: Results = field(default_factory=dict)
    filtered: bool = False
    error: str | None = None

    def results(self) -> Results:
        """A copy in Azure OpenAI's shape: `content_filter_results` of a prompt or a choice."""
        return copy.deepcopy(self.entries)


def severity_entry(severity: int, threshold: str, annotate_only: bool) -> dict[str, Any]:
    """{"filtered", "severity"} of a severity of 0 to 7."""
    filtered = severity >= LEVELS[threshold] and not annotate_only
    return {"filtered": filtered, "severity": SEVERITIES[min(severity // 2, 3)]}


def detection_entry(detected: bool, mode: str, annotate_only: bool) -> dict[str, Any]:
    """{"filtered", "detected"} of something that is there or not."""
    return {"filtered": detected and mode == "on" and not annotate_only, "detected": detected}


def error_entry(message: str) -> dict[str, Any]:
    return {"code": "content_filter_error", "message": message}


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict over several texts: the worst of each entry, the first error."""
    verdicts = list(verdicts)
    return Verdict(
        merge_results(verdict.entries for verdict in verdicts),
        any(verdict.filtered for verdict in verdicts),
        next((verdict.error for verdict in verdicts if verdict.error), None),
    )


def merge_results(many: Iterable[Results]) -> Results:
    """The worst of each entry. The inputs stay as they are."""
    merged: Results = {}
    for results in many:
        for name, entry in results.items():
            merged[name] = _worse(merged[name], entry) if name in merged else copy.deepcopy(entry)
    return merged


def _worse(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    worse = {**b, **a}  # of a citation or an error, the first stays
    if "filtered" in a:
        worse["filtered"] = a["filtered"] or b["filtered"]
    if "detected" in a:
        worse["detected"] = a["detected"] or b["detected"]
    if "severity" in a:
        worse["severity"] = max(a["severity"], b["severity"], key=SEVERITIES.index)
    if "details" in a:
        by_id = {item["id"]: item for item in (*a["details"], *b["details"])}
        worse["details"] = [dict(item) for item in by_id.values()]
    return worse
