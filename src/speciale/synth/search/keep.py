"""The keep rule: the ground truth is right, and every other candidate is verifiably wrong.

Passes over a question (V3.2 report, 3.2.3): the facts' graph, a scan of every document's text, a
walk through the tools, single searches with the prompt's own words, and the blind answerers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from speciale.synth.gates.shortcut import single_calls
from speciale.synth.search.answerers import BLIND, Answerer, Tools
from speciale.synth.search.plan import (
    Hop,
    Question,
    answer_at,
    answers,
    chosen_of_each,
    distinct,
    final,
)
from speciale.synth.search.readings import ByFacts, ByScan
from speciale.synth.search.relations import Vocabulary
from speciale.tasks.synthesised.world import Call

CALLS = (4, 120)  # of a walk through the tools


@dataclass(frozen=True)
class Kept:
    """`reason`: why it was not kept. `evidence`: what every pass and candidate came to."""

    answer: Any
    reason: str | None
    evidence: dict[str, Any] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)  # of a walk through the tools


def examined(
    question: Question, facts: ByFacts, scan: ByScan, tools: Tools, vocabulary: Vocabulary
) -> Kept:
    """Everything but what needs the prompt's words."""
    key = vocabulary.key
    right = answers(question, facts, key)
    if len(right) != 1:
        return Kept(None, "the graph gives no single answer")
    truth = right[0]
    way = Way(question, scan, key)
    if way.answers != [truth]:
        return Kept(truth, "a scan of the text gives another answer, or several")
    walk = tools.fresh()
    walked = Answerer(walk, vocabulary).answer(question)
    if walked != truth:
        return Kept(truth, "a walk through the tools gives another answer")
    if not CALLS[0] <= len(walk.calls) <= CALLS[1]:
        return Kept(truth, f"a walk takes fewer than {CALLS[0]} or more than {CALLS[1]} calls")
    candidates = []
    for blind in BLIND:
        answer = blind(tools.fresh(), vocabulary).answer(question)
        verdict = way.verdict(answer, truth)
        if verdict.startswith("also right"):
            return Kept(truth, "another candidate is right too")
        candidates.append({"answerer": blind.name, "answer": answer, "verdict": verdict})
    right_ones = sum(each["verdict"] == "right" for each in candidates)
    if right_ones == len(candidates):
        return Kept(truth, "every answerer is right: too easy")
    evidence = {
        "passes": {"graph": "agrees", "scan": "agrees", "tools": "agrees"},
        "walk_calls": len(walk.calls),
        "candidates": candidates,
        "right": right_ones,
    }
    return Kept(truth, None, evidence, walk.calls)


class Way:
    """The hops of a question under the scan: what is reached before the last one and after it."""

    def __init__(self, question: Question, scan: ByScan, key: str) -> None:
        self.question, self.scan, self.key = question, scan, key
        self.before = final(question, scan, len(question.hops) - 1)
        self.pool = [each for start in self.before for each in scan.reached(start, self.hop)]
        self.reached = chosen_of_each(self.before, scan, self.hop)
        found = [answer_at(question, scan, key, title) for title in self.reached]
        self.answers = distinct(found)

    @property
    def hop(self) -> Hop:
        return self.question.hops[-1]

    def verdict(self, answer: Any, truth: Any) -> str:
        """ "right", "also right", "none: ", or "wrong: " with what it fails."""
        if answer is None:
            return "none: it came to no answer"
        if answer == truth:
            return "right"
        title = answer.get(self.key)
        if title not in self.scan.texts:
            return f"wrong: there is no document {title!r}"
        if title not in self.reached:
            return f"wrong: {self._failed(title)}"
        there = answer_at(self.question, self.scan, self.key, title)
        if there == answer:
            return "also right"
        other = [name for name in answer if there is None or answer[name] != there.get(name)]
        return f"wrong: {title} has another {', '.join(other)}"

    def _failed(self, title: str) -> str:
        if title not in self.pool:
            return f"{title} is not reached by the last hop"
        for condition in self.hop.conditions:
            if not self.scan.holds(title, condition):
                return f"{title} fails: {condition.relation} {condition.op} {condition.value}"
        return f"{title} does not have the {self.hop.best[1] if self.hop.best else 'values'}"


def shortcut(
    prompt: str, answer: Any, walk: list[Call], tools: Tools, schemas: Sequence[Mapping[str, Any]]
) -> str | None:
    """A single call with the prompt's own words whose text shows every part of the answer, or
    the prompt itself if it does; None where there is none. Sentences and their parts are tried
    beside the calls of gate 5."""
    leaves = [str(leaf).casefold() for leaf in _leaves(answer)]
    if _shows(prompt, leaves):
        return "the prompt"
    calls = single_calls(prompt, schemas, walk)
    calls += [("search", {"query": query}) for query in _queries(prompt)]
    tried: set[str] = set()
    for name, arguments in calls:
        mark = f"{name} {arguments}"
        if mark in tried:
            continue
        tried.add(mark)
        try:
            given = getattr(tools, name)(**arguments)
        except ValueError:
            continue
        if _shows(json.dumps(given, ensure_ascii=False), leaves):
            return mark
    return None


def _shows(text: str, leaves: list[str]) -> bool:
    text = text.casefold()
    return all(leaf in text for leaf in leaves)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    else:
        yield value


def _queries(prompt: str) -> Iterator[str]:
    for sentence in re.split(r"(?<=[.?!:;])\s+", prompt):
        yield sentence
        yield from re.split(r", | and | that ", sentence)
