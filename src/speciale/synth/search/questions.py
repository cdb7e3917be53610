"""Writes questions: walks in the facts' graph, with conditions that leave one document at each hop.

Depth is the number of hops, breadth that of the conditions on the first document (V3.2 report,
3.2.3: depth and breadth are configurable). Uniqueness is over the whole part of the corpus.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from random import Random

from speciale.synth.search.graph import Facts
from speciale.synth.search.plan import Condition, Hop, Question, chosen
from speciale.synth.search.readings import ByFacts
from speciale.synth.search.tools_file import _parts

MOST_HITS = 24  # documents that a search of a solution may find
MOST_LINKS = 8  # that are followed from one document
MOST_LONG = 60  # characters of a value that a question names
TRIES = 12  # for conditions on one document
LEAST_SAID = 3  # relations of a document that a question may begin with


@dataclass(frozen=True)
class Shape:
    """What a level asks for."""

    depth: int  # hops after the first document
    breadth: int  # conditions on the first document
    hard: bool = True  # denials, comparisons and superlatives


SHAPES = {1: Shape(1, 2, False), 2: Shape(2, 2), 3: Shape(3, 3), 4: Shape(4, 3)}


class Writer:
    """Of questions about one part of a corpus. `db`: to see how many documents a search finds."""

    def __init__(self, facts: Facts, db: sqlite3.Connection, rng: Random) -> None:
        self.facts, self.db, self.rng = facts, db, rng
        self.reading = ByFacts(facts)
        self.vocabulary = facts.vocabulary
        self._hits: dict[str, int] = {}
        self.starts = [title for title in facts.titles if self._is_rare(title)]

    def question(self, shape: Shape) -> Question | None:
        """A new question; None where this attempt led nowhere."""
        if not self.starts:
            return None
        title = self.rng.choice(self.starts)
        first = self._find(title, shape)
        if first is None:
            return None
        hops, chain = [first], [title]
        for _ in range(shape.depth):
            hop = self._hop(chain, shape)
            if hop is None:
                return None
            hops.append(hop)
        return self._asking(tuple(hops), chain, shape)

    def deeper(self, question: Question, shape: Shape) -> Question | None:
        """The same question with one more hop."""
        chain = self._chain(question)
        hop = self._hop(chain, shape) if chain else None
        if hop is None:
            return None
        return self._asking((*question.hops, hop), chain, shape)

    def _chain(self, question: Question) -> list[str]:
        chain: list[str] = []
        for hop in question.hops:
            pool = self.reading.reached(chain[-1], hop) if chain else self.facts.titles
            found = chosen(self.reading, pool, hop)
            if len(found) != 1:
                return []
            chain.append(found[0])
        return chain

    # --- the first document -----------------------------------------------------------------------

    def _is_rare(self, title: str) -> bool:
        """In the long tail: with a value that few others have, and enough to say about it."""
        facts = self.facts.by_title[title]
        rare = any(
            2 <= len(self.facts.holding(name, value)) <= MOST_HITS
            for name, values in facts.items()
            if self.vocabulary.by_name[name].says
            for value in values[:20]
        )
        return rare and len(facts) >= LEAST_SAID

    def _find(self, title: str, shape: Shape) -> Hop | None:
        for _ in range(TRIES):
            conditions = self._pinned(self.facts.titles, title, shape.breadth, shape.hard)
            if conditions is None:
                continue
            query = self._query("", conditions, least=2)
            if query is not None:
                return Hop("find", conditions=conditions, query=query)
        return None

    # --- hops -------------------------------------------------------------------------------------

    def _ways(self, title: str) -> list[Hop]:
        ways = []
        for relation in self.vocabulary.relations:
            if relation.among:
                ways += [Hop("follow", relation.name), Hop("back", relation.name)]
            if relation.shared:
                ways.append(Hop("same", relation.name))
        return ways

    def _hop(self, chain: list[str], shape: Shape) -> Hop | None:
        """A hop to a document that was not met before, which is added to the chain."""
        ways = self._ways(chain[-1])
        self.rng.shuffle(ways)
        for way in ways:
            pool = self.reading.reached(chain[-1], way)
            fresh = [title for title in pool if title not in chain]
            if not fresh or not self._fits(chain[-1], way, pool):
                continue
            for _ in range(3):
                target = self.rng.choice(fresh)
                hop = self._narrowed(chain[-1], way, pool, target, shape)
                if hop is not None:
                    chain.append(target)
                    return hop
        return None

    def _fits(self, title: str, way: Hop, pool: Sequence[str]) -> bool:
        values = self.facts.values(title, way.relation)
        if way.how == "follow":
            return 1 <= len(pool) <= MOST_LINKS and len(values) <= 2 * MOST_LINKS
        if way.how == "back":
            return _can_be_said(title) and len(pool) <= 4 * MOST_HITS
        return len(values) <= 3 and all(map(_can_be_said, values)) and len(pool) <= 4 * MOST_HITS

    def _narrowed(
        self, title: str, way: Hop, pool: Sequence[str], target: str, shape: Shape
    ) -> Hop | None:
        """The way with conditions that leave the target alone, and a search that finds it."""
        hop: Hop | None = None
        if shape.hard and len(pool) > 2 and self.rng.random() < 0.3:
            hop = self._superlative(way, pool, target)
        if hop is None and (len(pool) > 1 or self.rng.random() < 0.5):
            least = 1 if len(pool) > 1 else 0
            conditions = self._pinned(pool, target, least, shape.hard)
            hop = replace(way, conditions=conditions) if conditions is not None else None
            if hop and conditions and self._skips(conditions):
                return None
        elif hop is None:
            hop = way
        if hop is None or way.how == "follow":
            return hop
        return self._searched(title, hop)

    def _skips(self, conditions: tuple[Condition, ...]) -> bool:
        """Whether the conditions alone name one document: then nobody needs to hop to it."""
        first, *more = sorted(conditions, key=lambda each: each.op != "has")
        pool: Sequence[str] = self.facts.titles
        if first.op == "has":
            pool = self.facts.holding(first.relation, first.value)
        left = (title for title in pool if all(self.reading.holds(title, each) for each in more))
        return len(list(islice(left, 2))) < 2

    def _searched(self, title: str, hop: Hop) -> Hop | None:
        values = [title] if hop.how == "back" else list(self.facts.values(title, hop.relation))
        if hop.how == "same" and self.vocabulary.by_name[hop.relation].in_title:
            hits = sum(self.hits(f'"{value}"', True) for value in values)
            return hop if hits <= MOST_HITS else None
        query = self._query(values, () if hop.best else hop.conditions, least=1)
        return None if query is None else replace(hop, query=query)

    def _superlative(self, way: Hop, pool: Sequence[str], target: str) -> Hop | None:
        sized = [relation for relation in self.vocabulary.relations if relation.most]
        self.rng.shuffle(sized)
        for relation in sized:
            for which in ("most", "least"):
                hop = replace(way, best=(relation.name, which))
                sizes = [self.reading.number(title, relation.name) for title in pool]
                if chosen(self.reading, pool, hop) == [target] and None not in sizes:
                    return hop
        return None

    # --- conditions -------------------------------------------------------------------------------

    def _pinned(
        self, pool: Sequence[str], target: str, least: int, hard: bool
    ) -> tuple[Condition, ...] | None:
        """Conditions, so many at least, that of the pool only the target meets. hard: with denials
        and comparisons."""
        options = self._options(target)
        kept: list[Condition] = []
        left = list(pool)
        while options and len(kept) < least + 2 and (len(left) > 1 or len(kept) < least):
            if hard and kept and 1 < len(left) <= 10 and self.rng.random() < 0.7:
                option = self._against(left, target)
                after = self._meeting(left, option) if option else left
            else:
                tried = self.rng.sample(options, min(3, len(options)))
                option, after = min(
                    ((each, self._meeting(left, each)) for each in tried),
                    key=lambda pair: len(pair[1]),
                )
                options = [each for each in options if each != option]
            if option and option not in kept and (len(after) < len(left) or len(left) == 1):
                kept.append(option)
                left = after
            elif option is None or len(left) > 1:
                hard = False  # what is left does not differ in that way
        if len(left) > 1 and hard and (last := self._against(left, target)):
            kept.append(last)
            left = [title for title in left if self.reading.holds(title, last)]
        if left != [target] or len(kept) < least:
            return None
        for option in list(kept):  # what says nothing new is left out
            rest = [each for each in kept if each != option]
            if len(rest) >= max(least, 1) and chosen(
                self.reading, pool, Hop("find", "", tuple(rest))
            ) == [target]:
                kept = rest
        return tuple(kept)

    def _meeting(self, left: list[str], option: Condition) -> list[str]:
        if len(left) == len(self.facts.titles) and option.op == "has":
            return list(self.facts.holding(option.relation, option.value))
        return [title for title in left if self.reading.holds(title, option)]

    def _options(self, target: str) -> list[Condition]:
        """What can be said of a document without naming it: others have these values too."""
        options = []
        for relation in self.vocabulary.relations:
            if not relation.says or relation.number:
                continue
            values = [v for v in self.facts.values(target, relation.name) if _can_be_said(v)]
            for value in self.rng.sample(values, min(4, len(values))):
                names = value in target or target in value
                if len(self.facts.holding(relation.name, value)) >= 2 and not names:
                    options.append(Condition(relation.name, "has", value))
        return options

    def _against(self, left: Sequence[str], target: str) -> Condition | None:
        """A denial or a comparison that the target meets and some others do not."""
        others = [title for title in left if title != target]
        options = []
        for relation in self.vocabulary.relations:
            if relation.above:
                mine = self.reading.number(target, relation.name)
                sizes = [self.reading.number(title, relation.name) for title in others]
                options += _thresholds(relation.name, mine, sizes)
            elif relation.denies:
                own = self.facts.values(target, relation.name)
                for other in others[:6]:
                    options += [
                        Condition(relation.name, "not", value)
                        for value in self.facts.values(other, relation.name)[:5]
                        if value not in own and _can_be_said(value)
                    ]
        return self.rng.choice(options) if options else None

    # --- searches ---------------------------------------------------------------------------------

    def _query(
        self, base: str | list[str], conditions: Sequence[Condition], least: int
    ) -> str | None:
        """Words of the conditions to search for, so that few documents come; "" where the base
        alone will do; None where nothing does. A base may be several values: each is searched."""
        bases = [f'"{value}"' for value in base] if isinstance(base, list) else [base]
        values = [f'"{each.value}"' for each in conditions if each.op == "has"]
        extras = [*values, *(f"{a} {b}" for a in values for b in values if a < b)]
        if isinstance(base, list):
            extras.insert(0, "")
        good = []
        for extra in extras:
            hits = sum(self.hits(f"{each} {extra}".strip()) for each in bases)
            if least <= hits <= MOST_HITS:
                good.append((extra.count('" "'), -hits, extra))
        return min(good)[2] if good else None

    def hits(self, query: str, titles_only: bool = False) -> int:
        """How many documents have all of the query's phrases."""
        match = f"{'{title} : ' if titles_only else ''}({' AND '.join(_parts(query))})"
        if match not in self._hits:
            (count,) = self.db.execute(
                "SELECT count(*) FROM words WHERE words MATCH ?", (match,)
            ).fetchone()
            self._hits[match] = count
        return self._hits[match]

    # --- what is asked ----------------------------------------------------------------------------

    def _asking(self, hops: tuple[Hop, ...], chain: list[str], shape: Shape) -> Question | None:
        title = chain[-1]
        said = {each.relation for each in hops[-1].conditions} | {hops[-1].relation}
        if hops[-1].best:
            said.add(hops[-1].best[0])
        if self.rng.random() < 0.35:
            ways = self._ways(title)
            self.rng.shuffle(ways)
            for way in ways:
                if question := self._set(hops, title, way):
                    return question
        asked = [
            relation.name
            for relation in self.vocabulary.relations
            if relation.asks
            and relation.name not in said
            and (value := self.reading.value(title, relation.name)) is not None
            and len(value) <= 150
            and "\n" not in value
        ]
        if not asked:
            return None
        count = min(len(asked), self.rng.choice((1, 1, 2) if shape.depth < 3 else (1, 2, 2)))
        picked = self.rng.sample(asked, count)
        return Question(hops, "value", tuple(each for each in asked if each in picked))

    def _set(self, hops: tuple[Hop, ...], title: str, way: Hop) -> Question | None:
        pool = self.reading.reached(title, way)
        if len(pool) < 2 or not self._fits(title, way, pool):
            return None
        last = way if way.how == "follow" else self._searched(title, way)
        if last is None:
            return None
        if len(pool) <= 6 and self.rng.random() < 0.5:
            return Question(hops, "list", (), last)
        sums = [relation for relation in self.vocabulary.relations if relation.total]
        for relation in self.rng.sample(sums, len(sums)):
            if all(self.reading.number(each, relation.name) is not None for each in pool):
                return Question(hops, "total", (relation.name,), last)
        return Question(hops, "count", (), last)


def _thresholds(relation: str, mine: int | None, sizes: Sequence[int | None]) -> list[Condition]:
    """A number between this one and the next one above or below, where all others lie there."""
    if mine is None or not sizes or None in sizes:
        return []
    known = [size for size in sizes if size is not None]
    options = []
    if max(known) < mine:
        options.append(Condition(relation, "more", str(_between(max(known), mine - 1))))
    if min(known) > mine:
        options.append(Condition(relation, "less", str(_between(mine + 1, min(known)))))
    return options


def _between(low: int, high: int) -> int:
    """The roundest number from low to high."""
    for step in (10**power for power in range(12, -1, -1)):
        if (rounded := -(-low // step) * step) <= high:
            return rounded
    return low


@lru_cache(maxsize=50_000)
def _can_be_said(value: str) -> bool:
    return (
        len(value) <= MOST_LONG
        and len(re.findall(r"\w", value)) >= 2
        and not re.search(r'["\n\\{}<>]|__', value)  # gate 2 forbids hidden names in code
        and bool(_parts(value))
    )
