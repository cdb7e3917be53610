"""Completions as models write them, and what goes wrong with them, drawn at random.

The pieces that mutations insert, cut at and move are the format's own, so that most results are
nearly right: those are what a parser gets wrong.
"""

from __future__ import annotations

import random
import re

from speciale.chat import (
    BOS,
    CALLS_CLOSE,
    CALLS_OPEN,
    DSML,
    EOS,
    INVOKE_CLOSE,
    INVOKE_OPEN,
    PARAMETER_CLOSE,
    PARAMETER_OPEN,
    THINK_CLOSE,
    THINK_OPEN,
    USER,
)

WORDS = ["a", "city", "Paris", " ", "\n", "\n\n", "<", "</", "2 < 3", "{", "}", '"', "\\", "é😀"]
VALUES = ["x", "", "ls 2>&1", "a\nb", "<b>", "1", "true", "查询", "C:\\", '"q"', "a<"]
VALUES += [f"<{DSML}invoke"]
JSON = ["1", "true", "null", "[1, 2]", '{"a": "b"}', '["<"]', "NaN", "True", "", " 1\n", "[1,"]
PIECES = [
    *(BOS, EOS, USER, THINK_OPEN, THINK_CLOSE, CALLS_OPEN, CALLS_CLOSE, INVOKE_OPEN, INVOKE_CLOSE),
    *(PARAMETER_OPEN, PARAMETER_CLOSE, DSML, "\n", "\n\n", ">", "<", "/", " ", '"', "invoke", "｜"),
    *(f'{INVOKE_OPEN} name="g">\n', f"<{DSML}tool_calls>", f"<{DSML}", f"</{DSML}", "‖DSML‖"),
    *(f'{PARAMETER_OPEN} name="k" string="true">', f'{PARAMETER_OPEN} name="j" string="false">'),
    *(
        '" string="true">',
        ' name="',
        '{"z": 1}',
        "<｜｜DSML｜｜invoke",
        f'{INVOKE_OPEN} name="h"/>',
    ),
]
_CUTS = re.compile(r"(?<=>)|(?=<)|(?=\n)|(?<=\n)|(?=｜)|(?<=｜)")


def completion(draw: random.Random, thinking: bool) -> str:
    """A completion that follows the format (values of JSON kind may be no JSON)."""
    text = ""
    if thinking:
        text += _words(draw) + THINK_CLOSE
    text += _words(draw)
    count = draw.choice((0, 1, 1, 2, 3))
    if count:
        calls = [_call(draw, draw.choice("fgh") + str(i)) for i in range(count)]
        text += "\n\n" + "\n".join([CALLS_OPEN, *calls, CALLS_CLOSE])
    return text + EOS


def mutate(draw: random.Random, text: str) -> str:
    """`text` with one to four accidents."""
    for _ in range(draw.choice((1, 1, 2, 2, 3, 4))):
        cuts = [match.start() for match in _CUTS.finditer(text)] or [0]
        start, stop = sorted((draw.choice(cuts), draw.choice(cuts)))
        match draw.randrange(8):
            case 0:  # a piece too many
                text = text[:start] + draw.choice(PIECES) + text[start:]
            case 1:  # a piece missing
                stop = next((cut for cut in cuts if cut > start), len(text))
                text = text[:start] + text[stop:]
            case 2:  # a span missing
                text = text[:start] + text[min(stop, start + 60) :]
            case 3:  # a span twice
                text = text[:stop] + text[start:]
            case 4:  # cut off
                text = text[:start]
            case 5:  # one character other
                at = draw.randrange(len(text) + 1)
                text = text[:at] + draw.choice("<>/｜ \n\"ax'") + text[at + 1 :]
            case 6:  # a piece in place of another
                stop = next((cut for cut in cuts if cut > start), len(text))
                text = text[:start] + draw.choice(PIECES) + text[stop:]
            case 7:  # a tail again
                text = text + text[start:]
    return text


def _words(draw: random.Random) -> str:
    return "".join(draw.choices(WORDS, k=draw.randrange(6)))


def _call(draw: random.Random, name: str) -> str:
    parameters = []
    for key in draw.sample(["a", "b", 'c"d', "键"], k=draw.randrange(4)):
        kind, values = draw.choice((("true", VALUES), ("false", JSON)))
        value = draw.choice(values)
        parameters.append(f'{PARAMETER_OPEN} name="{key}" string="{kind}">{value}{PARAMETER_CLOSE}')
    lines = "\n".join(parameters)
    return f'{INVOKE_OPEN} name="{name}">\n{lines}\n{INVOKE_CLOSE}'
