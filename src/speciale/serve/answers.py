"""Answers in OpenAI's shapes with DeepSeek's and Azure's additions, whole or in chunks.

`Out` is the smallest thing that is released: one event of one choice, or its end.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from speciale.chat import ContentDelta, Event, join
from speciale.chat.openai import ChunkWriter, to_completion
from speciale.serve.backends.seam import FinishReason, TokenLogprob

Results = Mapping[str, Any]  # content_filter_results


@dataclass(slots=True)
class Out:
    choice: int
    event: Event | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    reasoning: bool = False  # the logprobs are of reasoning
    finish: FinishReason | None = None


@dataclass
class Usage:
    """Tokens of one request, counted as they come from the backend."""

    prompt_tokens: int
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    def body(self) -> dict[str, Any]:
        cached = min(self.cached_tokens, self.prompt_tokens)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_cache_hit_tokens": cached,
            "prompt_cache_miss_tokens": self.prompt_tokens - cached,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
        }


class ChatAnswer:
    """The `chat.completion` of a request, whole or in chunks."""

    def __init__(self, id: str, model: str, n: int, logprobs: bool, thinking: bool) -> None:
        self._id, self._model, self._logprobs, self._thinking = id, model, logprobs, thinking
        self._writers = [ChunkWriter(model, index, id) for index in range(n)]

    def chunks(self, out: Out) -> list[dict[str, Any]]:
        """The chunks of one thing released; mostly one."""
        writer = self._writers[out.choice]
        made = writer.chunks([out.event]) if out.event is not None else []
        if out.finish is not None:
            made.append(writer.last(out.finish))
        if out.logprobs and self._logprobs:
            if not made:
                made.append(writer.empty())
            made[-1]["choices"][0]["logprobs"] = _chat_logprobs([out])
        for chunk in made:
            delta = chunk["choices"][0]["delta"]
            if self._thinking and "role" in delta:  # the first: it says that there is reasoning
                delta.setdefault("reasoning_content", "")
        return made

    def note(self, choice: int, results: Results, offsets: Results | None) -> dict[str, Any]:
        """A chunk without text: annotations that follow what they are about."""
        chunk = self._writers[choice].empty()
        chunk["choices"][0]["content_filter_results"] = results
        if offsets is not None:
            chunk["choices"][0]["content_filter_offsets"] = offsets
        return chunk

    def usage(self, usage: Usage) -> dict[str, Any]:
        return {**self._writers[0].empty(), "choices": [], "usage": usage.body()}

    def whole(
        self,
        outs: list[list[Out]],
        results: list[Results],
        prompt_results: list[Results],
        usage: Usage,
    ) -> dict[str, Any]:
        """outs, results: one entry a choice."""
        body: dict[str, Any] = {}
        choices = []
        for index, (given, found) in enumerate(zip(outs, results)):
            reason = next((out.finish for out in given if out.finish), None)
            message = join(out.event for out in given if out.event is not None)
            body = to_completion(message, self._model, reason, usage.body())
            [choice] = body["choices"]
            choice["index"] = index
            if self._thinking:  # even if it is empty: clients have to send it back in a tool loop
                choice["message"].setdefault("reasoning_content", "")
            if self._logprobs:
                choice["logprobs"] = _chat_logprobs(given)
            if found:
                choice["content_filter_results"] = found
            choices.append(choice)
        body = {**body, "id": self._id, "choices": choices}
        return {**body, "prompt_filter_results": prompt_results} if prompt_results else body


class TextAnswer:
    """The `text_completion` of a request, whole or in chunks."""

    def __init__(self, id: str, model: str, n: int, logprobs: bool) -> None:
        self._logprobs = logprobs
        self._head = {"id": id, "object": "text_completion", "created": int(time.time())}
        self._head["model"] = model
        self._offsets = [0] * n

    def chunks(self, out: Out) -> list[dict[str, Any]]:
        text = out.event.text if isinstance(out.event, ContentDelta) else ""
        if not text and not out.logprobs and out.finish is None:
            return []
        logprobs = self._text_logprobs([out]) if self._logprobs else None
        return [self._chunk(out.choice, text, logprobs, out.finish)]

    def note(self, choice: int, results: Results, offsets: Results | None) -> dict[str, Any]:
        chunk = self._chunk(choice, "", None, None)
        chunk["choices"][0]["content_filter_results"] = results
        if offsets is not None:
            chunk["choices"][0]["content_filter_offsets"] = offsets
        return chunk

    def usage(self, usage: Usage) -> dict[str, Any]:
        return {**self._head, "choices": [], "usage": usage.body()}

    def whole(
        self,
        outs: list[list[Out]],
        results: list[Results],
        prompt_results: list[Results],
        usage: Usage,
    ) -> dict[str, Any]:
        choices = []
        for index, (given, found) in enumerate(zip(outs, results)):
            text = "".join(o.event.text for o in given if isinstance(o.event, ContentDelta))
            reason = next((out.finish for out in given if out.finish), "stop")
            logprobs = self._text_logprobs(given) if self._logprobs else None
            [choice] = self._chunk(index, text, logprobs, reason)["choices"]
            if found:
                choice["content_filter_results"] = found
            choices.append(choice)
        body = {**self._head, "choices": choices, "usage": usage.body()}
        return {**body, "prompt_filter_results": prompt_results} if prompt_results else body

    def _chunk(self, choice: int, text: str, logprobs: Any, finish: Any) -> dict[str, Any]:
        return {
            **self._head,
            "choices": [
                {"index": choice, "text": text, "logprobs": logprobs, "finish_reason": finish}
            ],
        }

    def _text_logprobs(self, outs: Iterable[Out]) -> dict[str, list]:
        made: dict[str, list] = {
            "tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": [],
        }  # fmt: skip
        for out in outs:
            for entry in out.logprobs:
                made["tokens"].append(entry.token)
                made["token_logprobs"].append(entry.logprob)
                made["top_logprobs"].append(dict(entry.top))
                made["text_offset"].append(self._offsets[out.choice])
                self._offsets[out.choice] += len(entry.token)
        return made


def _chat_logprobs(outs: Iterable[Out]) -> dict[str, list | None]:
    made: dict[str, list | None] = {"content": None, "reasoning_content": None}
    for out in outs:
        name = "reasoning_content" if out.reasoning else "content"
        if out.logprobs:
            made[name] = (made[name] or []) + [_entry(entry) for entry in out.logprobs]
    return made


def _entry(entry: TokenLogprob) -> dict[str, Any]:
    top = [{**_spelled(token), "logprob": logprob} for token, logprob in entry.top]
    return {**_spelled(entry.token), "logprob": entry.logprob, "top_logprobs": top}


def _spelled(token: str) -> dict[str, Any]:
    return {"token": token, "bytes": list(token.encode("utf-8", "replace"))}
