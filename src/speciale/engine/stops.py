"""Stop strings in text that comes in pieces: what may be a part of one is held back.

Of several the one that begins first ends the text, whatever the pieces; where two begin at the same
place it is the shorter.
"""

from __future__ import annotations


class StopWatcher:
    """Give it the text with `feed`, then `finish`; joined, its answers are the text up to the stop.

    `matched` is the stop string that ended it. It may take a few more characters until it is
    set: after "ab" with the stops "abc" and "b" the next one decides where the text ends.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        """stop: without empty strings."""
        assert all(stop), "an empty stop string matches everywhere"
        self.matched: str | None = None
        self._stop = stop
        self._held = ""

    def feed(self, text: str) -> str:
        """The text that can go out now."""
        if self.matched is not None:
            return ""
        self._held += text
        return self._release(min((_opening(self._held, s) for s in self._stop), default=None))

    def finish(self) -> str:
        """What was held back, now that nothing follows."""
        return self._release(None)

    def _release(self, opening: int | None) -> str:
        """Gives out what stands before `opening`, where an incomplete stop string begins."""
        end = len(self._held) if opening is None else opening
        found = [(self._held.find(s), len(s), s) for s in self._stop if s in self._held]
        if found and min(found)[0] <= end:
            end, _, self.matched = min(found)
        out, self._held = self._held[:end], self._held[end:] if self.matched is None else ""
        return out


def _opening(text: str, stop: str) -> int:
    """The first place from which the rest of `text` is a beginning of `stop`; its end if none."""
    place = text.find(stop[0], max(0, len(text) - len(stop) + 1))
    while place >= 0 and not stop.startswith(text[place:]):
        place = text.find(stop[0], place + 1)
    return len(text) if place < 0 else place
