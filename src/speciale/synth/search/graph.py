"""The facts of a part of a corpus as a graph, and how such a part is cut out around rare values.

Long-tail entities (V3.2 report, 3.2.3): the part is grown from values that few documents share,
along the links of those documents; distractors fill it up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from random import Random

from speciale.synth.search.corpora import Corpus, Document
from speciale.synth.search.relations import Relation, Vocabulary

DOCUMENTS = 1_000  # of a part
CHARACTERS = 2_500_000
SEEDS = 30  # rare values that it grows from
RARE = (3, 14)  # documents that such a value names
NEIGHBOURS = 6  # links of a document that are followed
DISTRACTORS = 0.4  # share of a part that is drawn blindly


@dataclass(frozen=True)
class Facts:
    """What the documents of a part say: title -> relation -> values."""

    vocabulary: Vocabulary
    documents: tuple[Document, ...]

    @cached_property
    def by_title(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        return {
            document.title: {
                relation.name: values
                for relation in self.vocabulary.relations
                if (values := relation.values(document.whole))
            }
            for document in self.documents
        }

    @cached_property
    def titles(self) -> tuple[str, ...]:
        return tuple(self.by_title)

    @cached_property
    def order(self) -> Mapping[str, int]:
        return {title: place for place, title in enumerate(self.titles)}

    @cached_property
    def holders(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """relation -> value -> the titles that have it, in order."""
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for title, facts in self.by_title.items():
            for relation, values in facts.items():
                for value in values:
                    found[relation][value].append(title)
        return {
            relation: {value: tuple(titles) for value, titles in values.items()}
            for relation, values in found.items()
        }

    def values(self, title: str, relation: str) -> tuple[str, ...]:
        return self.by_title[title].get(relation, ())

    def holding(self, relation: str, value: str) -> tuple[str, ...]:
        return self.holders.get(relation, {}).get(value, ())

    def linked(self, title: str, relation: str) -> list[str]:
        """Documents of the part that this one links to, itself left out."""
        values = self.values(title, relation)
        return [value for value in values if value in self.order and value != title]

    def linking(self, title: str, relation: str) -> list[str]:
        return [other for other in self.holding(relation, title) if other != title]

    def sharing(self, title: str, relation: str) -> list[str]:
        """Other documents that have a value in common with this one."""
        found = {
            other
            for value in self.values(title, relation)
            for other in self.holding(relation, value)
        }
        return sorted(found - {title}, key=self.order.__getitem__)


@lru_cache(maxsize=3)
def rare_values(corpus: Corpus) -> tuple[tuple[tuple[str, str], tuple[int, ...]], ...]:
    """((relation, value), numbers of documents) of a corpus's long tail."""
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    rare = [relation for relation in corpus.vocabulary.relations if relation.rare]
    for number, document in enumerate(corpus.documents):
        for relation in rare:
            for value in relation.values(document.whole):
                holders[relation.name, value].append(number)
    return tuple(
        (key, tuple(numbers))
        for key, numbers in sorted(holders.items())
        if RARE[0] <= len(numbers) <= RARE[1]
    )


@lru_cache(maxsize=3)
def _numbers(corpus: Corpus) -> Mapping[str, int]:
    return {document.title: number for number, document in enumerate(corpus.documents)}


@lru_cache(maxsize=6)
def _kin(corpus: Corpus, relation: Relation) -> Mapping[str, list[int]]:
    """The documents that have each value."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, document in enumerate(corpus.documents):
        for value in relation.values(document.whole):
            found[value].append(number)
    return found


def part_of(corpus: Corpus, rng: Random, size: int = DOCUMENTS) -> Facts:
    """A part of a corpus, in the order of titles; all of it where it is small."""
    documents, room = corpus.documents, CHARACTERS
    if len(documents) <= size and sum(len(each.text) for each in documents) <= room:
        return Facts(corpus.vocabulary, documents)
    rare, numbers = rare_values(corpus), _numbers(corpus)
    links = [relation for relation in corpus.vocabulary.relations if relation.among]
    kin = [relation for relation in corpus.vocabulary.relations if relation.kin]
    taken: dict[int, None] = {}

    def take(number: int) -> None:
        nonlocal room
        if number not in taken and len(taken) < size and len(documents[number].text) < room:
            taken[number] = None
            room -= len(documents[number].text)

    queue: list[int] = []
    for _, holders in rng.sample(rare, min(SEEDS, len(rare))):
        queue += holders
    grown = int(size * (1 - DISTRACTORS))
    place, met = 0, set()
    while place < len(queue) and len(taken) < grown:
        number = queue[place]
        place += 1
        if number in met:
            continue
        met.add(number)
        take(number)
        near = [
            numbers[value]
            for relation in links
            for value in relation.values(documents[number].whole)
            if value in numbers
        ]
        near += [
            other
            for relation in kin
            for value in relation.values(documents[number].whole)
            for other in _kin(corpus, relation)[value]
        ]
        queue += rng.sample(near, min(NEIGHBOURS, len(near)))
    for number in _blind(len(documents), size, rng):
        take(number)
    return Facts(corpus.vocabulary, tuple(documents[number] for number in sorted(taken)))


def _blind(count: int, size: int, rng: Random) -> Sequence[int]:
    return rng.sample(range(count), min(count, 2 * size))
