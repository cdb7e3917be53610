"""JSON values as gates look at them: their leaves, and what else stood in the same place.

A place is the key that a value has in a tool's result, whatever lies around it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from speciale.tasks.synthesised.world import Call

Path = tuple[str | int, ...]
MOST_SEEN = 5_000  # values of one place


def canonical(value: Any) -> str:
    """The same text for the same JSON value; 1.0 is 1."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each value that holds no others, with its way from the root."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, (*path, index))
    else:
        yield path, value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """A copy with another value at a path."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def text_of(leaf: Any) -> str:
    return leaf if isinstance(leaf, str) else canonical(leaf)


class Seen:
    """What calls gave: the different values of each place, in order of appearance."""

    def __init__(self, calls: Iterable[Call]) -> None:
        self.places: dict[str, dict[str, Any]] = {}
        self._at: dict[str, set[str]] = {}
        for call in calls:
            self._take(call.value, call.name)

    def _take(self, value: Any, place: str) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                self._take(each, key)
        elif isinstance(value, list):
            for each in value:
                self._take(each, place)
        elif value is not None and not isinstance(value, bool):
            values = self.places.setdefault(place, {})
            text = text_of(value)
            if len(values) < MOST_SEEN or text in values:
                values.setdefault(text, value)
                self._at.setdefault(text, set()).add(place)

    def alike(self, leaf: Any) -> list[Any]:
        """The values that stood where this one did, itself among them; [] if it never did. Of
        several places the one with the fewest: a guesser would look there."""
        places = self._at.get(text_of(leaf), ())
        found = [self.places[place] for place in sorted(places)]
        return list(min(found, key=len).values()) if found else []
