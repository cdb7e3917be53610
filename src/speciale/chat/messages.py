"""The shapes of messages and requests: OpenAI's, with DeepSeek's additions, as typed dicts.
Keys that are not named here are kept and passed by. `check_messages` says what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from speciale.chat.errors import ChatFormatError, article
from speciale.chat.template import ROLES


class FunctionCall(TypedDict):
    name: str
    arguments: str  # the text of a JSON object


class ToolCall(TypedDict, total=False):
    id: str
    type: Literal["function"]
    function: FunctionCall


class Tool(TypedDict):
    type: Literal["function"]
    function: dict[str, Any]  # name, description, parameters (a JSON schema)


class Message(TypedDict, total=False):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None
    reasoning_content: str | None  # assistant
    tool_calls: list[ToolCall] | None  # assistant
    prefix: bool  # the last assistant message: go on from here
    tool_call_id: str  # tool
    tools: list[Tool]  # system, developer
    response_format: dict[str, Any]  # system, developer


class ChatRequest(TypedDict, total=False):
    messages: list[Message]
    tools: list[Tool] | None
    tool_choice: str | dict[str, Any] | None
    response_format: dict[str, Any] | None
    thinking: dict[str, str] | bool  # {"type": "enabled" | "disabled"}
    enable_thinking: bool
    chat_template_kwargs: dict[str, Any]  # thinking, enable_thinking: as engines take them
    continue_final_message: bool


def check_messages(messages: Any) -> None:
    """Raises ChatFormatError for the first thing in `messages` that has the wrong shape."""
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        raise ChatFormatError(
            f"it is {article(messages)}: pass a list of messages.", field="messages"
        )
    if not messages:
        raise ChatFormatError("it is empty: pass at least one message.", field="messages")
    for index, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise ChatFormatError(
                f"it is {article(message)}: pass an object with a role.", index=index
            )
        role = message.get("role")
        if role not in ROLES:
            raise ChatFormatError(
                f"it is {role!r}: use one of {', '.join(ROLES)}.", index=index, field="role"
            )
        _check_content(message.get("content"), index, role)
        for field in ("reasoning_content", "reasoning", "tool_call_id"):
            _check_text(message.get(field), index, role, field)
        _check_calls(message.get("tool_calls"), index, role)
        if message.get("tools"):
            check_tools(message["tools"], index, role)


def _check_content(content: Any, index: int, role: str) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list | tuple):
        raise ChatFormatError(
            f"it is {article(content)}: pass text or a list of parts.",
            index=index,
            role=role,
            field="content",
        )
    for place, part in enumerate(content):
        where = {"index": index, "role": role, "field": f"content[{place}]"}
        if not isinstance(part, Mapping):
            raise ChatFormatError(f'it is {article(part)}: pass {{"type": "text", ...}}.', **where)
        if part.get("type") not in ("text", "input_text", "output_text"):
            raise ChatFormatError(
                f"its type is {part.get('type')!r}: this model reads text parts only.", **where
            )
        if not isinstance(part.get("text"), str):
            raise ChatFormatError(f"its text is {article(part.get('text'))}: pass text.", **where)


def _check_calls(calls: Any, index: int, role: str) -> None:
    if calls is None:
        return
    where = {"index": index, "role": role}
    if not isinstance(calls, list | tuple):
        raise ChatFormatError(f"it is {article(calls)}: pass a list.", **where, field="tool_calls")
    for place, call in enumerate(calls):
        field = f"tool_calls[{place}]"
        if not isinstance(call, Mapping) or not isinstance(call.get("function"), Mapping):
            raise ChatFormatError(
                'it is no call: pass {"id", "type": "function", "function": {"name", '
                '"arguments"}}.',
                **where,
                field=field,
            )
        _check_text(call.get("id"), index, role, f"{field}.id")
        _check_name(call["function"], where, field)
        arguments = call["function"].get("arguments")
        if arguments is not None and not isinstance(arguments, str | Mapping):
            raise ChatFormatError(
                f"it is {article(arguments)}: pass the text of a JSON object.",
                **where,
                field=f"{field}.function.arguments",
            )


def check_tools(tools: Any, index: int | None = None, role: str | None = None) -> None:
    """Raises ChatFormatError unless `tools` is a list of function tools."""
    where = {"index": index, "role": role}
    if not isinstance(tools, list | tuple):
        raise ChatFormatError(f"it is {article(tools)}: pass a list.", **where, field="tools")
    for place, tool in enumerate(tools):
        field = f"tools[{place}]"
        if not isinstance(tool, Mapping) or not isinstance(tool.get("function"), Mapping):
            raise ChatFormatError(
                'it is no function tool: pass {"type": "function", "function": {"name", ...}}.',
                **where,
                field=field,
            )
        _check_name(tool["function"], where, field)


def _check_text(value: Any, index: int, role: str, field: str) -> None:
    if value is not None and not isinstance(value, str):
        raise ChatFormatError(
            f"it is {article(value)}: pass text.", index=index, role=role, field=field
        )


def _check_name(function: Mapping[str, Any], where: dict[str, Any], field: str) -> None:
    name = function.get("name")
    if not isinstance(name, str) or not name:
        field = f"{field}.function.name"
        raise ChatFormatError(f"it is {name!r}: pass the function's name.", **where, field=field)
