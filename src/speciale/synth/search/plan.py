"""A question before it has words: how its first document is found, the hops, what is asked.

One evaluation serves every reading of the documents: the graph (graph.py) and the scan (scan.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Op = Literal["has", "not", "more", "less"]
How = Literal["find", "follow", "back", "same"]
Ask = Literal["value", "count", "total", "list"]


@dataclass(frozen=True)
class Condition:
    relation: str
    op: Op
    value: str  # a number's digits for "more" and "less"


@dataclass(frozen=True)
class Hop:
    """`find`: all documents; `follow` a link of the last one, `back`: those that link to it,
    `same`: others that share a value with it. Of these the conditions, or the most or least of a
    number, leave one."""

    how: How
    relation: str = ""
    conditions: tuple[Condition, ...] = ()
    best: tuple[str, Literal["most", "least"]] | None = None
    query: str = ""  # what is searched for, beside the last document's own words


@dataclass(frozen=True)
class Question:
    """`last`: the set that is counted, totalled or listed; `asked`: relations of the last document
    (value), or the number that is totalled."""

    hops: tuple[Hop, ...]
    ask: Ask
    asked: tuple[str, ...] = ()
    last: Hop | None = None

    @property
    def pattern(self) -> str:
        hops = [hop.how + ("-best" if hop.best else "") for hop in self.hops]
        return "-".join([*hops, self.ask, *([self.last.how] if self.last else [])])


class Reading(Protocol):
    """A way to read the documents."""

    def everything(self) -> Sequence[str]: ...

    def holds(self, title: str, condition: Condition) -> bool: ...

    def reached(self, title: str, hop: Hop) -> Sequence[str]:
        """The documents of a hop from this one, whatever its conditions."""
        ...

    def number(self, title: str, relation: str) -> int | None: ...

    def value(self, title: str, relation: str) -> str | None:
        """The one value there is."""
        ...


def chosen(reading: Reading, titles: Sequence[str], hop: Hop) -> list[str]:
    """Those of the documents that a hop's conditions leave, or its best."""
    left = [
        title
        for title in titles
        if all(reading.holds(title, condition) for condition in hop.conditions)
    ]
    if hop.best:
        relation, which = hop.best
        sizes = {title: reading.number(title, relation) for title in left}
        known = [size for size in sizes.values() if size is not None]
        if not known:
            return []
        edge = max(known) if which == "most" else min(known)
        left = [title for title in left if sizes[title] == edge]
    return left


def chosen_of_each(sources: Sequence[str], reading: Reading, hop: Hop) -> list[str]:
    """What a hop leaves, from each of these documents."""
    found: dict[str, None] = {}
    for source in sources:
        found |= dict.fromkeys(chosen(reading, reading.reached(source, hop), hop))
    return list(found)


def final(question: Question, reading: Reading, hops: int) -> list[str]:
    """Every document that the first so many hops can lead to."""
    first, *more = question.hops[:hops]
    at = chosen(reading, reading.everything(), first)
    for hop in more:
        at = chosen_of_each(at, reading, hop)
    return at


def answers(question: Question, reading: Reading, key: str) -> list[Any]:
    """Every right answer under a reading; a question is good where that is one."""
    titles = final(question, reading, len(question.hops))
    return distinct([answer_at(question, reading, key, title) for title in titles])


def distinct(found: Sequence[Any]) -> list[Any]:
    """Answers, each once; None is none."""
    return list({json.dumps(each, sort_keys=True): each for each in found if each}.values())


def answer_at(question: Question, reading: Reading, key: str, title: str) -> Any:
    """The answer if the hops have led to this document; None where it has none."""
    answer: dict[str, Any] = {key: title}
    if question.last is None:
        for relation in question.asked:
            value = reading.value(title, relation)
            number = reading.number(title, relation) if value is not None else None
            if value is None:
                return None
            answer[relation] = value if number is None else number
        return answer
    titles = chosen(reading, reading.reached(title, question.last), question.last)
    if not titles:
        return None
    if question.ask == "list":
        return {key: title, "names": sorted(titles)}
    answer["count"] = len(titles)
    if question.ask == "total":
        numbers = [reading.number(each, question.asked[0]) for each in titles]
        if any(number is None for number in numbers):
            return None
        answer[f"total_{question.asked[0]}"] = sum(number or 0 for number in numbers)
    return answer
