"""Whether two pieces of mathematics are equal, by math-verify (LaTeX to sympy): inside the sandbox.

Its own time limits use signals and are off: worker_server ends what takes too long.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from math_verify import parse, verify

ENVIRONMENTS = ("$", "\\boxed", "\\[", "\\(")


def prepare(**_: Any) -> None:
    _warm()


@cache
def _warm() -> None:
    """Has the grammar of LaTeX and sympy's own parts loaded, which takes longer than a verdict."""
    judge("1/2", "\\frac{2}{4}", True)
    judge("\\{1, 2\\}", "(0, 1]", True)


def judge(right: str, answer: str, marked: bool) -> dict[str, Any]:
    """{"equal": bool, "read": how the answer was understood, None where it holds no mathematics}.

    `marked`: the answer is a formula alone; else it is prose to find one in. ValueError where
    `right` is no mathematics.
    """
    wanted = _parse(_formula(right))
    if not any(not isinstance(each, str) for each in wanted):
        raise ValueError("no mathematics")
    readings = [] if marked else [_parse(answer)]
    if marked or "\n" not in answer:
        readings.append(_parse(_formula(answer)))
    equal = any(verify(wanted, each, timeout_seconds=None) for each in readings if each)
    understood = (each[0] for each in readings if each and not isinstance(each[0], str))
    read = next((str(each) for each in understood), None)
    return {"equal": equal, "read": read}


def _parse(text: str) -> list[Any]:
    return parse(text, parsing_timeout=None)


def _formula(text: str) -> str:
    return text if any(mark in text for mark in ENVIRONMENTS) else f"\\boxed{{{text}}}"
