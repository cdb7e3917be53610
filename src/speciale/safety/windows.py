"""Cuts text into passages for the encoder and, within each, overlapping windows of sentences.

A short harmful sentence in a long harmless text would drown in one average; in a window of its
own it does not. Neighbouring windows share a sentence, so that nothing falls between two.
"""

from __future__ import annotations

import re

PASSAGE = 1000  # characters that the encoder reads at once
WINDOW = 240  # characters that a classifier judges at once

Span = tuple[int, int]  # characters, [start, end)

# Where a sentence may end: at its mark, or at the end of a line. Chinese, Hindi, Arabic: their own.
_END = re.compile("[.!?。！？।؟…]+[\"'”’»)\\]]*|\n")
_ASCII_MARKS = frozenset(".!?")


def sentences(text: str, longest: int = WINDOW) -> list[Span]:
    """Spans that cover all of `text` but blank ones, each of at most `longest` characters."""
    spans: list[Span] = []
    start = 0
    for end in (*(found.end() for found in _END.finditer(text) if _ends(text, found)), len(text)):
        while end - start > longest:
            space = text.rfind(" ", start + longest // 2, start + longest)
            middle = space + 1 if space >= 0 else start + longest
            _keep(text, (start, middle), spans)
            start = middle
        _keep(text, (start, end), spans)
        start = end
    return spans


def _ends(text: str, mark: re.Match[str]) -> bool:
    """ "3.14", "a.b" and "what?!x" end no sentence: a space or a new line has to follow."""
    return mark.group()[0] not in _ASCII_MARKS or text[mark.end() : mark.end() + 1].strip() == ""


def cut(text: str) -> list[tuple[str, list[Span]]]:
    """`text` as passages, each with the spans of its windows (within that passage).

    Passages share their border sentence too. Blank text gives none.
    """
    units = sentences(text)
    passages: list[tuple[str, list[Span]]] = []
    first = 0
    while first < len(units):
        begin, last = units[first][0], first
        while last + 1 < len(units) and units[last + 1][1] - begin <= PASSAGE:
            last += 1
        inner = [(a - begin, b - begin) for a, b in units[first : last + 1]]
        passages.append((text[begin : units[last][1]], _windows(inner)))
        if last + 1 == len(units):
            break
        shared = (
            last if last > first and units[last][1] - units[last][0] <= WINDOW // 2 else last + 1
        )
        first = shared
    return passages


def _windows(units: list[Span]) -> list[Span]:
    """Runs of whole sentences of at most WINDOW characters, each overlapping the next by one."""
    windows: list[Span] = []
    first = 0
    while first < len(units):
        last = first
        while last + 1 < len(units) and units[last + 1][1] - units[first][0] <= WINDOW:
            last += 1
        windows.append((units[first][0], units[last][1]))
        if last + 1 == len(units):
            break
        first = last if last > first else last + 1
    return windows


def _keep(text: str, span: Span, spans: list[Span]) -> None:
    if text[span[0] : span[1]].strip():
        spans.append(span)
