"""Bugs in JavaScript by changing one token; strings, comments and regular expressions stay.

V3.2 report, 3.2.3, code agent: the second language. There is no syntax tree here, only tokens.
"""

from __future__ import annotations

import re

from speciale.synth.code.mutations import Edit

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)
  | (?P<number>(?:0[xXbBoO][\da-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)n?)
  | (?P<word>[A-Za-z_$][\w$]*)
  | (?P<sign>===|!==|==|!=|=>|<=|>=|&&=?|\|\|=?|\?\?=?|\+\+|--|\+=|-=|\*=|\*\*|<<|>>>?|[^\s\w])
    """,
    re.VERBOSE | re.DOTALL,
)
_REGEX = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*")
_CALL = re.compile(r"\.(trim|toLowerCase|toUpperCase|trimStart|trimEnd|reverse|slice)\(\)")
_SWAPS = {
    "===": "!==", "!==": "===", "==": "!=", "!=": "==", "<": "<=", "<=": "<", ">": ">=", ">=": ">",
    "&&": "||", "||": "&&", "+=": "-=", "-=": "+=", "-": "+", "*": "+", "%": "*",
}  # fmt: skip
_WORDS = {"true": "false", "false": "true", "continue": "break", "min": "max", "max": "min",
          "some": "every", "every": "some", "indexOf": "lastIndexOf", "shift": "pop",
          "push": "unshift", "floor": "ceil", "ceil": "floor"}  # fmt: skip
# After these a slash begins a regular expression, and a minus is a sign.
_BEFORE_VALUE = set("(,=:[!&|?{};+-*%<>~^") | {"return", "typeof", "case", "in", "of", "=>", "==="}
_FUNCTION = re.compile(r"function\s*\*?\s*([\w$]+)|([\w$.]+)\s*[=:]\s*(?:async\s*)?(?:function|\()")


def javascript_edits(path: str, data: bytes) -> list[Edit]:
    """Every edit of one token that an operator could make in a JavaScript file, in order."""
    try:
        text = data.decode()
    except ValueError:
        return []
    if not text.isascii():
        return []  # offsets of characters would not be those of bytes
    found: list[Edit] = []
    at, last, line, scope = 0, "(", 1, ""

    def add(operator: str, start: int, end: int, new: str) -> None:
        found.append(Edit(path, start, end, new.encode(), operator, line, scope))

    while at < len(text):
        if text[at] == "/" and last in _BEFORE_VALUE and (regex := _REGEX.match(text, at)):
            at, last = regex.end(), "regex"
            continue
        token = _TOKEN.match(text, at)
        if token is None:
            at += 1
            continue
        word, kind = token[0], token.lastgroup
        if kind != "space":
            if named := _FUNCTION.match(text, at):
                scope = named[1] or named[2]
            if call := _CALL.match(text, at):
                add("dropped call", call.start(), call.end(), "")
            if kind == "number" and word.isdigit() and last != ".":
                add("constant", at, token.end(), str(int(word) + 1))
                if int(word):
                    add("constant", at, token.end(), str(int(word) - 1))
            elif kind == "word" and word in _WORDS:
                add("wrong word", at, token.end(), _WORDS[word])
            elif kind == "sign" and word == "!":
                add("dropped not", at, token.end(), "")
            elif kind == "sign" and word in _SWAPS and not (word == "-" and last in _BEFORE_VALUE):
                add("operator", at, token.end(), _SWAPS[word])
            last = word
        line += word.count("\n")
        at = token.end()
    return sorted(set(found))
