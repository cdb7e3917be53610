"""Two independent readings of a part's documents: by the facts' graph, and by a scan of the text.

The scan takes whatever a person might: a value anywhere in a line of the right kind, whole words,
any case. A question is kept only where both lead to the same single answer (V3.2 report, 3.2.3).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from functools import lru_cache

from speciale.synth.search.graph import Facts
from speciale.synth.search.plan import Condition, Hop
from speciale.synth.search.relations import Relation, Vocabulary

_COUNT = {"more": lambda one, other: one > other, "less": lambda one, other: one < other}


class ByFacts:
    """The graph's reading."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def everything(self) -> Sequence[str]:
        return self.facts.titles

    def holds(self, title: str, condition: Condition) -> bool:
        if condition.op in _COUNT:
            size = self.number(title, condition.relation)
            return size is not None and _COUNT[condition.op](size, int(condition.value))
        has = condition.value in self.facts.values(title, condition.relation)
        return has == (condition.op == "has")

    def reached(self, title: str, hop: Hop) -> Sequence[str]:
        if hop.how == "follow":
            return self.facts.linked(title, hop.relation)
        if hop.how == "back":
            return self.facts.linking(title, hop.relation)
        return self.facts.sharing(title, hop.relation)

    def number(self, title: str, relation: str) -> int | None:
        value = self.value(title, relation)
        numeric = self.facts.vocabulary.by_name[relation].number
        return int(value) if value is not None and numeric else None

    def value(self, title: str, relation: str) -> str | None:
        found = self.facts.values(title, relation)
        return found[0] if len(found) == 1 else None


class ByScan:
    """Looks through the text of every document, as the database has it."""

    def __init__(self, db: sqlite3.Connection, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        rows = db.execute("SELECT title, text FROM documents ORDER BY number")
        self.texts = {row["title"]: row["text"] for row in rows}
        self._blocks: dict[tuple[str, str], str] = {}
        self._folds: dict[tuple[str, str], str] = {}

    def everything(self) -> Sequence[str]:
        return tuple(self.texts)

    def holds(self, title: str, condition: Condition) -> bool:
        if condition.op in _COUNT:
            size = self.number(title, condition.relation)
            return size is not None and _COUNT[condition.op](size, int(condition.value))
        has = self._says(title, self.vocabulary.by_name[condition.relation], condition.value)
        return has == (condition.op == "has")

    def reached(self, title: str, hop: Hop) -> Sequence[str]:
        relation = self.vocabulary.by_name[hop.relation]
        if hop.how == "follow":
            return [other for other in self.texts if self._leads(title, relation, other)]
        if hop.how == "back":
            return [other for other in self.texts if self._leads(other, relation, title)]
        shared = relation.values(f"{title}\n{self.texts[title]}")
        return [
            other
            for other in self.texts
            if other != title and any(self._says(other, relation, value) for value in shared)
        ]

    def number(self, title: str, relation: str) -> int | None:
        about = self.vocabulary.by_name[relation]
        if not about.number:
            return None
        block = self.block(title, about)
        if about.counts and about.place == "head":
            inner = block.partition("(")[2].rpartition(")")[0]
            names = re.findall(r"(?:^|,)[\s*\[]*([A-Za-z_]\w*)", re.sub(r"=[^,]*", "", inner))
            return len(set(names)) or None
        if about.counts:
            heads = {line[len(about.label) :].strip() for line in block.split("\n")}
            return len(heads - {""}) or None
        found = re.search(r"\d+", block)
        return int(found[0]) if found else None

    def value(self, title: str, relation: str) -> str | None:
        """What the pattern reads, where the lines of this kind leave no other choice."""
        about = self.vocabulary.by_name[relation]
        found = about.values(f"{title}\n{self.texts[title]}")
        if about.counts:
            number = self.number(title, relation)
            return None if number is None else str(number)
        lines = [line for line in self.block(title, about).split("\n") if line.strip()]
        if not lines or (about.label.endswith(":") and not about.first and len(lines) > 1):
            return None
        seen = about.first or len(found) == 1
        return found[0] if found and seen and any(found[0] in line for line in lines) else None

    def block(self, title: str, relation: Relation) -> str:
        """The lines of a document that a relation's values stand in."""
        key = (title, relation.name)
        if key not in self._blocks:
            self._blocks[key] = _block(title, self.texts[title], relation)
        return self._blocks[key]

    def _says(self, title: str, relation: Relation, value: str) -> bool:
        block = self.block(title, relation)
        if value.casefold() not in self._folded(title, relation, block):
            return False
        return bool(_words(value + relation.after).search(block))

    def _folded(self, title: str, relation: Relation, block: str) -> str:
        key = (title, "" if block is self.texts[title] else relation.name)
        if key not in self._folds:
            self._folds[key] = block.casefold()
        return self._folds[key]

    def _leads(self, title: str, relation: Relation, other: str) -> bool:
        block = self.block(title, relation)
        if title == other or other + relation.after not in block:
            return False
        return bool(_words(other + relation.after, False).search(block))


@lru_cache(maxsize=5000)
def _words(value: str, any_case: bool = True) -> re.Pattern[str]:
    """A value that begins and ends where words do; - . + are parts of words."""
    edge = r"[\w+]"
    before = rf"(?<!{edge})(?<!{edge}[-.])" if re.match(r"\w", value) else ""
    after = r"(?![\w+]|[-.]\w)" if re.search(r"[\w+]$", value) else ""
    return re.compile(before + re.escape(value) + after, re.IGNORECASE if any_case else 0)


def _block(title: str, text: str, relation: Relation) -> str:
    if relation.place == "title":
        return title
    lines = text.split("\n")
    if relation.place == "head":
        return lines[0]
    if not relation.label:
        return text
    kept, inside = [], False
    for line in lines:
        if relation.label.endswith((":", "--")):
            begins = line.startswith(relation.label)
            inside = begins or (
                inside and line.startswith((" ", "\t")) and relation.label.endswith(":")
            )
        else:
            inside = relation.label in line
        if inside:
            kept.append(line)
    return "\n".join(kept)
