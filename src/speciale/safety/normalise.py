"""One form for text that looks the same: NFKD, case fold, invisible characters and accents away,
lookalike letters to Latin (after Unicode TR 39's skeletons), each character with its source place.

`views` adds what a reader sees besides: letters written as digits, words spelled out with
separators, and decoded runs (decodings.py). Phrases are looked for in all of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

DEPTH = 3  # encodings within encodings
DECODED = 4  # times the text's length: what all decodings together may come to

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class View:
    """A reading of a text: character i of `text` comes from source[starts[i]:ends[i]].

    Within the spans `free` letters were spelled out, so a word may begin and end at any of them.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    free: Spans = ()

    def source(self, start: int, end: int) -> tuple[int, int]:
        """The range of the source that text[start:end] (not empty) comes from."""
        return self.starts[start], self.ends[end - 1]


def plain(text: str) -> View:
    return View(text, range(len(text)), range(1, len(text) + 1))


def views(text: str, pieces: bool = True) -> list[View]:
    """All readings of `text`, the folded one first. `pieces`: base64 and hex runs too."""
    from speciale.safety.decodings import decoded_pieces, unescaped

    found: dict[str, View] = {}
    level, budget = [plain(text)], DECODED * len(text) + 1024
    for depth in range(DEPTH + 1):
        deeper: list[View] = []
        for view in level:
            for reading in _readings(fold(view)):
                found.setdefault(reading.text, reading)
            if depth < DEPTH:
                deeper += [
                    v
                    for v in (unescaped(view), decoded_pieces(view) if pieces else None)
                    if v and (budget := budget - len(v.text)) >= 0
                ]
        level = deeper
    return list(found.values())


def fold(view: View) -> View:
    """Folded characters, whitespace collapsed to single spaces."""
    text = view.text
    if text.isascii():
        folded = View(text.lower().translate(_ASCII_SPACE), view.starts, view.ends)
        if _CONTROL.search(text):
            folded = replaced(folded, _CONTROL, lambda match: "")
    else:
        folded = _fold_characters(view)
    if "  " in folded.text:
        folded = replaced(folded, _SPACES, lambda match: " ")
    return folded


def folded(text: str) -> str:
    """The folded form of a phrase, without spaces at its ends."""
    return fold(plain(text)).text.strip()


def replaced(view: View, pattern: re.Pattern[str], by: Callable[[re.Match[str]], str]) -> View:
    """`pattern.sub` with places: what a match becomes, comes from all of the match.

    Every match must be of at least one character.
    """
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for match in pattern.finditer(view.text):
        a, b = match.span()
        new = by(match)
        parts += (view.text[at:a], new)
        starts += view.starts[at:a]
        ends += view.ends[at:a]
        if len(new) == b - a:
            starts += view.starts[a:b]
            ends += view.ends[a:b]
        else:
            starts += [view.starts[a]] * len(new)
            ends += [view.ends[b - 1]] * len(new)
        at = b
    if not at:
        return view
    parts.append(view.text[at:])
    starts += view.starts[at:]
    ends += view.ends[at:]
    return View("".join(parts), starts, ends)


def in_word(character: str) -> bool:
    """Whether words of its script are set apart by spaces, so that "whole word" means something."""
    return character.isalnum() and not (
        ord(character) >= 0x0E00 and unicodedata.category(character) == "Lo"
    )


# Readings of a folded text.


def _readings(view: View) -> list[View]:
    readings = [view, *_letters_for_digits(view)]
    squeezed = _squeezed(view)
    if squeezed is not view:
        readings += [squeezed, *_letters_for_digits(squeezed)]
    if _LEET_SIGN.search(view.text):  # which the line above took for separators
        readings += map(_squeezed, readings[1:3])
    return readings


_LEET_SIGN = re.compile(r"[@$!|]")
# A word of letters with digits or signs in it; "!" and "|" at its end are punctuation.
_LEET_WORD = re.compile(r"(?<![a-z0-9@$!|])[a-z]*+[0-9@$!|][a-z0-9@$!|]*(?<![!|])")
_LEET = re.compile(r"[01345789@$!|](?:(?<=[a-z].)|[013457@$!|]{0,16}[a-z])")
_AS_I = str.maketrans("013457@$!|89", "oieastasiibg")
_AS_L = str.maketrans("013457@$!|89", "oleastaslibg")


def _letters_for_digits(view: View) -> list[View]:
    """b0mb, k1ll and ki1l: 1, ! and | stand for i or l."""
    if not _LEET.search(view.text):
        return []
    words = [match.span() for match in _LEET_WORD.finditer(view.text)]
    texts = dict.fromkeys(_translated(view.text, words, table) for table in (_AS_I, _AS_L))
    return [View(text, view.starts, view.ends, view.free) for text in texts]


def _translated(text: str, words: list[tuple[int, int]], table: dict[int, int]) -> str:
    parts, at = [], 0
    for a, b in words:
        word = text[a:b]
        if not word.isdigit():
            parts += (text[at:a], word.translate(table))
            at = b
    return "".join(parts) + text[at:]


# What separates: anything but letters, digits and vowel signs.
_GAP = r"(?:[^\w\u0900-\u109f\u3099\u309a]|_)"
_CHARACTER = r"[^\W_]"
_SQUEEZE = (
    # Three or more single characters with separators: b o m b, b.o.m.b
    r"[GAP](?P<spelled>[CHARACTER](?:[GAP]{1,3}[CHARACTER]){2,})(?![CHARACTER])"
    # Signs within a word: bo-mb
    r"|(?<=[CHARACTER])(?P<signs>(?:(?!\s)[GAP]){1,3})(?=[CHARACTER])"
)
# Anything between characters of scripts that have no spaces.
_UNSPACED = r"|(?<=[\u3040-\u9fff])(?P<gap>[GAP]{1,3})(?=[\u3040-\u9fff])"
_SQUEEZE_ASCII = re.compile(
    _SQUEEZE.replace("[GAP]", "[^a-z0-9]").replace("[CHARACTER]", "[a-z0-9]")
)
_SQUEEZE_ALL = re.compile(
    (_SQUEEZE + _UNSPACED).replace("[GAP]", _GAP).replace("[CHARACTER]", _CHARACTER)
)
_SEPARATORS = re.compile(rf"{_GAP}+")


def _squeezed(view: View) -> View:
    """Without the separators; `view` itself where there are none."""
    text = view.text
    keep: list[tuple[int, int]] = []  # ranges of `text` that stay
    free: list[tuple[int, int]] = []
    at = length = 0

    def take(a: int, b: int) -> None:
        nonlocal length
        keep.append((a, b))
        length += b - a

    # A run is found by the separator before it, so the text gets one at its start.
    for match in (_SQUEEZE_ASCII if text.isascii() else _SQUEEZE_ALL).finditer(" " + text):
        if match["spelled"]:
            a, b = match.start("spelled") - 1, match.end() - 1
            take(at, a)
            first = length
            for gap in _SEPARATORS.finditer(text, a, b):
                take(a, gap.start())
                a = gap.end()
            take(a, b)
            free.append((first, length))
        else:
            a, b = match.start() - 1, match.end() - 1
            take(at, a)
        at = b
    if not keep:
        return view
    take(at, len(text))
    starts: list[int] = []
    ends: list[int] = []
    for a, b in keep:
        starts += view.starts[a:b]
        ends += view.ends[a:b]
    return View("".join([text[a:b] for a, b in keep]), starts, ends, tuple(free))


# Folding of single characters.

_SPACES = re.compile(r" {2,}")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_ASCII_SPACE = str.maketrans(dict.fromkeys("\t\n\v\f\r\x1c\x1d\x1e\x1f", " "))
# Letters and marks that show nothing: Hangul fillers, Khmer inherent vowels, the grapheme joiner.
_INVISIBLE = set("\u115f\u1160\u3164\uffa0\u17b4\u17b5\u034f")
# What the names of characters do not say, case folded; Greek as its capitals look.
_LOOKALIKES = dict(
    zip(
        "авекмнорстухьіјѕԁԛԝһӏгп" + "αβγεζηικνορτυχωϲϳμ" + "ɑɩʟօսոհցզյոք" + "ƅꮪⲟⲣⲥⅼ∨",
        "abekmhopctyxbijsdqwhlrn" + "abyezhikvoptuxwcjm" + "ailounhgqjnp" + "bsopclv",
        strict=True,
    )
)
_NAMED = re.compile(
    r"(?:LATIN|NEGATIVE|REGIONAL|CROSSED|SQUARED|CIRCLED)\b.*\bLETTER "
    r"(?:SMALL CAPITAL |DOTLESS |SCRIPT |OPEN |BARRED )?([A-Z])(?: WITH .+)?"
)
_kept_marks: set[str] = set()  # marks that are letters in their script


class _Folds(dict[str, str]):
    """What each character folds to, worked out when it first comes up."""

    def __missing__(self, character: str) -> str:
        result = self[character] = _fold_one(character)
        return result


_folds = _Folds()


def _fold_one(character: str) -> str:
    if character.isspace() or character == "\u2800":  # the empty Braille pattern
        return " "
    result = []
    decomposed = unicodedata.normalize("NFKD", character).casefold()
    for c in unicodedata.normalize("NFKD", decomposed):
        category, order = unicodedata.category(c), unicodedata.combining(c)
        if c in _INVISIBLE or category in ("Cf", "Cc", "Me", "Cs"):
            continue
        if category == "Mn":
            # Accents, Hebrew points and Arabic vowel signs change no letter; kana voicing, Indic
            # and Thai vowel signs do. Variation selectors are marks of class 0.
            if order >= 200 or 10 <= order <= 36 or "VARIATION SELECTOR" in unicodedata.name(c, ""):
                continue
            _kept_marks.add(c)
        if not c.isascii():
            named = _NAMED.fullmatch(unicodedata.name(c, ""))
            c = _LOOKALIKES.get(c) or (named[1].lower() if named else c)
        result.append(c)
    return "".join(result)


def _fold_characters(view: View) -> View:
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    folds = _folds
    last = ""
    for character, start, end in zip(view.text, view.starts, view.ends):
        new = folds[character]
        if not new or (new in _kept_marks and last.isascii()):
            continue  # a foreign mark on a Latin letter hides the letter from machines only
        last = new
        parts.append(new)
        if len(new) == 1:
            starts.append(start)
            ends.append(end)
        else:
            starts += [start] * len(new)
            ends += [end] * len(new)
    return View("".join(parts), starts, ends)
