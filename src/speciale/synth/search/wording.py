"""A question in words: a sentence for each hop, a letter for each document, the answer's form last.

Values stand as the corpus writes them; what is asked names the field that holds it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from speciale.synth.search.plan import Condition, Hop, Question
from speciale.synth.search.relations import Vocabulary

_OPENINGS = (
    "You can search {about}.",
    "Your tools search {about}.",
    "The collection is {about}.",
    "Use the tools: they search {about}.",
)
_FIRST = (
    "Exactly one {noun} {conditions}",
    "There is just one {noun} that {conditions}",
    "Start from the only {noun} that {conditions}",
    "One {noun} alone {conditions}",
)
_CALL = ("; call it {letter}.", ". Call it {letter}.", " ({letter} from here on).")
_LETTERS = ("ABCDEFG", "PQRSTUV", "XYZUVWT", "KLMNOPQ")


def worded(question: Question, vocabulary: Vocabulary, rng: Random) -> str:
    letters = rng.choice(_LETTERS)
    call = rng.choice(_CALL)
    sentences = [rng.choice(_OPENINGS).format(about=vocabulary.about)]
    for place, hop in enumerate(question.hops):
        said = _hop(hop, vocabulary, letters[place - 1] if place else "", rng)
        if hop.best and place:
            said += f"; this is {letters[place]}."
        else:
            said += call.format(letter=letters[place])
        sentences.append(said)
    sentences.append(_asked(question, vocabulary, letters[len(question.hops) - 1], rng))
    return " ".join(sentences)


def form(question: Question, vocabulary: Vocabulary, answer: Any, folds: bool) -> str:
    """What the answer looks like."""
    sample = {name: _sample(value) for name, value in answer.items()}
    said = f"Answer with JSON alone, such as {json.dumps(sample)}; {vocabulary.key!r} is " + (
        f"{vocabulary.name}, written as in the collection."
    )
    if question.ask == "list":
        said += " 'names' holds the names in the order of their characters' codes."
    if vocabulary.note and any(hop.how != "same" for hop in question.hops):
        said += f" {vocabulary.note}"
    return said + (" Upper and lower case do not matter." if folds else "")


def _sample(value: Any) -> Any:
    if isinstance(value, list):
        return ["...", "..."]
    return 0 if isinstance(value, int) else "..."


def _hop(hop: Hop, vocabulary: Vocabulary, before: str, rng: Random) -> str:
    conditions = _joined([_condition(each, vocabulary, rng) for each in hop.conditions])
    noun = vocabulary.noun
    if hop.how == "find":
        return rng.choice(_FIRST).format(noun=noun, conditions=conditions)
    said = _set(hop, vocabulary, before, rng)
    if hop.best:
        relation, which = hop.best
        about = vocabulary.by_name[relation]
        size = about.most if which == "most" else about.least
        return f"Of {said}, take the one with {size}"
    if hop.how == "follow":
        if conditions:
            return rng.choice(
                (f"Among {said}, exactly one {conditions}", f"Of {said}, only one {conditions}")
            )
        return f"Of {said}, there is only one"
    each = _each(hop, vocabulary, before, rng)
    other = "other " if hop.how == "same" else ""
    parts = _joined([each, *[_condition(one, vocabulary, rng) for one in hop.conditions]])
    return rng.choice((f"Exactly one {other}{noun} {parts}", f"Just one {other}{noun} {parts}"))


def _set(hop: Hop, vocabulary: Vocabulary, before: str, rng: Random) -> str:
    """The documents that a hop leads to, as a noun."""
    if hop.how == "follow":
        among = vocabulary.by_name[hop.relation].among.format(e=before)
        return f"{among} (those with a document in the collection, {before} left out)"
    other = "other " if hop.how == "same" else ""
    each = _each(hop, vocabulary, before, rng)
    return f"the {other}{vocabulary.nouns} of which each {each}"


def _each(hop: Hop, vocabulary: Vocabulary, before: str, rng: Random) -> str:
    relation = vocabulary.by_name[hop.relation]
    if hop.how == "same":
        return relation.shared.format(e=before)
    return rng.choice(relation.says).format(v=before)


def _condition(condition: Condition, vocabulary: Vocabulary, rng: Random) -> str:
    relation = vocabulary.by_name[condition.relation]
    if condition.op == "more":
        return relation.above.format(v=condition.value)
    if condition.op == "less":
        return relation.below.format(v=condition.value)
    wordings = relation.says if condition.op == "has" else relation.denies
    return rng.choice(wordings).format(v=condition.value)


def _joined(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _asked(question: Question, vocabulary: Vocabulary, letter: str, rng: Random) -> str:
    which = rng.choice(
        (f"Which {vocabulary.noun} is {letter}", f"What is {letter} called", f"Name {letter}")
    )
    end = "." if which.startswith("Name") else "?"
    if question.last is None:
        asks = [vocabulary.by_name[name].asks for name in question.asked]
        verb = "is" if len(asks) == 1 else "are"
        return f"{which}, and what {verb} {_joined(asks)}?"
    said = _set(question.last, vocabulary, letter, rng)
    if question.ask == "list":
        return f"{which}{end} List {said}."
    if question.ask == "count":
        return f"{which}{end} Count {said}: how many are there?"
    total = vocabulary.by_name[question.asked[0]].total
    return f"{which}{end} Take {said}: how many are they, and what is {total}?"
