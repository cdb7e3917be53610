"""Which script a text is written in, and how much of a text is in given scripts.

What Language (rules.py) counts with. Names of Unicode characters begin with their script's, so no
table is needed; languages of one script (English, French) are not told apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache

_RUN = re.compile(r"[^\W\d_]+")  # letters
_OPENING = re.compile(
    r"```|~~~|`|\$\$?|\\\[|\\\(|\\begin\{([^{}\n]{1,40})\}"
    r"|\\[A-Za-z]+|</?[A-Za-z][^<>\n]{0,200}>"
)
_CLOSING = {"```": "```", "~~~": "~~~", "`": "`", "$$": "$$", "$": "$", "\\[": "\\]", "\\(": "\\)"}
_ONE_LINE = ("`", "$")
_LETTERS = (" LETTER ", " SYLLABLE ", " SYLLABICS ", " IDEOGRAPH", " CHARACTER ")
_VARIABLES = ("LATIN", "GREEK")  # one letter alone is x or π, and no word
_UNSPACED = ("CJK", "KANA", "THAI", "LAO", "KHMER", "MYANMAR")
_MOST_ABSENT = 100  # names of environments never closed, after which none is looked for
_LEAST_KANA = 0.1  # of the Chinese characters and kana of a text that is Japanese


def wanted_scripts(text: str) -> frozenset[str]:
    """The script of a text, as `script_of` names it; two for Japanese, none without words.

    By words, since a few English names in a Chinese question have more letters than it has.
    """
    words: Counter[str] = Counter()
    for run in _runs(text):
        for script, letters in run.items():
            words[script] += letters if script in _UNSPACED else 1
    if not words:
        return frozenset()
    script = max(words, key=lambda each: words[each])
    if script in ("CJK", "KANA") and words["KANA"] >= _LEAST_KANA * (words["CJK"] + words["KANA"]):
        return frozenset({"CJK", "KANA"})
    return frozenset({script})


def share_in(text: str, wanted: frozenset[str]) -> float:
    """The share, 0 to 1, of a text's letters that are in the wanted scripts; 1 without letters."""
    letters: Counter[str] = Counter()
    for run in _runs(text):
        letters.update(run)
    total = sum(letters.values())
    return sum(letters[script] for script in wanted) / total if total else 1.0


def prose(text: str) -> str:
    """The text without code, LaTeX and <...> tags, in time linear in its length: a model wrote it,
    and regular expressions for pairs would take it at its word.

    What is opened and never closed counts as prose.
    """
    kept: list[str] = []
    absent: set[str] = set()  # closings that do not come any more
    place = 0
    while found := _OPENING.search(text, place):
        kept += (text[place : found.start()], " ")
        place = _end(text, found, absent)
    return "".join([*kept, text[place:]])


@lru_cache(maxsize=1 << 16)
def script_of(letter: str) -> str | None:
    """LATIN, CYRILLIC, CJK, ...: the first word of its name, KANA for both kana; None for signs."""
    name = unicodedata.name(letter, "")
    if not any(word in name for word in _LETTERS):
        return None
    script = name.split(" ", 1)[0]
    if script in ("HIRAGANA", "KATAKANA"):
        return "KANA"
    return None if script == "MODIFIER" else script


def _runs(text: str) -> list[Counter[str]]:
    """The letters of each word by script; NFKC makes letters of bold, wide and joined ones."""
    found = []
    for run in _RUN.findall(unicodedata.normalize("NFKC", prose(text))):
        scripts = Counter(script for script in map(script_of, run) if script is not None)
        if scripts and not (len(run) == 1 and next(iter(scripts)) in _VARIABLES):
            found.append(scripts)
    return found


def _end(text: str, found: re.Match[str], absent: set[str]) -> int:
    """Where what was opened ends; behind the opening itself where it is not closed."""
    opening, start = found.group(), found.end()
    closing = f"\\end{{{found[1]}}}" if found[1] is not None else _CLOSING.get(opening)
    if closing is None or closing in absent or len(absent) > _MOST_ABSENT:
        return start  # a tag or a command stands alone
    stop = text.find(closing, start)
    if stop < 0:
        absent.add(closing)
        return start
    if opening in _ONE_LINE and text.find("\n", start, stop) >= 0:
        return start
    if opening == "$" and not _is_formula(text, start, stop):
        return start
    return stop + len(closing)


def _is_formula(text: str, start: int, stop: int) -> bool:
    """Pandoc's rule, by which "$5 or $6" is none."""
    after = text[stop + 1 : stop + 2]
    return (
        stop > start
        and not text[start].isspace()
        and not (text[stop - 1].isspace() or after.isdigit())
    )
