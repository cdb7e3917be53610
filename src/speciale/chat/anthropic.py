"""Anthropic's Messages API in: its request body as the OpenAI-style one that is encoded.
There, blocks of one message hold text, thinking, tool uses and tool results; here they are spread
over reasoning_content, content, tool_calls and messages of the role tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from speciale.chat.errors import ChatFormatError, article
from speciale.chat.template import json_text

_READ = {"messages", "system", "tools", "tool_choice", "thinking", "metadata", "stop_sequences"}
_THINKING = {"enabled": "enabled", "adaptive": "enabled", "disabled": "disabled"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
# The blocks that each role may send, and what they cannot do without.
_NEEDS = {
    "user": {"text": "a text", "tool_result": "a tool_use_id"},
    "assistant": {
        "text": "a text",
        "thinking": "a text in thinking",
        "redacted_thinking": "nothing",
        "tool_use": "an id, a name and an object as input",
    },
}


def from_anthropic(request: Mapping[str, Any]) -> dict[str, Any]:
    """The OpenAI-style request of the body of `POST /v1/messages`.

    A last message of the assistant is a beginning to be continued (`prefix`). Keys that both APIs
    share, and unknown ones, are kept. The request is not changed. Raises ChatFormatError, with the
    index of the message in the body, for images and documents, tools that run on Anthropic's side,
    and malformed blocks.
    """
    if not isinstance(request, Mapping):
        raise ChatFormatError(f"it is {article(request)}: pass an object with messages.")
    given = request.get("messages")
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ChatFormatError(f"it is {article(given)}: pass a list.", field="messages")
    result = {key: value for key, value in request.items() if key not in _READ}
    messages: list[dict[str, Any]] = []
    if request.get("system"):
        messages.append({"role": "system", "content": _text(request["system"], field="system")})
    for index, message in enumerate(given):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "user":
            messages += _user(message.get("content"), index)
        elif role == "assistant":
            messages.append(_assistant(message.get("content"), index))
        else:
            raise ChatFormatError(
                f'it is {role!r}: use "user" or "assistant".', index=index, field="role"
            )
    if messages and messages[-1]["role"] == "assistant":
        messages[-1]["prefix"] = True
    result["messages"] = messages
    if request.get("stop_sequences"):
        result["stop"] = request["stop_sequences"]
    if request.get("tools"):
        result["tools"] = _tools(request["tools"])
    if request.get("tool_choice"):
        result["tool_choice"] = _choice(request["tool_choice"])
    if request.get("thinking") is not None:
        result["thinking"] = {"type": _named(request["thinking"], "thinking", _THINKING)}
    metadata = request.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get("user_id"):
        result["user"] = metadata["user_id"]
    return result


def _user(content: Any, index: int) -> list[dict[str, Any]]:
    """The tool results of a user message, one message each, then its text."""
    results, texts = [], []
    for place, block in enumerate(_blocks(content, index, "user")):
        where = {"index": index, "role": "user", "field": f"content[{place}]"}
        match block:
            case {"type": "text"}:
                texts.append(_block_text(block, **where))
            case {"type": "tool_result", "tool_use_id": str(call)}:
                said = block.get("content")
                text = "" if said is None else _text(said, **where)
                results.append({"role": "tool", "tool_call_id": call, "content": text})
            case _:
                raise _unreadable(block, **where)
    if texts or not results:
        results.append({"role": "user", "content": "\n".join(texts)})
    return results


def _assistant(content: Any, index: int) -> dict[str, Any]:
    texts, thoughts, calls = [], [], []
    for place, block in enumerate(_blocks(content, index, "assistant")):
        where = {"index": index, "role": "assistant", "field": f"content[{place}]"}
        match block:
            case {"type": "text"}:
                texts.append(_block_text(block, **where))
            case {"type": "thinking", "thinking": str(thought)}:
                thoughts.append(thought)
            case {"type": "redacted_thinking"}:  # encrypted: no one here can read it
                pass
            case {"type": "tool_use", "id": str(id_), "name": str(name), "input": Mapping()}:
                function = {"name": name, "arguments": json_text(block["input"], **where)}
                calls.append({"id": id_, "type": "function", "function": function})
            case _:
                raise _unreadable(block, **where)
    message: dict[str, Any] = {"role": "assistant", "content": "\n".join(texts)}
    if thoughts:
        message["reasoning_content"] = "\n".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return message


def _blocks(content: Any, index: int, role: str) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list | tuple):
        raise ChatFormatError(
            f"it is {article(content)}: pass text or a list of blocks.",
            index=index,
            role=role,
            field="content",
        )
    for place, block in enumerate(content):
        if not isinstance(block, Mapping) or not isinstance(block.get("type"), str):
            raise ChatFormatError(
                f"it is {article(block)} without a type: pass a block such as "
                '{"type": "text", "text": ...}.',
                index=index,
                role=role,
                field=f"content[{place}]",
            )
    return list(content)


def _text(content: Any, **where: Any) -> str:
    """Text that is given as it is or as a list of text blocks."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        what = f"it is {article(content)}: pass text or a list of text blocks."
        raise ChatFormatError(what, **where)
    return "\n".join(_block_text(block, **where) for block in content)


def _block_text(block: Any, **where: Any) -> str:
    match block:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": str(kind)} if kind != "text":
            raise ChatFormatError(f"its type is {kind!r}: use text blocks only.", **where)
    raise ChatFormatError('it is no text: pass {"type": "text", "text": ...}.', **where)


def _unreadable(block: Mapping[str, Any], **where: Any) -> ChatFormatError:
    kind, needs = block["type"], _NEEDS[where["role"]]
    if kind in needs:
        return ChatFormatError(f"it is a malformed {kind}: give it {needs[kind]}.", **where)
    return ChatFormatError(
        f"its type is {kind!r}, which cannot be read here: use {', '.join(needs)}.", **where
    )


def _tools(tools: Any) -> list[dict[str, Any]]:
    if not isinstance(tools, list | tuple):
        raise ChatFormatError(f"it is {article(tools)}: pass a list.", field="tools")
    converted = []
    for place, tool in enumerate(tools):
        if not isinstance(tool, Mapping) or not isinstance(tool.get("input_schema"), Mapping):
            kind = tool.get("type") if isinstance(tool, Mapping) else article(tool)
            raise ChatFormatError(
                f"it has no input_schema (type {kind!r}): tools that run on the API's side are not "
                "to be had here.",
                field=f"tools[{place}]",
            )
        function = {key: tool[key] for key in ("name", "description") if key in tool}
        function["parameters"] = tool["input_schema"]
        converted.append({"type": "function", "function": function})
    return converted


def _choice(choice: Any) -> Any:
    match choice:
        case {"type": "tool", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
        case {"type": "tool"}:
            raise ChatFormatError(f"it is {choice!r}: give the tool's name.", field="tool_choice")
    return _named(choice, "tool_choice", _CHOICES, "tool")


def _named(value: Any, field: str, names: Mapping[str, str], *others: str) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or kind not in names:
        known = ", ".join((*names, *others))
        raise ChatFormatError(f"it is {value!r}: its type must be one of {known}.", field=field)
    return names[kind]
