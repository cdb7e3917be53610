"""What upstreams stream, as far as it is read: OpenAI's chunks with vLLM's, SGLang's and DeepSeek's
additions, and SGLang's own /generate. A chunk of another shape is a broken upstream.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

Count = Annotated[int, Field(ge=0, le=10**9)]
# JSON has no infinity, but parsers take one, and what is written next could not hold it.
Logprob = Annotated[float, Field(allow_inf_nan=False)]


class PromptDetails(BaseModel):
    cached_tokens: Count | None = None


class CompletionDetails(BaseModel):
    reasoning_tokens: Count | None = None


class Usage(BaseModel):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_cache_hit_tokens: Count | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    @property
    def cached_tokens(self) -> int | None:
        if self.prompt_cache_hit_tokens is not None:
            return self.prompt_cache_hit_tokens
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None

    @property
    def reasoning_tokens(self) -> int | None:
        details = self.completion_tokens_details
        return details.reasoning_tokens if details else None


class TopLogprob(BaseModel):
    token: str
    logprob: Logprob


class TokenEntry(TopLogprob):
    top_logprobs: list[TopLogprob] | None = None


class ChatLogprobs(BaseModel):
    content: list[TokenEntry] | None = None
    reasoning_content: list[TokenEntry] | None = None


class FunctionDelta(BaseModel):
    name: str | None = None
    arguments: str | None = None


class CallDelta(BaseModel):
    index: Annotated[int, Field(ge=0, le=1023)] | None = None
    function: FunctionDelta = FunctionDelta()


class Delta(BaseModel):
    content: str | None = None
    reasoning_content: str | None = None  # DeepSeek, SGLang, vLLM up to 0.11
    reasoning: str | None = None  # vLLM since
    tool_calls: list[CallDelta] | None = None


class ChatChoice(BaseModel):
    index: Count = 0
    delta: Delta = Delta()
    finish_reason: str | None = None
    logprobs: ChatLogprobs | None = None


class ChatChunk(BaseModel):
    choices: list[ChatChoice]
    usage: Usage | None = None
    error: None = None  # a chunk with an error is none of these


class TextLogprobs(BaseModel):
    tokens: list[str] = []
    token_logprobs: list[Logprob | None] = []
    top_logprobs: list[dict[str, Logprob] | None] | None = None


class TextChoice(BaseModel):
    index: Count = 0
    text: str = ""
    finish_reason: str | None = None
    logprobs: TextLogprobs | None = None


class TextChunk(BaseModel):
    choices: list[TextChoice]
    usage: Usage | None = None
    error: None = None


class GenerateFinish(BaseModel):
    type: str
    message: str | None = None
    status_code: int | None = None


# [logprob, token id, text]
GenerateLogprob = tuple[Logprob | None, int, str | None]


class GenerateMeta(BaseModel):
    prompt_tokens: Count | None = None
    completion_tokens: Count = 0
    cached_tokens: Count | None = None
    finish_reason: GenerateFinish | None = None
    output_token_logprobs: list[GenerateLogprob] | None = None
    output_top_logprobs: list[list[GenerateLogprob] | None] | None = None


class GenerateChunk(BaseModel):
    index: Count = 0
    text: str
    meta_info: GenerateMeta
    error: None = None
