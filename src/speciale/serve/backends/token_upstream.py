"""An engine elsewhere that takes token ids and gives raw text: our encoding in, our parser out.

The format stays exact whatever the engine's chat template and parsers do. Two routes: vLLM's (and
SGLang's) /v1/completions, and SGLang's own /generate.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Literal

from tokenizers import Tokenizer

from speciale.chat import CALLS_OPEN, INVOKE_OPEN, Prompt
from speciale.chat.ids import parts_to_ids
from speciale.errors import RequestError
from speciale.serve.backends.chat_upstream import with_version
from speciale.serve.backends.chunks import GenerateChunk, TextChunk
from speciale.serve.backends.connection import Connection, Timeouts
from speciale.serve.backends.reading import read_pieces
from speciale.serve.backends.seam import Job, Piece, TextPiece
from speciale.serve.backends.text_reader import CompletionReader, GenerateReader


class TokenUpstream:
    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        model: str,
        tokenizer: Tokenizer,
        kind: Literal["completions", "generate"] = "completions",
        context: int = 128_000,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`tokenizer` is the served model's; it must have V3.2's marks. `context` is in tokens.
        ConfigError for an impossible url."""
        self.context = context
        self._model, self._tokenizer, self._kind = model, tokenizer, kind
        root = url.rstrip("/").removesuffix("/v1")
        base = with_version(url) if kind == "completions" else root
        self._connection = Connection(base, api_key, timeouts=timeouts)
        self.name = self._connection.name

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        await self._connection.close()

    async def ready(self) -> str | None:
        return await self._connection.check("/health")

    def tokens(self, prompt: Prompt | str) -> list[int]:
        if isinstance(prompt, Prompt):
            return prompt.ids(self._tokenizer)
        return parts_to_ids(self._tokenizer, [prompt], marks_in_text=True)

    async def run(self, job: Job) -> AsyncIterator[Piece]:
        async with aclosing(read_pieces(job, self.texts(job))) as pieces:
            async for piece in pieces:
                yield piece

    async def texts(self, job: Job) -> AsyncGenerator[TextPiece, None]:
        """The raw text. A call that is asked for is begun on the model's behalf (opening)."""
        assert job.ids is not None, "a job for TokenUpstream has the ids of its tokens()"
        begin = opening(job)
        ids = [*job.ids, *parts_to_ids(self._tokenizer, [begin])] if begin else job.ids
        reader: CompletionReader | GenerateReader
        if self._kind == "completions":
            path, kind, body = "/completions", TextChunk, completions_body(job, ids, self._model)
            reader = CompletionReader(job.n, self.name)
        else:
            path, kind, body = "/generate", GenerateChunk, generate_body(job, ids)
            reader = GenerateReader(job.n, self.name)
        begun = not begin
        async with aclosing(self._connection.answer(path, body, kind, reader)) as pieces:
            async for piece in pieces:
                if not begun:
                    begun = True
                    for choice in range(job.n):
                        yield TextPiece(choice, begin)
                piece.prompt_tokens = None  # known from the ids, what was begun not among them
                yield piece


def opening(job: Job) -> str:
    """The text that a wanted call begins with: put behind the prompt, it leaves the model no way
    but to go on with the call.

    RequestError while thinking: the call would come in place of the reasoning.
    """
    choice = job.body.get("tool_choice")
    if job.prompt is None or choice in (None, "none", "auto") or not job.body.get("tools"):
        return ""
    if job.prompt.in_reasoning:
        raise RequestError(
            f"tool_choice is {choice!r}, which this model can only follow without thinking: "
            'disable thinking or use "auto"'
        )
    names = [tool["function"]["name"] for tool in job.body["tools"]]
    if not isinstance(choice, str):
        names = [choice["function"]["name"]]
    begin = f'\n\n{CALLS_OPEN}\n{INVOKE_OPEN} name="'
    return f'{begin}{names[0]}">\n' if len(names) == 1 else begin


def completions_body(job: Job, ids: list[int], model: str) -> dict[str, Any]:
    """For /v1/completions of vLLM and SGLang."""
    body = _sampling(job) | {"max_tokens": job.max_tokens}
    if job.body.get("seed") is not None:
        body["seed"] = job.body["seed"]
    top = _top_logprobs(job)
    if top is not None:
        body["logprobs"] = top
    layout = _layout(job)
    if layout is not None:
        # Both engines take it here too; vLLM's guided_json is gone since 0.12.
        body["response_format"] = layout
    return body | {
        "model": model,
        "prompt": ids,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "include_stop_str_in_output": False,
        "add_special_tokens": False,
    }


def generate_body(job: Job, ids: list[int]) -> dict[str, Any]:
    """For SGLang's /generate."""
    sampling = _sampling(job) | {"max_new_tokens": job.max_tokens}
    if job.body.get("seed") is not None:
        sampling["sampling_seed"] = job.body["seed"]
    layout = _layout(job)
    if layout is not None:
        schema = {"type": "object"}
        if layout["type"] == "json_schema":
            schema = layout["json_schema"].get("schema") or schema
        sampling["json_schema"] = json.dumps(schema)
    sampling |= {"skip_special_tokens": False, "spaces_between_special_tokens": False}
    body: dict[str, Any] = {"input_ids": ids, "sampling_params": sampling, "stream": True}
    top = _top_logprobs(job)
    if top is not None:
        body |= {"return_logprob": True, "top_logprobs_num": top, "return_text_in_logprobs": True}
    return body


def _sampling(job: Job) -> dict[str, Any]:
    names = ("temperature", "top_p", "stop", "n", "frequency_penalty", "presence_penalty")
    return {name: job.body[name] for name in names if job.body.get(name) is not None}


def _top_logprobs(job: Job) -> int | None:
    """A chat's logprobs are a switch with top_logprobs, a completion's a number."""
    asked = job.body.get("logprobs")
    if not job.chat:
        return asked
    return (job.body.get("top_logprobs") or 0) if asked else None


def _layout(job: Job) -> dict[str, Any] | None:
    """The response format that the engine is to hold the text to. None while thinking, when its
    mask would fall on the reasoning, and in a text that has begun: the prompt alone asks for it."""
    layout = job.body.get("response_format")
    if not layout or layout["type"] == "text" or job.prompt is None or job.prompt.in_reasoning:
        return None
    if job.prompt.messages[-1]["role"] == "assistant" or opening(job):
        return None
    # Tools that may be called need text that is no JSON.
    callable_ = job.body.get("tools") and job.body.get("tool_choice") != "none"
    return None if callable_ else layout
