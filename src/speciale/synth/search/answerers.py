"""Answerers: each follows a question through the tools alone, and all but one have a blind spot.

Their answers are candidates beside the truth: the keep rule (keep.py; V3.2 report, 3.2.3) wants
every other one to be verifiably wrong.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from speciale.synth.search import steps_file, tools_file
from speciale.synth.search.plan import Condition, Hop, Question
from speciale.synth.search.relations import Vocabulary
from speciale.tasks.synthesised.world import Call

Found = dict[str, str]  # title -> title and text


class Tools:
    """The tools over a database, and the calls that were made."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._given: dict[str, Any] = {}
        self.calls: list[Call] = []

    def fresh(self) -> Tools:
        """For somebody else; what was asked before is not looked up again."""
        tools = Tools(self._db)
        tools._given = self._given
        return tools

    def search(self, **arguments: Any) -> dict[str, Any]:
        return self._call(tools_file.search, arguments)

    def open_document(self, **arguments: Any) -> dict[str, Any]:
        return self._call(tools_file.open_document, arguments)

    def find_in_document(self, **arguments: Any) -> dict[str, Any]:
        return self._call(tools_file.find_in_document, arguments)

    def _call(self, tool: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> Any:
        mark = f"{tool.__name__} {sorted(arguments.items())}"
        if mark not in self._given:
            self._given[mark] = tool(self._db, **arguments)
        self.calls.append(Call(tool.__name__, arguments, self._given[mark]))
        return self._given[mark]


class Lost(Exception):
    """An answerer has come to no document."""


class Answerer:
    """Reads everything and checks everything."""

    name = "careful"

    def __init__(self, tools: Tools, vocabulary: Vocabulary) -> None:
        self.tools, self.vocabulary = tools, vocabulary

    def answer(self, question: Question) -> Any:
        """None where it has none."""
        try:
            return self._answer(self.seen(question))
        except (Lost, ValueError):
            return None

    def _answer(self, question: Question) -> Any:
        title, document, found = "", "", {}
        for hop in question.hops:
            found = self.reached(title, document, hop)
            title = self.one(self.left(found, hop))
            document = found[title]
        answer: dict[str, Any] = {self.vocabulary.key: title}
        if question.last is None:
            for name in question.asked:
                answer[name] = self.value(name, document, found)
            return answer
        last = self.left(self.reached(title, document, question.last), question.last)
        if not last:
            raise Lost
        if question.ask == "list":
            return {**answer, "names": sorted(last)}
        answer["count"] = len(last)
        if question.ask == "total":
            field = self.vocabulary.by_name[question.asked[0]].field
            sizes = [steps_file.number(field, each) for each in last.values()]
            answer[f"total_{question.asked[0]}"] = sum(size or 0 for size in sizes)
        return answer

    # What the others do in their own way:

    def seen(self, question: Question) -> Question:
        """The question as it is understood."""
        return question

    def candidates(self, query: str, titles_only: bool = False) -> Found:
        return steps_file.candidates(self.tools, query, titles_only)

    def one(self, found: Found) -> str:
        return steps_file.only(found)

    def value(self, name: str, document: str, beside: Mapping[str, str]) -> Any:
        relation = self.vocabulary.by_name[name]
        values = steps_file.values(relation.field, document)
        if not values:
            raise Lost
        return int(values[0]) if relation.number else values[0]

    # What all do:

    def reached(self, title: str, document: str, hop: Hop) -> Found:
        if hop.how == "find":
            return self.candidates(hop.query)
        relation = self.vocabulary.by_name[hop.relation]
        field = relation.field
        if hop.how == "follow":
            names = [name for name in steps_file.values(field, document) if name != title]
            return steps_file.named(self.tools, names)
        if hop.how == "back":
            found = self.candidates(f'"{title}" {hop.query}'.strip())
            return {
                other: text
                for other, text in found.items()
                if other != title and title in steps_file.values(field, text)
            }
        shared = steps_file.values(field, document)
        found = {}
        for value in shared:
            found |= self.candidates(f'"{value}" {hop.query}'.strip(), relation.in_title)
        return {
            other: text
            for other, text in found.items()
            if other != title and set(shared) & set(steps_file.values(field, text))
        }

    def left(self, found: Found, hop: Hop) -> Found:
        for condition in hop.conditions:
            found = {title: text for title, text in found.items() if self.meets(text, condition)}
        if hop.best and found:
            relation, which = hop.best
            field = self.vocabulary.by_name[relation].field
            found = steps_file.edge(field, found, which == "most")
        return found

    def meets(self, document: str, condition: Condition) -> bool:
        field = self.vocabulary.by_name[condition.relation].field
        if condition.op in ("has", "not"):
            has = condition.value in steps_file.values(field, document)
            return has == (condition.op == "has")
        size = steps_file.number(field, document)
        if size is None:
            return False
        value = int(condition.value)
        return size > value if condition.op == "more" else size < value


def _first(found: Found) -> str:
    if not found:
        raise Lost
    return next(iter(found))


class TopHit(Answerer):
    """Believes the first result of every search."""

    name = "top-hit"

    def candidates(self, query: str, titles_only: bool = False) -> Found:
        top = self.tools.search(query=query, titles_only=titles_only)["results"][:2]
        return {each["title"]: steps_file.read(self.tools, each["id"]) for each in top}

    def left(self, found: Found, hop: Hop) -> Found:
        return found

    def one(self, found: Found) -> str:
        return _first(found)


class NoDenials(Answerer):
    """Overlooks "not", comparisons and superlatives."""

    name = "no-denials"

    def seen(self, question: Question) -> Question:
        hops = (
            replace(
                hop,
                best=None,
                conditions=tuple(each for each in hop.conditions if each.op == "has"),
            )
            for hop in question.hops
        )
        return replace(question, hops=tuple(hops))

    def one(self, found: Found) -> str:
        return _first(found)


class FirstCondition(Answerer):
    """Checks the first condition of each hop and takes the first document that meets it."""

    name = "first-condition"

    def seen(self, question: Question) -> Question:
        hops = (replace(hop, best=None, conditions=hop.conditions[:1]) for hop in question.hops)
        return replace(question, hops=tuple(hops))

    def one(self, found: Found) -> str:
        return _first(found)


class OneHopEarly(Answerer):
    """Stops a hop before the end."""

    name = "one-hop-early"

    def seen(self, question: Question) -> Question:
        return replace(question, hops=question.hops[:-1])


class MostFrequent(Answerer):
    """Gives the most frequent value of the documents that it saw last, and reads one page only."""

    name = "most-frequent"

    def value(self, name: str, document: str, beside: Mapping[str, str]) -> Any:
        relation = self.vocabulary.by_name[name]
        votes = Counter(
            value for text in beside.values() for value in steps_file.values(relation.field, text)
        )
        if not votes:
            raise Lost
        value = min(votes, key=lambda each: (-votes[each], each))
        return int(value) if relation.number else value

    def candidates(self, query: str, titles_only: bool = False) -> Found:
        found = self.tools.search(query=query, titles_only=titles_only)["results"]
        return {each["title"]: steps_file.read(self.tools, each["id"]) for each in found}


class FirstPages(Answerer):
    """Reads five results of each search, and the first page of each document."""

    name = "first-pages"

    def candidates(self, query: str, titles_only: bool = False) -> Found:
        found = {}
        for each in self.tools.search(query=query, titles_only=titles_only)["results"][:5]:
            page = self.tools.open_document(document_id=each["id"])
            found[page["title"]] = f"{page['title']}\n{page['text']}"
        return found

    def one(self, found: Found) -> str:
        return _first(found)


BLIND: tuple[type[Answerer], ...] = (
    TopHit, NoDenials, FirstCondition, OneHopEarly, MostFrequent, FirstPages,
)  # fmt: skip
