"""Regular expressions on a model's answer, inside the sandbox: one may take for ever."""

from __future__ import annotations

import re


def search(pattern: str, answer: str) -> bool:
    """Whether `pattern` matches the whole answer."""
    return re.fullmatch(pattern, answer) is not None
