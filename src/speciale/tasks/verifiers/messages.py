"""Messages and tools in OpenAI's form and in that of verifiers, whose calls and tools are flat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from speciale.tasks.environment import Message


def to_openai(message: Any) -> Message:
    """A message of verifiers, as an object or a dictionary."""
    plain = dict(message) if isinstance(message, Mapping) else message.model_dump()
    plain = {name: value for name, value in plain.items() if value is not None}
    if calls := plain.get("tool_calls"):
        plain["tool_calls"] = [_call(call) for call in calls]
    plain.setdefault("content", "")
    return plain


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    if "function" in call:
        return dict(call)
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "type": "function", "function": function}


def last_answer(messages: Sequence[Message]) -> str:
    """The text of the last message of the assistant's."""
    for message in reversed(messages):
        if message["role"] == "assistant":
            content = message.get("content") or ""
            if isinstance(content, str):
                return content
            return "".join(part["text"] for part in content if part.get("type") == "text")
    return ""


def flat_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    function = tool["function"]
    return {
        "name": function["name"],
        "description": function.get("description", ""),
        "parameters": function.get("parameters", {}),
    }


def openai_tool(tool: Any) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}
