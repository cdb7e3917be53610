"""What a constrained answer may be, as a request states it.
`thinking=True` is for prompts that end in `<think>`: reasoning comes first and is free text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Json:
    """One JSON object, of any shape (`response_format: {"type": "json_object"}`)."""

    thinking: bool = False


@dataclass(frozen=True)
class JsonSchema:
    """One JSON value that `schema` allows, with its properties in the schema's order."""

    schema: Mapping[str, Any]
    thinking: bool = False


@dataclass(frozen=True)
class ToolCalls:
    """An answer in which calls of `tools` (OpenAI's function tools) are well-formed.

    `choice` is OpenAI's tool_choice. "auto": text, then perhaps a block of calls. "required": a
    block of calls and nothing before it. {"function": {"name": ...}}: a block with one call of
    that function.
    """

    tools: Sequence[Mapping[str, Any]]
    choice: str | Mapping[str, Any] = "auto"
    thinking: bool = False


Spec = Json | JsonSchema | ToolCalls
