"""Deployments: a name that clients ask for, the variant's rules, who answers, which filter.

V3.2 thinks or not, with tools; Speciale thinks always and calls no tools (the model card of
DeepSeek-V3.2-Speciale: it was trained on reasoning alone).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from speciale.chat import (
    FIM_BEGIN,
    FIM_END,
    FIM_HOLE,
    ChatFormatError,
    Prompt,
    encode_request,
)
from speciale.chat.request import thinks
from speciale.safety.filter import ContentFilter
from speciale.serve.backends.seam import Backend, Job
from speciale.serve.errors import ApiError
from speciale.serve.schema import ChatRequest, CompletionRequest, Sampling

Variant = Literal["v3.2", "speciale"]

# Characters a token is taken for where no tokenizer can count: few, so that holds are not too low.
_CHARACTERS_A_TOKEN = 3
_LONG = 20_000  # characters from which encoding leaves the event loop alone
# DeepSeek's defaults of max_tokens, https://api-docs.deepseek.com/quick_start/pricing
_ANSWER, _THINKING_ANSWER = 4_096, 32_768


@dataclass
class Deployment:
    name: str
    backend: Backend
    content_filter: ContentFilter
    variant: Variant = "v3.2"
    thinks: bool = False  # unless the request says
    aliases: Mapping[str, bool] = field(default_factory=dict)  # name -> thinks, as above
    context: int = 128_000  # tokens of prompt and answer

    @property
    def window(self) -> int:
        return min(self.context, self.backend.context)

    async def chat_job(self, request: ChatRequest, id: str) -> Job:
        """ApiError or ChatFormatError for what this deployment does not serve."""
        body = request.model_dump(exclude_none=True, by_alias=True)
        body["max_tokens"] = body.pop("max_completion_tokens", None) or body.get("max_tokens")
        thinking = self._thinking(request, body)
        if thinking:
            _require_reasoning(request.messages)
        for name in ("enable_thinking", "chat_template_kwargs"):
            body.pop(name, None)
        body["thinking"] = {"type": "enabled" if thinking else "disabled"}
        prompt = await _apart(_size(request.messages), lambda: encode_request(body))
        ids = await _apart(_size(request.messages), lambda: self.backend.tokens(prompt))
        return self._job(request, id, body, prompt=prompt, ids=ids, thinking=thinking)

    async def text_job(self, request: CompletionRequest, id: str) -> Job:
        body = request.model_dump(exclude_none=True)
        text = request.prompt
        if request.suffix is not None:
            text = f"{FIM_BEGIN}{request.prompt}{FIM_HOLE}{request.suffix}{FIM_END}"
        ids = await _apart(len(text), lambda: self.backend.tokens(text))
        return self._job(request, id, body, text=text, ids=ids, thinking=False)

    def _thinking(self, request: ChatRequest, body: Mapping[str, Any]) -> bool:
        options = request.chat_template_kwargs or {}
        said = (request.thinking, request.enable_thinking, *map(options.get, _SWITCHES))
        default = self.aliases.get(request.model, self.thinks)
        thinking = thinks(body) if any(value is not None for value in said) else default
        if self.variant == "speciale":
            if any(value is not None for value in said) and not thinking:
                raise ApiError(
                    400,
                    f"{request.model} always thinks: leave thinking out, or ask a V3.2 model",
                    param="thinking",
                    code="unsupported",
                )
            if request.tools or any(message.get("tools") for message in request.messages):
                raise ApiError(
                    400,
                    f"{request.model} calls no tools: leave tools out, or ask a V3.2 model",
                    param="tools",
                    code="unsupported",
                )
            return True
        return thinking

    def _job(
        self,
        request: Sampling,
        id: str,
        body: dict[str, Any],
        *,
        thinking: bool,
        ids: list[int] | None,
        prompt: Prompt | None = None,
        text: str | None = None,
    ) -> Job:
        asked = body.get("max_tokens")
        default = _THINKING_ANSWER if thinking else _ANSWER
        job = Job(
            id,
            request.model,
            prompt is not None,
            body,
            thinking,
            prompt,
            text,
            ids,
            asked or default,
        )
        count = prompt_tokens(job)
        room = self.window - count
        if room < (asked or 1) and (ids is not None or room < 0):
            raise ApiError(
                400,
                f"the prompt has {count:,} tokens and max_tokens is {asked or 1:,}, together "
                f"{count + (asked or 1):,}, but the context is {self.window:,}: shorten one",
                param="messages" if job.chat else "prompt",
                code="context_length_exceeded",
            )
        return job if asked else replace(job, max_tokens=max(1, min(default, room)))


_SWITCHES = ("thinking", "enable_thinking")


def _require_reasoning(messages: list[dict[str, Any]]) -> None:
    """In a tool loop the client sends the reasoning back; the model would go on without its plan.
    Of answers before the last user message the format drops it anyway."""
    for index in reversed(range(len(messages))):
        message = messages[index]
        if message.get("role") in ("user", "developer"):
            return
        named = (message.get(name) for name in ("reasoning_content", "reasoning"))
        if message.get("tool_calls") and all(text is None for text in named):
            raise ChatFormatError(
                "it has tool calls but no reasoning_content: while thinking is enabled, send back "
                "the reasoning_content that came with the calls.",
                index=index,
                role="assistant",
                field="reasoning_content",
            )


def prompt_tokens(job: Job) -> int:
    """Tokens of the prompt; an estimate where there is no tokenizer."""
    if job.ids is not None:
        return len(job.ids)
    text = job.prompt.text if job.prompt is not None else job.text
    return len(text) // _CHARACTERS_A_TOKEN + 1


def _size(messages: list[dict[str, Any]]) -> int:
    """Characters, and so many more for each message."""
    texts = (m.get("content") for m in messages)
    return sum(len(text) if isinstance(text, str) else 0 for text in texts) + 50 * len(messages)


async def _apart(size: int, work: Any) -> Any:
    """Long work runs in a thread: an event loop that encodes a book keeps every stream waiting."""
    return await asyncio.to_thread(work) if size > _LONG else work()
