"""Raw text of a V3.2 model to pieces: our parser reads reasoning, content and calls out of it.

It reads leniently: what a model wrote badly reaches the client as text, never as an error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from speciale.chat import THINK_CLOSE, ContentDelta, Event, Finish, Repair, StreamParser
from speciale.serve.backends.seam import Job, Piece, TextPiece


async def read_pieces(
    job: Job, texts: AsyncGenerator[TextPiece, None]
) -> AsyncGenerator[Piece, None]:
    """The pieces of `texts`; closing this closes it too."""
    readers = [_Reader(job) for _ in range(job.n)]
    async with aclosing(texts):
        async for text in texts:
            yield readers[text.choice].read(text)


class _Reader:
    """Reads one choice."""

    def __init__(self, job: Job) -> None:
        self._parser = None
        self._reasoning = False
        self._tail = ""  # the end of the text, where half of </think> may stand
        if job.prompt is not None:
            self._parser = StreamParser(job.prompt.parser_mode, "lenient")
            self._reasoning = job.prompt.in_reasoning

    def read(self, text: TextPiece) -> Piece:
        piece = Piece(
            text.choice,
            tokens=text.tokens,
            reasoning_tokens=text.tokens if self._reasoning else 0,
            logprobs=text.logprobs,
            finish=text.finish,
            prompt_tokens=text.prompt_tokens,
            cached_tokens=text.cached_tokens,
        )
        if self._parser is None:
            piece.events = [ContentDelta(text.text)] if text.text else []
            return piece
        if self._reasoning:
            self._tail += text.text
            self._reasoning = THINK_CLOSE not in self._tail
            self._tail = self._tail[-len(THINK_CLOSE) :]
        events: list[Event] = self._parser.feed(text.text) if text.text else []
        if text.finish is not None:
            events += self._parser.finish()
            if text.finish == "stop" and any(
                isinstance(event, Finish) and event.reason == "tool_calls" for event in events
            ):
                piece.finish = "tool_calls"
        piece.events = [event for event in events if not isinstance(event, Finish | Repair)]
        return piece
