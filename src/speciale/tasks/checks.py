"""The plain verifiers of answers: the same text, number, choice or JSON value, or a pattern.

Each looks at `answers.final_answer` and nothing else, and says why it refuses one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from speciale.sandbox import Sandbox
from speciale.tasks import answers
from speciale.tasks.task import Verdict
from speciale.tasks.worker import ask

NUMBER = re.compile(r"[-+−]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?(?:\s*/\s*\d+)?")
CHOICE = re.compile(r"(?:answer|choice|option)(?: is|:)?\W{0,4}([A-Z])\b", re.IGNORECASE)
PATTERN_S = 5


def exact(right: Any, answer: str) -> Verdict:
    """The same text; runs of white space count as one blank."""
    if answer.split() == str(right).split():
        return Verdict(1.0)
    return _refused(answer, str(right))


def number(right: Any, answer: str) -> Verdict:
    """The same number: the answer itself, or the last number in it. 1,000.0 is 1000, 1/2 is 0.5."""
    found = [match for match in (value_of(each) for each in NUMBER.findall(answer)) if match]
    if not found:
        return Verdict(0.0, (f"There is no number in {answers.shown(answer)}.",))
    (given, text), wanted = found[-1], value_of(str(right))
    if wanted is not None and given == wanted[0]:
        return Verdict(1.0)
    return Verdict(0.0, (f"The number is {text}; right is {right}.",))


def value_of(text: str) -> tuple[Fraction, str] | None:
    """A number's value and its text; None where it is none."""
    try:
        parts = text.replace(",", "").replace("−", "-").split("/")
        value = Fraction(parts[0].strip())
        return (value / Fraction(parts[1].strip()) if len(parts) == 2 else value), text
    except (ValueError, ZeroDivisionError):
        return None


def choice(right: Any, answer: str) -> Verdict:
    """The same letter: alone ("B", "(b)."), before its text ("B) Paris") or after "answer is"."""
    alone = re.fullmatch(r"\W*([A-Za-z])\W*", answer) or re.match(r"\W*([A-Z])\s*[.):]", answer)
    letter = alone[1] if alone else next(iter(CHOICE.findall(answer)[-1:]), None)
    if letter is None:
        return Verdict(0.0, (f"There is no choice in {answers.shown(answer)}.",))
    if letter.upper() == str(right).strip().upper():
        return Verdict(1.0)
    return Verdict(0.0, (f"The choice is {letter.upper()}; right is {right}.",))


def json_value(right: Any, answer: str) -> Verdict:
    """The same JSON value: the order of keys does not count, true is not 1."""
    try:
        given = json.loads(answer)
    except (ValueError, RecursionError) as error:
        return Verdict(0.0, (f"{answers.shown(answer)} is not JSON: {error}.",))
    if _same(given, right):
        return Verdict(1.0)
    return _refused(answer, json.dumps(right, ensure_ascii=False))


def _same(given: Any, right: Any) -> bool:
    if isinstance(right, dict):
        return (
            isinstance(given, dict)
            and given.keys() == right.keys()
            and all(_same(given[key], right[key]) for key in right)
        )
    if isinstance(right, list):
        return (
            isinstance(given, list)
            and len(given) == len(right)
            and all(map(_same, given, right))
        )  # fmt: skip
    return given == right and isinstance(given, bool) == isinstance(right, bool)


async def pattern(right: str, answer: str, sandbox: Sandbox | None) -> Verdict:
    """The whole answer matches the regular expression."""
    reply = await ask(sandbox, "search", PATTERN_S, pattern=right, answer=answer)
    if reply.trouble:
        return Verdict(0.0, (f"The answer could not be scored: {reply.trouble}.",))
    if reply.value:
        return Verdict(1.0)
    return Verdict(0.0, (f"{answers.shown(answer)} does not match {right!r}.",))


def _refused(answer: str, right: str) -> Verdict:
    return Verdict(
        0.0, (f"The answer is {answers.shown(answer)}; right is {answers.shown(right)}.",)
    )


CHECKS: dict[str, Callable[[Any, str], Verdict]] = {
    "exact": exact,
    "number": number,
    "choice": choice,
    "json": json_value,
}
