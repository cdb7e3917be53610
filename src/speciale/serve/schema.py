"""The requests that the routes take, as pydantic models: ranges are DeepSeek's and OpenAI's.

Fields that are not named here are taken and ignored, as OpenAI's clients send many; messages are
checked by speciale.chat, which says what does not fit by index, role and field.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_STOPS = 16
MAX_TOOLS = 128

Stop = Annotated[str, Field(min_length=1, max_length=1024)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Strict(BaseModel):
    """No number is taken for a text, and no text for a number."""

    model_config = ConfigDict(strict=True)


class Thinking(Strict):
    type: Literal["enabled", "disabled"]


class StreamOptions(Strict):
    include_usage: bool = False


class Function(Strict):
    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = Field(None, description="A JSON schema.")
    strict: bool | None = None


class Tool(Strict):
    type: Literal["function"]
    function: Function


class NamedFunction(Strict):
    name: str


class NamedChoice(Strict):
    type: Literal["function"] = "function"
    function: NamedFunction


class Schema(Strict):
    name: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextFormat(Strict):
    type: Literal["text", "json_object"]


class SchemaFormat(Strict):
    type: Literal["json_schema"]
    json_schema: Schema


class Sampling(Strict):
    """What both kinds of request have."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = Field(
        None, description="Not supported: leave it out, or empty."
    )

    @field_validator("temperature")
    @classmethod
    def _not_almost_greedy(cls, value: float | None) -> float | None:
        # Below this float32 logits overflow, and nothing but the likeliest token is left anyway.
        return 0.0 if value is not None and value < 1e-5 else value

    @model_validator(mode="after")
    def _options_need_stream(self) -> Sampling:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is for stream: true only")
        if self.temperature == 0 and (self.n or 1) > 1:
            raise ValueError(
                f"temperature is 0 and n is {self.n}, which gives the same answer {self.n} times: "
                "raise temperature or set n to 1"
            )
        return self


# What OpenAPI says of a message; speciale.chat checks them.
_TEXT = {"type": ["string", "null"]}
_PART = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
}
_CALL = {
    "type": "object",
    "required": ["function"],
    "properties": {
        "id": {"type": "string"},
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "required": ["name", "arguments"],
            "properties": {"name": {"type": "string", "minLength": 1}, "arguments": _TEXT},
        },
    },
}
_MESSAGE = {
    "required": ["role"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"anyOf": [_TEXT, {"type": "array", "items": _PART}]},
        "reasoning_content": {**_TEXT, "description": "Of an assistant's answer."},
        "tool_calls": {"anyOf": [{"type": "null"}, {"type": "array", "items": _CALL}]},
        "tool_call_id": {"type": "string"},
        "prefix": {"type": "boolean", "description": "The last message: continue this text."},
    },
}


class ChatRequest(Sampling):
    """POST /v1/chat/completions."""

    messages: Annotated[
        list[Annotated[dict[str, Any], Field(json_schema_extra=_MESSAGE)]],
        Field(min_length=1, max_length=10_000),
    ]
    thinking: Thinking | bool | None = None
    enable_thinking: bool | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None, description="OpenAI's newer name of max_tokens."
    )
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    response_format: SchemaFormat | TextFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @model_validator(mode="after")
    def _belongs_together(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is for logprobs: true only")
        if self.tool_choice not in (None, "none", "auto") and not self.tools:
            raise ValueError("tool_choice asks for a call, but there are no tools: give tools")
        return self


class CompletionRequest(Sampling):
    """POST /v1/completions; with `suffix` the model fills in the middle."""

    prompt: Annotated[str, Field(min_length=1)]
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    @model_validator(mode="after")
    def _echo_alone(self) -> CompletionRequest:
        if self.echo and (self.suffix is not None or self.logprobs is not None):
            raise ValueError("echo goes with neither suffix nor logprobs: leave one out")
        return self
