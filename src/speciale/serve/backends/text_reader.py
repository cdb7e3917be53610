"""Raw text of /completions and SGLang's /generate to text pieces, with tokens and logprobs counted.

The first sends what is new, the second all the text so far.
"""

from __future__ import annotations

from typing import Literal

from speciale.serve.backends.chunks import (
    GenerateChunk,
    GenerateLogprob,
    GenerateMeta,
    TextChoice,
    TextChunk,
    TextLogprobs,
)
from speciale.serve.backends.endings import Endings
from speciale.serve.backends.seam import TextPiece, TokenLogprob

_End = Literal["stop", "length", "insufficient_system_resource"]


class _Reader:
    """`read` for each chunk, then `end`, or `cut` where the stream broke off."""

    def __init__(self, n: int, name: str) -> None:
        self._ends: Endings[TextPiece] = Endings(n, name)

    def end(self) -> list[TextPiece]:
        self._ends.check()
        return self._finish("stop")

    def cut(self) -> list[TextPiece]:
        return self._finish("insufficient_system_resource")

    def _finish(self, reason: _End) -> list[TextPiece]:
        pieces = []
        for index in sorted(self._ends.open):
            pieces += self._ends.end(TextPiece(index, finish=reason))
        return [*pieces, self._last()]

    def _last(self) -> TextPiece:
        return self._ends.last()


class CompletionReader(_Reader):
    """The chunks of /v1/completions."""

    def read(self, chunk: TextChunk | None) -> list[TextPiece]:
        if chunk is None:
            self._ends.done = True
            return []
        if chunk.usage is not None:
            self._ends.usage = chunk.usage
        pieces: list[TextPiece] = []
        for choice in chunk.choices:
            if not self._ends.takes(choice.index):
                continue
            alone = chunk.usage if len(chunk.choices) == 1 else None
            pieces += self._piece(choice, alone.completion_tokens if alone else None)
        return pieces

    def _piece(self, choice: TextChoice, so_far: int | None) -> list[TextPiece]:
        logprobs = _completion_logprobs(choice.logprobs)
        tokens = self._ends.tokens(choice.index, so_far, len(logprobs) or int(bool(choice.text)))
        piece = TextPiece(choice.index, choice.text, tokens, logprobs)
        if choice.finish_reason:
            piece.finish = _reason(choice.finish_reason)
            return self._ends.end(piece)
        return [piece] if choice.text or logprobs or tokens else []

    def _last(self) -> TextPiece:
        piece, usage = self._ends.last(), self._ends.usage
        if usage is not None and piece.finish != "insufficient_system_resource":
            piece.cached_tokens, piece.prompt_tokens = usage.cached_tokens, usage.prompt_tokens
            # Deltas may hold several tokens; the sum at the end is right.
            piece.tokens += max(0, (usage.completion_tokens or 0) - self._ends.counted)
        return piece


class GenerateReader(_Reader):
    """The chunks of SGLang's /generate: each has all the text so far."""

    def __init__(self, n: int, name: str) -> None:
        super().__init__(n, name)
        self._texts = [""] * n
        self._entries = [0] * n

    def read(self, chunk: GenerateChunk | None) -> list[TextPiece]:
        if chunk is None:
            self._ends.done = True
            return []
        index, meta = chunk.index, chunk.meta_info
        if not self._ends.takes(index):
            return []
        ended = meta.finish_reason
        if ended is not None and _reason(ended.type) == "insufficient_system_resource":
            raise self._ends.broken(f"it aborted the request: {(ended.message or '')[:200]}")
        sent = self._texts[index]
        if not chunk.text.startswith(sent):
            raise self._ends.broken(
                "its text does not go on from what it sent: start SGLang without "
                "--incremental-streaming-output"
            )
        self._texts[index] = chunk.text
        piece = TextPiece(
            index,
            chunk.text[len(sent) :],
            self._ends.tokens(index, meta.completion_tokens, 0),
            self._logprobs(index, meta),
        )
        if ended is not None:
            piece.finish = _reason(ended.type)
            piece.cached_tokens, piece.prompt_tokens = meta.cached_tokens, meta.prompt_tokens
            return self._ends.end(piece)
        return [piece] if piece.text or piece.logprobs or piece.tokens else []

    def _logprobs(self, index: int, meta: GenerateMeta) -> list[TokenLogprob]:
        entries, tops = meta.output_token_logprobs or [], meta.output_top_logprobs or []
        start = self._entries[index]
        # Versions differ in whether the lists grow with the text or hold the new tokens only.
        if len(entries) < meta.completion_tokens:
            start = 0
        self._entries[index] += len(entries) - start
        made = []
        for place in range(start, len(entries)):
            top = tops[place] if place < len(tops) else None
            token, logprob = _pair(entries[place])
            made.append(TokenLogprob(token, logprob, [_pair(entry) for entry in top or ()]))
        return made


def _reason(reason: str) -> _End:
    if reason in ("abort", "error", "insufficient_system_resource"):
        return "insufficient_system_resource"
    return "length" if reason == "length" else "stop"


def _completion_logprobs(given: TextLogprobs | None) -> list[TokenLogprob]:
    if given is None:
        return []
    made = []
    for place, (token, logprob) in enumerate(zip(given.tokens, given.token_logprobs)):
        tops = given.top_logprobs or []
        top = tops[place] if place < len(tops) else None
        ranked = sorted((top or {}).items(), key=lambda pair: -pair[1])
        made.append(TokenLogprob(token, _LEAST if logprob is None else logprob, ranked))
    return made


_LEAST = -9999.0  # what vLLM writes for minus infinity


def _pair(entry: GenerateLogprob) -> tuple[str, float]:
    logprob, _, token = entry
    return token or "", _LEAST if logprob is None else logprob
