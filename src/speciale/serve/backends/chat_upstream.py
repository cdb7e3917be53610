"""An OpenAI-compatible chat server as a backend: its own template, parsers and tokenizer are used.

Flavours say how a server takes what OpenAI's API lacks: the thinking switch, a text to continue,
reasoning in the messages.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any, Literal

from speciale.chat import Prompt
from speciale.errors import RequestError
from speciale.serve.backends.chat_reader import ChatReader, Habits
from speciale.serve.backends.chunks import ChatChunk, TextChunk
from speciale.serve.backends.connection import Connection, Timeouts
from speciale.serve.backends.reading import read_pieces
from speciale.serve.backends.seam import Job, Piece
from speciale.serve.backends.text_reader import CompletionReader

Flavour = Literal["vllm", "sglang", "deepseek", "azure", "openai"]

# Engines that one runs oneself; they have a health route and count tokens as they stream.
_ENGINES = ("vllm", "sglang")
_FORWARDED = (
    "messages", "tools", "tool_choice", "response_format", "temperature", "top_p", "stop", "n",
    "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs",
)  # fmt: skip
_AZURE_VERSION = "2024-10-21"


class ChatUpstream:
    """Sends `user` to nobody: whose request it is stays here."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        model: str,
        flavour: Flavour = "openai",
        context: int = 128_000,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`url` with or without /v1. Azure: the resource's address, `model` the deployment, or
        the whole `.../openai/deployments/NAME`; an address that ends in /v1 is Azure's newer API,
        which has no api-version. `context` is in tokens. ConfigError for an impossible url."""
        self.context = context
        self._model, self._flavour = model, flavour
        url = url.rstrip("/")
        query = {}
        if flavour == "azure" and not url.endswith("/v1"):
            query["api-version"] = _AZURE_VERSION
            if "/openai/deployments/" not in url:
                url = f"{url.removesuffix('/openai')}/openai/deployments/{model}"
        else:
            url = with_version(url)
        self._connection = Connection(
            url,
            api_key,
            key_header="api-key" if flavour == "azure" else "authorization",
            query=query,
            timeouts=timeouts,
        )
        self.name = self._connection.name
        self._habits = Habits()

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        await self._connection.close()

    async def ready(self) -> str | None:
        if self._flavour == "azure" and "/openai/deployments/" in self.name:
            return None  # it has no route that answers without a charge
        if self._flavour in _ENGINES:
            return await self._connection.check("/health")
        trouble = await self._connection.check("/models")
        if trouble and self._flavour == "openai":
            return await self._connection.check("/health")  # not every server lists its models
        return trouble

    def tokens(self, prompt: Prompt | str) -> list[int] | None:
        return None

    async def run(self, job: Job) -> AsyncIterator[Piece]:
        pieces: AsyncGenerator[Piece, None]
        if job.chat:
            reader = ChatReader(job, self._habits, self.name)
            body = self.chat_body(job)
            pieces = self._connection.answer("/chat/completions", body, ChatChunk, reader)
        else:
            reader = CompletionReader(job.n, self.name)
            body = self.text_body(job)
            texts = self._connection.answer("/completions", body, TextChunk, reader)
            pieces = read_pieces(job, texts)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    def chat_body(self, job: Job) -> dict[str, Any]:
        """The request as this flavour takes it. RequestError for what it has no way to say."""
        body = {name: job.body[name] for name in _FORWARDED if job.body.get(name) is not None}
        body |= self._common(job)
        body["messages"] = messages = [self._message(m) for m in job.body["messages"]]
        if self._flavour in _ENGINES:
            body["chat_template_kwargs"] = {"thinking": job.thinking}
            if messages[-1].pop("prefix", None):
                body |= {"continue_final_message": True, "add_generation_prompt": False}
        elif self._flavour == "deepseek":
            body["thinking"] = {"type": "enabled" if job.thinking else "disabled"}
        elif messages[-1].get("prefix"):
            raise RequestError(
                "this model's server cannot continue an assistant message: leave prefix out"
            )
        return body

    def text_body(self, job: Job) -> dict[str, Any]:
        names = ("temperature", "top_p", "stop", "n", "seed", "frequency_penalty",
                 "presence_penalty", "logprobs")  # fmt: skip
        body = {name: job.body[name] for name in names if job.body.get(name) is not None}
        body |= self._common(job)
        if self._flavour in _ENGINES:
            body["prompt"] = job.text  # fill in the middle as marks: they take no suffix
            body["skip_special_tokens"] = False
        else:
            body["prompt"] = job.body["prompt"]
            if job.body.get("suffix") is not None:
                body["suffix"] = job.body["suffix"]
        return body

    def _common(self, job: Job) -> dict[str, Any]:
        options: dict[str, Any] = {"include_usage": True}
        if self._flavour in _ENGINES:
            options["continuous_usage_stats"] = True
        return {
            "model": self._model,
            "stream": True,
            "stream_options": options,
            "max_tokens": job.max_tokens,
        }

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        message = dict(message)
        reasoning = message.get("reasoning_content")
        if self._flavour == "vllm" and reasoning is not None:
            message["reasoning"] = reasoning  # the name since vLLM 0.12
        if self._flavour == "openai":
            message.pop("reasoning_content", None)  # unknown there, and refused by some
        return message


def with_version(url: str) -> str:
    """`url` with the version that OpenAI's routes start with; /beta is DeepSeek's other one."""
    url = url.rstrip("/")
    return url if url.endswith(("/v1", "/beta")) else f"{url}/v1"
