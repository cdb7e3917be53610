"""Completions to messages, whole or as they stream. `parse` is the stream parser fed once.
The grammar is in grammar.py, what streams in events.py. Source: `encoding/` of
deepseek-ai/DeepSeek-V3.2, and for the lenient mode what its users have met in engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from speciale.chat.errors import ChatFormatError, article
from speciale.chat.events import Event, join
from speciale.chat.grammar import Grammar
from speciale.chat.reader import Reader


def parse(text: str, thinking_mode: str, mode: str = "strict") -> dict:
    """The assistant message of a completion: role, content, reasoning_content, tool_calls.

    `thinking_mode` is "thinking" where the prompt ends in `<think>`, so that `text` begins inside
    the reasoning; anything else counts as "chat". mode="strict" reads what the reference reads
    (which also takes some cut-off calls) and raises ChatFormatError, with the offset, for all
    else. mode="lenient" never raises: it keeps prose, drops markup and returns the complete calls.
    """
    parser = StreamParser(thinking_mode, mode)
    return join([*parser.feed(text), *parser.finish()])


class StreamParser:
    """Reads a completion in chunks of any size; the events, joined, are those of the whole text.

    Content is held back only while its end may still become a mark; a string argument is given
    out as it comes, any other when it is complete. `thinking_mode` and `mode` are those of
    `parse`. With `tools` (OpenAI's list) the arguments are fitted to the tools' schemas where the
    model missed them (schema.py) and then come in one piece for each call: left out by default,
    since the format itself says which values are text.
    """

    def __init__(
        self,
        thinking_mode: str,
        mode: str = "strict",
        tools: Iterable[Mapping[str, Any]] | None = None,
    ):
        if mode not in ("strict", "lenient"):
            raise ChatFormatError(f'mode is {mode!r}: use "strict" or "lenient".')
        tools = None if tools is None else list(tools)
        self._reader = Reader(mode == "strict")
        self._reading = Grammar(self._reader, thinking_mode == "thinking", tools).message()
        self._error: ChatFormatError | None = None
        self._finished = False

    def feed(self, chunk: str) -> list[Event]:
        """The events that `chunk` completes. Raises ChatFormatError (strict only)."""
        if not isinstance(chunk, str):
            raise ChatFormatError(f"the completion is {article(chunk)}: pass its text.")
        return self._read(chunk)

    def finish(self) -> list[Event]:
        """The last events, a Finish at the end. Raises ChatFormatError (strict only)."""
        return self._read("", final=True)

    def _read(self, chunk: str, final: bool = False) -> list[Event]:
        if self._error is not None:
            raise self._error
        assert not self._finished, "finish() has ended this completion: take a new parser"
        self._finished = final
        events = self._reader.events = []
        self._reader.add(chunk, final)
        try:
            next(self._reading, None)
        except ChatFormatError as error:
            self._error = error
            raise
        return events
