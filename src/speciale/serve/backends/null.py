"""A backend without a model: words at once or at a pace, to measure what the service itself costs.
"null" writes as fast as it is read, "null:20" twenty words a second in each answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from speciale.chat import ContentDelta, Prompt
from speciale.serve.backends.seam import Job, Piece

_LENGTH = 64  # words of an answer, unless the request has max_tokens
# In another order in each answer, so that no cache of the content filter answers for it.
_TEXT = (
    "the a river stone walks under bright old letters and seven maps of winter bread while nobody "
    "counts small boats near green glass towers before music returns with cold tea or paper birds"
)


class Null:
    context = 128_000

    def __init__(self, words_a_second: float | None = None) -> None:
        self._pause_s = 1 / words_a_second if words_a_second else 0.0

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def ready(self) -> str | None:
        return None

    def tokens(self, prompt: Prompt | str) -> list[int]:
        """One for each word."""
        text = prompt.text if isinstance(prompt, Prompt) else prompt
        return list(range(len(text.split()) or 1))

    async def run(self, job: Job) -> AsyncIterator[Piece]:
        # Made once: nothing that takes them changes them.
        pieces = [[ContentDelta(word + " ")] for word in _TEXT.split()]
        chance = random.Random(job.id)
        for choice in range(job.n):
            for _ in range(min(job.max_tokens, job.body.get("max_tokens") or _LENGTH)):
                yield Piece(choice, chance.choice(pieces), tokens=1)
                await asyncio.sleep(self._pause_s)
            yield Piece(choice, finish="stop", cached_tokens=0)
