"""What an attempt did and answered, out of its messages and its last text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from speciale.tasks import answers
from speciale.tasks.task import Attempt

MOST_OPENED = 2_000  # brackets that begin no JSON
_OPENS = re.compile(r"[{[]")


def calls_of(attempt: Attempt) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and arguments of each call, in order; those whose arguments are no object were never
    made."""
    for message in attempt.messages:
        for call in message.get("tool_calls") or ():
            function = call["function"]
            try:
                arguments = json.loads(function["arguments"] or "{}")
            except (ValueError, RecursionError):
                continue
            if isinstance(arguments, dict):
                yield function["name"], arguments


def answer_of(text: str, is_text: bool = False) -> Any:
    """The JSON value of an answer: all of its text, or the last object or list in it; where the
    answer is a text (`is_text`) the text itself will do. None where there is nothing of the kind.
    """
    text = answers.final_answer(text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if is_text:
        return text.strip()
    decoder, found, place, left = json.JSONDecoder(), None, 0, MOST_OPENED
    while left and (start := _OPENS.search(text, place)):
        try:
            found, place = decoder.raw_decode(text, start.start())
        except RecursionError:
            break
        except ValueError:
            place, left = start.end(), left - 1
    return found
