"""Block lists: phrases by one Aho-Corasick automaton over every reading of a text (normalise.py),
and patterns of bounded length and bounded work, so that neither can stall the filter.

`hold` says how much of a growing text must be held back because a match may be in the making.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from re import _constants as sre  # what `re` itself parses with; there is no public form
from re import _parser

import ahocorasick

from speciale.errors import ConfigError
from speciale.safety.normalise import View, folded, in_word, plain, views
from speciale.safety.policy import Blocklist

WIDEST = 256  # characters that a pattern may match
PATHS = 1024  # ways in which a pattern may match from one place: the work for each character
RUN = 512  # characters of an unfinished word or code that are held back
_GAP = 16  # signs in a row that end a spelled-out phrase


@dataclass(frozen=True, slots=True)
class Item:
    """One entry; `id` is the same for the same text in a list of the same name."""

    list: str
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """An item found at source[start:end]."""

    item: Item
    start: int
    end: int


class Blocklists:
    """Compiled block lists. Building raises ConfigError for a file or pattern that can't be used.

    A list's file has one entry a line: a phrase, or a pattern between slashes; # begins a comment.
    """

    def __init__(self, lists: Sequence[Blocklist]) -> None:
        self.names = [blocklist.name for blocklist in lists]
        self._phrases = ahocorasick.Automaton()  # folded phrase -> [(item, length, whole word)]
        self._beginnings = ahocorasick.Automaton()  # the same without separators
        self._patterns: list[tuple[Item, re.Pattern[str], re.Pattern[str]]] = []
        self._longest = self._widest = 0
        self._any_place = False  # some phrase may begin within a word
        for blocklist in lists:
            phrases, patterns = _entries(blocklist)
            self._any_place |= not blocklist.whole_words
            for text in phrases:
                self._add(_item(blocklist.name, text), blocklist.whole_words)
            for text in patterns:
                compiled, width = safe_pattern(text)
                self._widest = max(self._widest, width)
                # Folded text is in small letters; `re` is faster where case matters.
                quick = re.compile(text) if text.islower() else compiled
                self._patterns.append((_item(blocklist.name, text), compiled, quick))
        if self._longest:
            self._phrases.make_automaton()

    def __bool__(self) -> bool:
        return bool(self._longest or self._patterns)

    def _add(self, item: Item, whole_word: bool) -> None:
        key = folded(item.text)
        compact = "".join(filter(str.isalnum, key))
        if not compact:
            raise ConfigError(
                f"The block list {item.list} has the phrase {item.text!r}, which holds no letter "
                "or digit: remove it, or write a pattern."
            )
        for form in {key, compact} if len(compact) > 2 else {key}:
            found = self._phrases.get(form, [])
            found.append((item, len(form), whole_word))
            self._phrases.add_word(form, found)
        self._beginnings.add_word(compact, True)
        self._longest = max(self._longest, len(compact))

    def find(self, text: str) -> list[Match]:
        """The first match of each item, in the order of the text."""
        found: dict[Item, Match] = {}
        if not self:
            return []
        readings = views(text)
        for view in readings:
            for item, a, b in self._matches(view):
                found.setdefault(item, Match(item, *view.source(a, b)))
        for item, pattern, quick in self._patterns:
            looked_at = [(quick, view) for view in readings]
            if not text.isascii():
                looked_at.append((pattern, plain(text)))
            for compiled, view in looked_at:
                if item not in found and (match := compiled.search(view.text)):
                    found[item] = Match(item, *view.source(*match.span()))
        return sorted(found.values(), key=lambda match: (match.start, match.item.id))

    def _matches(self, view: View) -> Iterator[tuple[Item, int, int]]:
        if not self._longest:
            return
        text = view.text
        for last, items in self._phrases.iter(text):
            for item, length, whole_word in items:
                a, b = last + 1 - length, last + 1
                if not whole_word or (_edge(view, a) and _edge(view, b)):
                    yield item, a, b

    def hold(self, text: str) -> tuple[int, int]:
        """(free, seen) of a text that may go on: once text[:seen] is found to hold no match,
        text[:free] is part of none, whatever follows; 0 <= free <= seen <= len(text).

        Past `seen` is a word or an encoded run that is not complete, past `free` what may be the
        beginning of a match.
        """
        base = max(0, len(text) - RUN - 8 * (self._longest + self._widest))
        tail = text[base:]
        seen = _word_start(tail, _unfinished(tail))
        free = seen
        if self and tail:
            for view in views(tail, pieces=False):
                free = min(free, self._open(view))
            if self._widest:  # patterns are looked for in the text as it stands, too
                free = min(free, max(0, len(tail) - self._widest + 1))
        free = _word_start(tail, free)
        if len(tail) - seen >= RUN:  # no word is that long, and a phrase may lie across the cut
            seen = len(tail)
        return base + free, base + seen

    def _open(self, view: View) -> int:
        """The source place from where the end of a reading may be the beginning of a match."""
        text, starts = view.text, view.starts
        cut = len(text)
        if self._widest:
            cut = max(0, cut - self._widest + 1)
        compact, places, gap = "", [], 0
        for i in range(len(text) - 1, -1, -1):
            if text[i].isalnum():
                compact, gap = text[i] + compact, 0
                places.append(i)
                if len(compact) >= self._longest:
                    break
            elif (gap := gap + 1) > _GAP:
                break
        for skipped, i in enumerate(reversed(places)):
            if (self._any_place or _edge(view, i)) and self._beginnings.match(compact[skipped:]):
                cut = min(cut, i)
                break
        return starts[cut] if cut < len(text) else (view.ends[-1] if text else 0)


def _edge(view: View, i: int) -> bool:
    """Whether a whole word may begin or end before character `i`."""
    text = view.text
    return (
        i == 0
        or i == len(text)
        or not (in_word(text[i - 1]) and in_word(text[i]))
        or any(a < i < b for a, b in view.free)
    )


# The end of a text, read backwards: characters of words and codes that are set apart by spaces,
# invisible ones among them; a pair of hex digits with a separator.
_HELD = re.compile(r"[!-~\u00a1-\u0dff\u1e00-\u1fff\u200b-\u200f\u2060-\u2064\ufeff]*")
_HEX_END = re.compile(r"[0-9a-fA-FxX\\]{0,4}[\s,:]{1,2}[0-9a-fA-F]{2}(?![0-9a-wyzA-WYZ])")
_HEX_TAIL = re.compile(
    r"(?<![^\W_])(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s,:]{1,2})+(?:0x?|\\x?)?[0-9a-fA-F]{0,2}\Z"
)
_WRAPPED_TAIL = re.compile(r"(?<!\S)(?:[A-Za-z0-9+/_-]{16,}\r?\n)+[A-Za-z0-9+/=_-]*\Z")


def _unfinished(text: str) -> int:
    """Where the word, escape, base64 or hex run begins that `text` ends with."""
    tail = text[-RUN:]
    backwards = tail[::-1]
    start = len(tail) - _HELD.match(backwards).end()
    if _HEX_END.match(backwards) and (match := _HEX_TAIL.search(tail)):
        # From the start of its first word on: %62 is more than the pair in it.
        start = min(start, len(tail) - _HELD.match(backwards, len(tail) - match.start()).end())
    if "\n" in tail and (match := _WRAPPED_TAIL.search(tail)):
        start = min(start, match.start())
    return len(text) - len(tail) + start


def _word_start(text: str, cut: int) -> int:
    """`cut`, or the start of the word that it divides, if that is not too far."""
    at = cut
    while 0 < at < len(text) and in_word(text[at - 1]) and in_word(text[at]):
        at -= 1
        if cut - at > 64:
            return cut
    return at


def _item(name: str, text: str) -> Item:
    return Item(name, str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}\n{text}")), text)


def _entries(blocklist: Blocklist) -> tuple[list[str], list[str]]:
    phrases, patterns = list(blocklist.phrases), list(blocklist.patterns)
    if blocklist.path:
        try:
            lines = blocklist.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"The block list {blocklist.name} could not be read from {blocklist.path} "
                f"({error}): mend the path or the file."
            ) from None
        for line in map(str.strip, lines):
            if len(line) > 2 and line[0] == line[-1] == "/":
                patterns.append(line[1:-1])
            elif line and not line.startswith("#"):
                phrases.append(line)
    return phrases, patterns


# Patterns.


def safe_pattern(text: str) -> tuple[re.Pattern[str], int]:
    """The compiled pattern and the most characters that it matches.

    ConfigError where that has no bound of WIDEST, or the work for one place none of PATHS.
    """
    try:
        tree = _parser.parse(text, re.IGNORECASE)
        compiled = re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"The pattern {text!r} is not valid ({error}): mend it.") from None
    shortest, longest = tree.getwidth()
    if not shortest:
        raise ConfigError(f"The pattern {text!r} matches nothing at all: have it match something.")
    if longest > WIDEST:
        raise ConfigError(
            f"The pattern {text!r} may match more than {WIDEST} characters, which a stream cannot "
            "hold back: give each *, + and {n,} an upper bound, as in {0,40}."
        )
    if _paths(tree, text) > PATHS:
        raise ConfigError(
            f"The pattern {text!r} may match in more than {PATHS} ways from one place, which takes "
            "too long: use fewer or shorter ranges such as {0,40}."
        )
    return compiled, longest


def _paths(tree: object, text: str) -> int:
    """In how many ways a pattern may match from one place, at most."""
    total = 1
    for operation, argument in tree:
        if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            low, high, body = argument
            inside = _paths(body, text)
            if high > 1 and inside > 1:
                raise ConfigError(
                    f"The pattern {text!r} repeats something that may itself match in several "
                    "ways, which may take very long: write it without repeats within repeats."
                )
            total *= (high - low + 1) * inside
        elif operation is sre.BRANCH:
            total *= sum(_paths(branch, text) for branch in argument[1])
        elif operation is sre.SUBPATTERN:
            total *= _paths(argument[-1], text)
        elif operation is sre.ATOMIC_GROUP:
            total *= _paths(argument, text)
        elif operation in (sre.ASSERT, sre.ASSERT_NOT, sre.GROUPREF, sre.GROUPREF_EXISTS):
            raise ConfigError(
                f"The pattern {text!r} looks around or refers to a group, which block lists "
                "don't take: write it without."
            )
        total = min(total, PATHS + 1)
    return total
