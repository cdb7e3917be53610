"""Code and sentences out of templates.

V3.2 report, 3.2.3: the procedural author writes tools, solutions and verifiers as readable text.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Sequence
from random import Random
from typing import Any

_WHOLE_LINE = re.compile(r"^([ ]*)\$(\w+)$", re.MULTILINE)
_INLINE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def fill(template: str, **values: Any) -> str:
    """The template with every $name replaced. A $name alone on its line takes a text of several
    lines, each indented as the line was; an empty text takes the line away. KeyError: no value."""
    text = textwrap.dedent(template).strip("\n") + "\n"

    def block(match: re.Match[str]) -> str:
        return textwrap.indent(str(values[match[2]]).rstrip("\n"), match[1]) or _DROP

    text = _WHOLE_LINE.sub(block, text)
    text = text.replace(_DROP + "\n", "")
    return _INLINE.sub(lambda match: str(values[match[1] or match[2]]), text)


_DROP = "\x00"


def listing(parts: Sequence[str], word: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"{'an' if noun[0].lower() in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """Of a regular noun: penalty, penalties."""
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def say(rng: Random, *templates: str, **values: Any) -> str:
    """One of the templates, filled in."""
    return rng.choice(templates).format(**values)


def number_word(number: int) -> str:
    """Small numbers in words, as in running text."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[number] if 0 <= number < len(words) else str(number)


def answer_form(rng: Random, example: str, *notes: str) -> str:
    """The last paragraph of a prompt: the form of the answer, with an example of dummies."""
    lead = say(
        rng,
        "Answer with JSON alone, such as {example}",
        "Reply with nothing but JSON of the form {example}",
        "Your final message must be JSON and nothing else, like {example}",
        "Give the result as bare JSON, for example {example}",
        "When you are done, answer in JSON only, in this form: {example}",
        example=example,
    )
    return " ".join([*filter(None, notes), lead])


def laid_out(rng: Random, lead: str, noun: str, clauses: Sequence[str], many: bool = False) -> str:
    """A lead ("Find the cheapest hotel in Rowanford") with conditions, in a sentence or as points.

    The conditions are relative clauses: "that has a pool", "whose price is at most 90 euros".
    `many`: they hold for each of several things that are sought.
    """
    order = list(clauses)
    rng.shuffle(order)
    if not order:
        return lead + "."
    heads = ("Each must be {a}", "Each of them has to be {a}")
    if not many:
        heads = ("Only {a} will do", "It has to be {a}", "What we need is {a}")
    if len(order) > 1 and rng.random() < 0.4:
        head = say(rng, *heads[-2:], a=article(noun))
        return f"{lead}. {head}\n" + "\n".join(f"- {clause}" for clause in order) + "\n"
    head = say(rng, *heads, a=f"{article(noun)} {listing(order)}")
    return f"{lead}. {head}."


def text_list(values: Sequence[str]) -> str:
    """A list of texts as code, on one line or one a line."""
    quoted = [json.dumps(value, ensure_ascii=False) for value in values]
    return "[" + ", ".join(quoted) + "]"


def articles(text: str) -> str:
    """ "a agent" -> "an agent", wherever a template has put a noun after "a"."""
    return _BEFORE_VOWEL.sub(lambda match: match[0][:-1] + "n ", text)


_BEFORE_VOWEL = re.compile(r"(?:(?<![\w'])a|(?:^|(?<=[.?!:;] )|(?<=[\"\n]))A) (?=[aeio])")


def tidy(code: str) -> str:
    """Generated code as a formatter would lay it out: no needless brackets, and lists, texts of
    queries that are too long for a line on several. No variable may be called "a"."""
    code = articles(code)
    code = _LONE.sub(lambda match: f"{match[1]}return {match[2]}\n", code)
    return "\n".join(part for line in code.split("\n") for part in _lines(line))


def _lines(line: str) -> list[str]:
    """A line, or what it becomes where it is too long."""
    if len(line) <= WIDTH:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    found = max(_TEXTS.finditer(line), key=lambda match: len(match[0]), default=None)
    if found and len(found[0]) > 20:
        texts = [f"{indent}    {text}," for text in re.findall(r'"[^"]*"', found[0])]
        return [line[: found.start() + 1], *texts, indent + line[found.end() - 1 :]]
    bare = line.strip()
    if re.fullmatch(r'"[^"]*",?', bare):
        cut = line.rfind(" ", 0, WIDTH - 2) + 1
        return [line[:cut] + '"', *_lines(f'{indent}"{line[cut:]}')]
    return [line]


WIDTH = 100
_LONE = re.compile(r"^( *)return \(\n +([^\n]+)\n *\)\n", re.MULTILINE)
_TEXTS = re.compile(r'\["[^"]*"(?:, "[^"]*")+\]')
