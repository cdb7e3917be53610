"""The engine in this process as a backend: its updates become text, our parser reads it.
Structured output (JSON, schemas, tool calls) is the engine's own mask over the vocabulary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from speciale.chat import Prompt
from speciale.chat.ids import parts_to_ids
from speciale.engine.engine import Engine
from speciale.engine.grammar import Json, JsonSchema, Spec, ToolCalls
from speciale.engine.params import SamplingParams
from speciale.engine.request import Update
from speciale.errors import CheckpointError
from speciale.serve.backends.reading import read_pieces
from speciale.serve.backends.seam import BackendError, Job, Piece, TextPiece, TokenLogprob

_FINISH = {"stop": "stop", "length": "length"}


class Embedded:
    """Answers with the model of a run or an HF-layout folder."""

    def __init__(self, folder: str | Path, **options: Any) -> None:
        """Options: those of EngineOptions. CheckpointError where there is no model with text."""
        self._engine = Engine.open(folder, **options)
        self._core = self._engine.core
        if self._core.tokenizer is None:
            raise CheckpointError(f"{folder} has no tokenizer.json: a service needs one")
        self.context = self._core.context

    async def start(self) -> None:
        """Compiles the kernels and the grammar's vocabulary before the first request waits."""
        params = SamplingParams(max_tokens=1, temperature=0.0, grammar=Json())
        async for _ in self._engine.generate(self.tokens("warm"), params):
            pass

    async def close(self) -> None:
        await self._engine.close()

    async def ready(self) -> str | None:
        waiting, most = len(self._core.scheduler.waiting), self._core.options.max_waiting
        return f"{waiting} requests wait for the engine" if waiting >= most else None

    def tokens(self, prompt: Prompt | str) -> list[int]:
        if isinstance(prompt, Prompt):
            return prompt.ids(self._core.tokenizer)
        return parts_to_ids(self._core.tokenizer, [prompt], marks_in_text=True)

    async def run(self, job: Job) -> AsyncIterator[Piece]:
        async with aclosing(read_pieces(job, self._texts(job))) as pieces:
            async for piece in pieces:
                yield piece

    async def _texts(self, job: Job) -> AsyncGenerator[TextPiece, None]:
        params = await asyncio.to_thread(sampling, job)
        begun = False
        async with aclosing(self._engine.generate(job.ids, params)) as updates:
            async for update in updates:
                piece = self._piece(update)
                if piece.finish == "insufficient_system_resource" and not begun:
                    raise BackendError(
                        "the engine could not answer: "
                        f"{update.completion.error or update.completion.finish_reason}"
                    )
                begun = True
                yield piece

    def _piece(self, update: Update) -> TextPiece:
        piece = TextPiece(update.index, update.text, len(update.ids))
        if update.top is not None:
            piece.logprobs = [
                TokenLogprob(
                    self._spell(token), logprob, [(self._spell(i), p) for i, p in top or ()]
                )
                for token, logprob, top in zip(update.ids, update.logprobs, update.top)
            ]
        if update.completion is not None:
            reason = update.completion.finish_reason
            piece.finish = _FINISH.get(reason, "insufficient_system_resource")
            piece.cached_tokens = update.completion.cached_tokens
        return piece

    def _spell(self, token: int) -> str:
        return self._core.tokenizer.decode([token], skip_special_tokens=False)


def sampling(job: Job) -> SamplingParams:
    """The engine's settings of a request; RequestError for what it cannot do."""
    body = job.body
    top = body.get("top_logprobs") or 0
    return SamplingParams(
        max_tokens=job.max_tokens,
        temperature=_or(body.get("temperature"), 1.0),
        top_p=_or(body.get("top_p"), 1.0),
        presence_penalty=_or(body.get("presence_penalty"), 0.0),
        frequency_penalty=_or(body.get("frequency_penalty"), 0.0),
        seed=body.get("seed"),
        n=job.n,
        stop=body.get("stop") or (),
        logprobs=top if body.get("logprobs") not in (None, False) else None,
        grammar=grammar(job),
        priority=job.priority,
    )


def grammar(job: Job) -> Spec | None:
    """What the answer may be. A continued text has begun already, so that nothing masks it."""
    if job.prompt is None or job.prompt.messages[-1]["role"] == "assistant":
        return None
    body = job.body
    thinking = job.prompt.in_reasoning
    choice = body.get("tool_choice") or "auto"
    if body.get("tools") and choice != "none":
        return ToolCalls(body["tools"], choice, thinking)
    layout = body.get("response_format") or {"type": "text"}
    if layout["type"] == "json_object":
        return Json(thinking)
    if layout["type"] == "json_schema":
        return JsonSchema(layout["json_schema"].get("schema") or {}, thinking)
    return None


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
