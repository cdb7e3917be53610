"""Small helpers of the authors: how a prompt ends, and cells out of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from speciale.synth.interpreter.problem import form_of

ENDINGS = (
    "Answer with JSON alone, such as {form}.",
    "Your final message is JSON and nothing else, in the form {form}.",
    "Give the result as JSON only: {form}, with the right values.",
    "Reply with nothing but JSON of this form: {form}",
)


def asked(rng: Random, wordings: Sequence[str], answer: Any, hint: str = "") -> str:
    """One of the wordings, a hint about rounding or order, and the form of the answer."""
    ending = rng.choice(ENDINGS).format(form=form_of(answer))
    return " ".join(filter(None, (rng.choice(list(wordings)), hint, ending)))


def cell(*parts: str) -> str:
    """The parts that are not empty, one below the other."""
    return "\n".join(part.strip("\n") for part in parts if part.strip())
