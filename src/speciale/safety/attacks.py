"""Brings hidden text to light: what a reader does not see, but a model does, is judged as well.

Base64 and hexadecimal runs, backwards or ROT13 text, HTML comments and attributes, and Unicode's
invisible tag characters are decoded; the classifiers then read the result like any other text.
"""

from __future__ import annotations

import codecs
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

from speciale.safety.decodings import runs

MOST = 8  # decoded runs per text: more would let a text make the filter slow
LONGEST = 2000  # characters of one decoded run

_ESCAPED = re.compile(r"(?:[^\s%]{0,40}%[0-9A-Fa-f]{2}){6,}\S*|(?:&#x?[0-9A-Fa-f]{2,5};\s?){6,}")
_COMMENT = re.compile(
    r"<!--((?:(?!<!--).){8,2000}?)-->|\b(?:alt|title|aria-label)=\"([^\"]{16,2000})\"", re.S
)
_TAGS = re.compile("[\U000e0020-\U000e007e]{8,}")
# Words that all but name ROT13 or mirror writing; trying every text would cost more than it finds.
_ROT13 = re.compile(r"\b(?:vtaber|cebzcg|vafgehpgvbaf?|flfgrz|ehyrf|cergraq)\b", re.I)
_BACKWARDS = re.compile(r"\b(?:erongi|erongI|tpmorp|snoitcurtsni|metsys|selur|dneterp)\b")


def hidden_texts(text: str) -> list[str]:
    """What `text` hides in the ways above, at most MOST pieces of LONGEST characters each."""
    found: list[str] = []
    for piece in _decoded(text):
        if _readable(piece):
            found.append(piece[:LONGEST])
        if len(found) == MOST:
            break
    return found


def _decoded(text: str) -> Iterator[str]:
    for match in _COMMENT.finditer(text):
        yield match.group(1) or match.group(2)
    for match in _TAGS.finditer(text):
        yield "".join(chr(ord(letter) - 0xE0000) for letter in match.group())
    for _, _, said in runs(text):
        yield said
    for match in _ESCAPED.finditer(text):
        yield html.unescape(unquote(match.group()))
    if _ROT13.search(text):
        yield codecs.decode(text[:LONGEST], "rot13")
    if _BACKWARDS.search(text):
        yield text[:LONGEST][::-1]


def _readable(text: str) -> bool:
    """Mostly letters and spaces, and more than one word."""
    letters = sum(letter.isalpha() or letter.isspace() for letter in text)
    return len(text) >= 8 and letters >= 0.8 * len(text) and len(text.split()) > 1
