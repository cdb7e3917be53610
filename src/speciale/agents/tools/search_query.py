"""What is searched for: a query's words for tantivy, and the piece of a page that answers it best.

No query language: quotes mean that words in a row count more, and all else is words, so that
nothing anybody writes is an error.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Any

MOST_CHARACTERS = 4000  # of a query that are read
MOST_TERMS = 64
MOST_WORD = 60  # bytes; what is longer is no word
SNIPPET = 240  # characters
MOST_PLACES = 20  # on a page where a word stands, of those that are looked at

# Scripts without spaces: each character is a word, and a run of them in a query is pairs in a row.
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_RUN = re.compile(f"{_UNSPACED.pattern}+")
_QUOTED = re.compile('["“„«]([^"“”„«»]+)["”“»]')
# Words of nearly every page cost time and rank nothing.
# fmt: off
COMMON = {
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has",
    "have", "how", "i", "if", "in", "into", "is", "it", "its", "of", "on", "or", "that", "the",
    "their", "them", "then", "there", "these", "they", "this", "to", "was", "what", "when", "where",
    "which", "who", "will", "with",
}
# fmt: on


@cache
def analyzers() -> dict[str, Any]:
    """How text becomes words, by the name of the field that holds them."""
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    plain = (Filter.remove_long(MOST_WORD), Filter.lowercase(), Filter.ascii_fold())
    found = {}
    for name, filters in {"words": plain, "stems": (*plain, Filter.stemmer("english"))}.items():
        builder = TextAnalyzerBuilder(Tokenizer.simple())
        for one in filters:
            builder = builder.filter(one)
        found[name] = builder.build()
    return found


def spaced(text: str) -> str:
    """With spaces between characters of the scripts that have none."""
    return _UNSPACED.sub(lambda match: f" {match[0]} ", text)


def parsed(query: str, schema: Any) -> Any | None:
    """The query for tantivy; None where it holds no word."""
    from tantivy import Occur, Query

    def in_a_row(words: list[str], weight: float) -> Any:
        return Query.boost_query(Query.phrase_query(schema, "words", words), weight)

    words, stems = analyzers()["words"].analyze, analyzers()["stems"].analyze
    query = query[:MOST_CHARACTERS]
    plain = list(dict.fromkeys(words(_RUN.sub(" ", query))))
    plain = [word for word in plain if word not in COMMON] or plain
    del plain[MOST_TERMS:]
    wanted = [Query.term_query(schema, "words", word) for word in plain]
    wanted += [
        Query.term_query(schema, "stems", stem, index_option="freq")
        for stem in stems(" ".join(plain))
    ]
    for run in _RUN.findall(query)[:MOST_TERMS]:
        pairs = list(dict.fromkeys(pairwise(run)))[:MOST_TERMS]
        wanted += [in_a_row([*words(a), *words(b)], 1.0) for a, b in pairs]
        if not pairs:
            wanted += [Query.term_query(schema, "words", word) for word in words(run)]
    for quoted in _QUOTED.findall(query):
        row = words(spaced(quoted))[:MOST_TERMS]
        if len(row) > 1:
            wanted.append(in_a_row(row, 2.0))
    return Query.boolean_query([(Occur.Should, one) for one in wanted]) if wanted else None


def snippet(text: str, words: list[str]) -> str:
    """The piece of `text` that holds most of `words`, on one line."""
    flat = " ".join(text.split())
    lower = flat.lower()
    places = []
    for word in {*words} - COMMON:
        at = -1
        for _ in range(MOST_PLACES):
            at = lower.find(word, at + 1)
            if at < 0:
                break
            places.append((at, word))
    places.sort()
    start, most = 0, 0
    for number, (place, _) in enumerate(places):
        near = {word for at, word in places[number : number + 30] if at < place + SNIPPET - 60}
        if len(near) > most:
            start, most = place, len(near)
    start = max(0, start - 30)
    if start:  # at the beginning of a word
        start = flat.find(" ", start) + 1
    piece = flat[start : start + SNIPPET]
    if start + SNIPPET < len(flat):
        piece = f"{piece.rpartition(' ')[0] or piece} …"
    return f"… {piece}" if start else piece
