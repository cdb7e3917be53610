"""One request from admission to its ledger row: hold, prompt check, pieces, filter, answer, charge.

The row is durable before the last byte of an answer leaves. Nothing is charged where nothing was
generated: a refused prompt or a failed backend costs nothing, and has its row all the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from speciale.chat import ArgumentDelta, ContentDelta, ReasoningDelta
from speciale.safety.gate import Annotated, Blocked, Held, Passed, vet
from speciale.safety.verdict import merge_results
from speciale.serve.accounts import AccountsError, Admission, Key, Spent
from speciale.serve.answers import ChatAnswer, Out, Results, TextAnswer, Usage
from speciale.serve.backends.seam import Job, Piece
from speciale.serve.deployments import Deployment, prompt_tokens
from speciale.serve.errors import as_api_error
from speciale.serve.filtering import prompt_parts, refusal, seeds
from speciale.serve.observe import Record
from speciale.serve.service import Service

_CHANNELS = {ContentDelta: "content", ReasoningDelta: "reasoning", ArgumentDelta: "arguments"}
_encode = json.JSONEncoder(separators=(",", ":")).encode
_DONE = b"data: [DONE]\n\n"

log = logging.getLogger("speciale.serve")


class Exchange:
    """Use one of `events` and `whole`, once."""

    def __init__(self, service: Service, key: Key, deployment: Deployment, job: Job) -> None:
        self._service, self._key, self._deployment, self._job = service, key, deployment, job
        logprobs = job.body.get("logprobs") not in (None, False)
        self._answer = (
            ChatAnswer(job.id, job.model, job.n, logprobs, job.thinking)
            if job.chat
            else TextAnswer(job.id, job.model, job.n, logprobs)
        )
        self._usage = Usage(prompt_tokens(job))
        self._admission: Admission | None = None
        self._prompt_results: list[dict[str, Any]] = []
        self._finishes: dict[int, str] = {}
        self._begun = time.monotonic()
        self._first: float | None = None
        self._settled = False

    async def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        outs: list[list[Out]] = [[] for _ in range(self._job.n)]
        results: list[Results] = [{} for _ in outs]
        try:
            await self._open()
            # Nothing may leave before it is vetted, whatever streams are allowed.
            async with aclosing(self._released(buffered=True)) as released:
                async for item in released:
                    results[item.choice] = merge_results((results[item.choice], _found(item)))
                    if isinstance(item, Passed):
                        outs[item.choice] += item.items
                    elif isinstance(item, Blocked):
                        outs[item.choice].append(self._blocked(item))
            await self._settle(200)
        except BaseException as error:
            await self._end_with(error)
            raise
        if self._job.body.get("echo"):
            for given in outs:
                given.insert(0, Out(0, ContentDelta(self._job.text)))
        return self._answer.whole(outs, results, self._prompt_results, self._usage)

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The answer as server-sent events. Raises only before the first one; later failures
        become an event with an error."""
        sent = False
        try:
            await self._open()
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    if not sent and self._prompt_results:
                        chunk = {**chunk, "prompt_filter_results": self._prompt_results}
                    sent = True
                    yield _event(chunk)
            await self._settle(200)
        except BaseException as error:
            await self._end_with(error)
            if not sent or not isinstance(error, Exception):
                raise
            yield _event(as_api_error(error).body())
            return
        if (self._job.body.get("stream_options") or {}).get("include_usage"):
            yield _event(self._answer.usage(self._usage))
        yield _DONE

    # ---- steps ----------------------------------------------------------------------------------

    async def _open(self) -> None:
        """Holds the money and checks the prompt."""
        self._service.metrics.running.inc()
        job = self._job
        self._admission = await self._service.admit(
            self._key, job, self._deployment.name, self._usage.prompt_tokens
        )
        self._job = self._service.within(job, self._admission)
        await self._check_prompt()

    async def _check_prompt(self) -> None:
        content_filter = self._deployment.content_filter
        if not content_filter.active:
            return
        verdict = await content_filter.check_prompt(prompt_parts(self._job))
        results = verdict.results()
        if verdict.filtered:
            self._service.metrics.filtered("prompt", self._deployment.name)
            self._finishes[0] = "content_filter"
            raise refusal(results)
        self._prompt_results = [{"prompt_index": 0, "content_filter_results": results}]

    async def _chunks(self) -> AsyncGenerator[dict[str, Any], None]:
        if self._job.body.get("echo"):
            for choice in range(self._job.n):
                for chunk in self._answer.chunks(Out(choice, ContentDelta(self._job.text))):
                    yield chunk
        async with aclosing(self._released()) as released:
            async for item in released:
                match item:
                    case Passed():
                        chunks = [c for out in item.items for c in self._answer.chunks(out)]
                        if chunks and item.results:
                            chunks[-1]["choices"][0]["content_filter_results"] = item.results
                        for chunk in chunks:
                            yield chunk
                    case Annotated():
                        yield self._answer.note(item.choice, item.results, item.offsets)
                    case Blocked():
                        [*chunks, chunk] = self._answer.chunks(self._blocked(item))
                        chunk["choices"][0]["content_filter_results"] = _found(item)
                        for made in (*chunks, chunk):
                            yield made

    async def _released(
        self, buffered: bool = False
    ) -> AsyncGenerator[Passed | Blocked | Annotated, None]:
        """What may leave, in order, as the policy has it."""
        content_filter = self._deployment.content_filter
        vetted = vet(self._held(), content_filter, self._job.n, seeds(self._job), buffered)
        async with aclosing(vetted) as released:
            async for item in released:
                if self._first is None:
                    self._first = time.monotonic()
                yield item

    async def _held(self) -> AsyncIterator[Held]:
        """The backend's pieces, counted, one thing at a time."""
        async with aclosing(self._deployment.backend.run(self._job)) as pieces:
            async for piece in pieces:
                self._count(piece)
                for held in _things(piece):
                    yield held

    def _count(self, piece: Piece) -> None:
        usage = self._usage
        usage.completion_tokens += piece.tokens
        usage.reasoning_tokens += piece.reasoning_tokens
        if piece.prompt_tokens is not None:
            usage.prompt_tokens = piece.prompt_tokens
        # Of several choices the first has read the prompt for all; an upstream's own sum comes with
        # its count of the prompt, on whichever choice is last.
        whole = piece.choice == 0 or piece.prompt_tokens is not None
        if piece.cached_tokens is not None and whole:
            usage.cached_tokens = piece.cached_tokens
        if piece.completion_tokens is not None:
            usage.completion_tokens = piece.completion_tokens
        if piece.total_reasoning_tokens is not None:
            usage.reasoning_tokens = piece.total_reasoning_tokens
        if piece.finish is not None:
            self._finishes.setdefault(piece.choice, piece.finish)

    def _blocked(self, item: Blocked) -> Out:
        self._finishes[item.choice] = "content_filter"
        self._service.metrics.filtered("completion", self._deployment.name)
        return Out(item.choice, finish="content_filter")

    # ---- the end --------------------------------------------------------------------------------

    async def _end_with(self, error: BaseException) -> None:
        """Writes the row of a request that failed, or whose client left."""
        if isinstance(error, Exception):
            known = as_api_error(error)
            if known.status == 500 or isinstance(error, AccountsError):
                log.error("request %s failed", self._job.id, exc_info=error)
            status = known.status
        else:
            status = 499
        # The row is written even while the task is being cancelled, and a failure to write it must
        # not hide the error that led here.
        settling = asyncio.ensure_future(self._settle(status))
        try:
            await asyncio.shield(settling)
        except asyncio.CancelledError:
            await asyncio.wait([settling])
            if not isinstance(error, asyncio.CancelledError | GeneratorExit):
                raise
        except Exception:
            log.exception("the ledger row of request %s could not be written", self._job.id)

    async def _settle(self, status: int) -> None:
        """Charges and writes the row, once."""
        if self._settled:
            return
        self._settled = True
        usage = self._usage
        finish = self._finishes.get(0) or next(iter(self._finishes.values()), None)
        charged = usage.body() if usage.completion_tokens else Usage(0).body()
        try:
            if self._admission is not None:
                spent = Spent(
                    cache_hit_tokens=charged["prompt_cache_hit_tokens"],
                    cache_miss_tokens=charged["prompt_cache_miss_tokens"],
                    completion_tokens=charged["completion_tokens"],
                    reasoning_tokens=usage.reasoning_tokens if usage.completion_tokens else 0,
                    finish_reason=finish,
                    status=status,
                )
                with self._service.metrics.ledger.time():
                    await self._service.accounts.settle(self._admission, spent)
        finally:
            now = time.monotonic()
            self._service.metrics.running.dec()
            self._service.finished(
                Record(
                    id=self._job.id,
                    key=self._key.name,
                    model=self._deployment.name,
                    status=status,
                    finish=finish,
                    usage=usage,
                    seconds=now - self._begun,
                    seconds_to_first=None if self._first is None else self._first - self._begun,
                )
            )


def _things(piece: Piece) -> list[Held]:
    """A piece as things to hold back: one for each event, the log-probs with the first."""
    made = []
    logprobs = piece.logprobs
    for event in piece.events:
        channel = _CHANNELS.get(type(event), "none")
        text = event.text if channel != "none" else ""
        reasoning = bool(piece.reasoning_tokens)
        out = Out(piece.choice, event, logprobs, reasoning)
        made.append(Held(piece.choice, channel, text, out, False))
        logprobs = []
    if logprobs or piece.finish is not None:
        out = Out(piece.choice, None, logprobs, bool(piece.reasoning_tokens), piece.finish)
        made.append(Held(piece.choice, "none", "", out, piece.finish is not None))
    return made


def _found(item: Passed | Blocked | Annotated) -> Results:
    return item.verdict.results() if isinstance(item, Blocked) else item.results or {}


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + _encode(body).encode() + b"\n\n"
