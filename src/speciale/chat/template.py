"""Chat messages to the exact prompt text that DeepSeek-V3.2 was trained on.
One string per message, joined by nothing; byte-compatible, oddities included, with `encoding/`
of deepseek-ai/DeepSeek-V3.2. Nothing is mended here: that is request.py's work, before it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from speciale.chat.errors import ChatFormatError, article
from speciale.chat.markers import (
    ASSISTANT,
    BOS,
    CALLS_CLOSE,
    CALLS_OPEN,
    EOS,
    INVOKE_CLOSE,
    INVOKE_OPEN,
    PARAMETER_CLOSE,
    PARAMETER_OPEN,
    RESULT_CLOSE,
    RESULT_OPEN,
    RESULTS_CLOSE,
    RESULTS_OPEN,
    THINK_CLOSE,
    THINK_OPEN,
    USER,
)
from speciale.chat.texts import (
    COMPACT_TOOLS_PREFIX,
    DEVELOPER_PREFIX,
    RESPONSE_FORMAT_PREFIX,
    TOOLS_PREFIX,
    TOOLS_SUFFIX,
)

Message = Mapping[str, Any]

ROLES = ("system", "developer", "user", "assistant", "tool")
# Plain json.dumps, but with characters as they are: 'ü' and not '\u00fc'.
_dumps = json.JSONEncoder(ensure_ascii=False).encode
_loads = json.JSONDecoder().decode


def encode(
    messages: Sequence[Message],
    thinking_mode: str = "thinking",
    context: Sequence[Message] | None = None,
    drop_thinking: bool = True,
    add_default_bos_token: bool = True,
) -> str:
    """The prompt text of `messages`, given that `context` is already in the model's cache.

    A message is a dict with `role` (system, developer, user, assistant or tool), `content`
    and, where they apply, `tools` and `response_format` (read on system and developer only),
    `reasoning_content` and `tool_calls` (assistant). All other keys are ignored, so the order
    of tool results counts and their `tool_call_id` does not.

    `thinking_mode` is "thinking" (the model reasons first) or "chat". Reasoning is shown only
    after the last user or developer message. `drop_thinking=True` refuses developer messages
    before that one, in thinking mode; set it to False for several developer turns. The opening
    mark is written if `add_default_bos_token` is set and `context` is empty.

    Raises ChatFormatError, which carries the index, role and field at fault.
    """
    context = list(context or ())
    opening = BOS if add_default_bos_token and not context else ""
    return opening + "".join(render(messages, thinking_mode, context, drop_thinking))


def render(
    messages: Sequence[Message],
    thinking_mode: str,
    context: Sequence[Message] = (),
    drop_thinking: bool = True,
    require_reasoning: bool = True,
    compact_tools: bool = False,
) -> list[str]:
    """As `encode`, without the opening mark and in parts: the template's own at even places, what
    the messages hold at odd ones. Who makes token ids may take marks from the template only.

    `require_reasoning=False` takes an assistant message after the last user turn that has neither
    reasoning nor calls; the reference refuses it. `compact_tools=True` writes the tools text as
    engines' copies of the encoder do.
    """
    tools_prefix = COMPACT_TOOLS_PREFIX if compact_tools else TOOLS_PREFIX
    full = [*context, *messages]
    if not messages:
        return []
    if thinking_mode not in ("thinking", "chat"):
        raise ChatFormatError(f'thinking_mode is {thinking_mode!r}: use "thinking" or "chat".')
    last_turn = -1
    for index, message in enumerate(full):
        if type(message) is not dict and not isinstance(message, Mapping):
            what = f"it is {article(message)}: pass a dict with a role."
            raise ChatFormatError(what, index=index)
        role = message.get("role")
        if role == "user" or role == "developer":
            last_turn = index
        elif role == "assistant" and not isinstance(message.get("tool_calls") or [], (list, tuple)):
            what = f"it is {article(message['tool_calls'])}: pass a list."
            raise ChatFormatError(what, index=index, role=role, field="tool_calls")
    thinking = thinking_mode == "thinking"
    if thinking and drop_thinking:
        _refuse_dropped(full, last_turn)
    parts: list[str] = []
    owner, calls = _owner_before(full, len(context))
    for index in range(len(context), len(full)):
        message = full[index]
        role = message.get("role")
        # In f-strings a missing content becomes "None", for user and tool: so does the reference.
        content = message.get("content")
        if role == "user":
            opener = THINK_OPEN if thinking and index == last_turn else THINK_CLOSE
            parts += (USER, f"{content}", f"{ASSISTANT}{opener}", "")
        elif role == "assistant":
            _assistant(parts, message, index, thinking and index > last_turn, require_reasoning)
        elif role == "tool":
            place = index - owner
            if owner < 0 < index:
                calls = None
            if not calls or len(calls) < place:
                raise ChatFormatError(
                    f"it is tool result {place} of an assistant message with {len(calls or ())} "
                    "tool calls: put each result after the assistant message that made its call.",
                    index=index,
                    role=role,
                )
            start = f"\n\n{RESULTS_OPEN}\n{RESULT_OPEN}" if place == 1 else f"\n{RESULT_OPEN}"
            end = RESULT_CLOSE
            if place == len(calls):  # with results missing the block stays open, without an opener
                opener = THINK_OPEN if thinking and index >= last_turn else THINK_CLOSE
                end = f"{RESULT_CLOSE}\n{RESULTS_CLOSE}\n\n{opener}"
            parts += (start, f"{content}", end, "")
            continue
        elif role == "system":
            parts += ("", f"{content or ''}")
            _tools_and_format(parts, message, index, tools_prefix)
        elif role == "developer":
            if not content:
                raise ChatFormatError(
                    f"it is {content!r}: a developer message needs text.",
                    index=index,
                    role=role,
                    field="content",
                )
            parts += (USER, "")
            _tools_and_format(parts, message, index, tools_prefix)
            opener = THINK_OPEN if thinking and index == last_turn else THINK_CLOSE
            parts += (DEVELOPER_PREFIX, f"{content}", f"{ASSISTANT}{opener}", "")
        else:
            raise ChatFormatError(
                f"it is {role!r}: use one of {', '.join(ROLES)}.", index=index, field="role"
            )
        owner, calls = index, message.get("tool_calls") if role == "assistant" else None
    return parts


def _refuse_dropped(full: list[Message], last_turn: int) -> None:
    # The reference filters the messages before the last turn: it removes every role but these,
    # then still renders by the old positions, so that any removal ends in an index error. What
    # else its filter removes, earlier reasoning, is never rendered anyway. Only the error shows.
    for index, message in enumerate(full[: max(last_turn, 0)]):
        role = message.get("role")
        if role not in ("system", "user", "assistant", "tool"):
            raise ChatFormatError(
                f"role {role!r} before the last user turn cannot be kept in thinking mode: "
                "pass drop_thinking=False, or move a developer's tools to a system message.",
                index=index,
                field="role",
            )


def _owner_before(full: list[Message], index: int) -> tuple[int, Sequence[Any] | None]:
    """The place and the calls of the message that owns a tool result at `index`."""
    owner = index - 1
    while owner >= 0 and full[owner].get("role") == "tool":
        owner -= 1
    # A result that opens the conversation has owner -1: the reference then reads the LAST
    # message as the owner, whatever its role, and so do we, for the first result only.
    if index == 0:
        calls = full[-1].get("tool_calls")
        return -1, calls if isinstance(calls, list | tuple) else None
    if owner < 0 or full[owner].get("role") != "assistant":
        return owner, None
    return owner, full[owner].get("tool_calls")


def _tools_and_format(parts: list[str], message: Message, index: int, tools_prefix: str) -> None:
    """The blocks that follow a system text and go before a developer's, each after a blank line."""
    role = message["role"]
    if tools := message.get("tools"):
        try:
            functions = [tool["function"] for tool in tools]
        except (TypeError, KeyError, IndexError) as error:
            raise ChatFormatError(
                'they are malformed: give a list of {"type": "function", "function": {...}}.',
                index=index,
                role=role,
                field="tools",
            ) from error
        before = f"\n\n{tools_prefix}"
        for place, function in enumerate(functions):
            parts += (
                before,
                json_text(function, index=index, role=role, field=f"tools[{place}].function"),
            )
            before = "\n"
        parts += (TOOLS_SUFFIX, "")
    if response_format := message.get("response_format"):
        schema = json_text(response_format, index=index, role=role, field="response_format")
        parts += (f"\n\n{RESPONSE_FORMAT_PREFIX}", schema)


def _assistant(
    parts: list[str], message: Message, index: int, shows_reasoning: bool, required: bool
) -> None:
    tool_calls = message.get("tool_calls")
    if shows_reasoning:
        reasoning = message.get("reasoning_content")
        if required and not reasoning and not tool_calls:
            raise ChatFormatError(
                "an assistant message after the last user turn has neither reasoning_content nor "
                'tool_calls: give its reasoning, or encode with thinking_mode="chat".',
                index=index,
                role="assistant",
                field="reasoning_content",
            )
        # THINK_OPEN is already there: it ended the user's message, or the tool results.
        parts += ("", f"{reasoning or ''}", THINK_CLOSE, "")
    parts += ("", f"{message.get('content') or ''}")
    if tool_calls:
        parts += (f"\n\n{CALLS_OPEN}\n", "")
        for place, call in enumerate(tool_calls):
            _call(parts, call, index, f"tool_calls[{place}]", "\n" if place else "")
        parts += (f"\n{CALLS_CLOSE}{EOS}", "")
    else:
        parts += (EOS, "")


def _call(parts: list[str], call: Any, index: int, field: str, before: str) -> None:
    try:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
    except (TypeError, KeyError, IndexError) as error:
        raise ChatFormatError(
            'it is malformed: give {"function": {"name": ..., "arguments": "<the text of a JSON '
            'object>"}}.',
            index=index,
            role="assistant",
            field=field,
        ) from error
    field = f"{field}.function.arguments"
    try:
        values = _loads(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise ChatFormatError(
            f"{str(arguments)[:80]!r} is not JSON text ({error}): use json.dumps.",
            index=index,
            role="assistant",
            field=field,
        ) from error
    if not isinstance(values, dict):
        raise ChatFormatError(
            f"{str(arguments)[:80]!r} is JSON, but a {type(values).__name__}: pass the text of an "
            "object.",
            index=index,
            role="assistant",
            field=field,
        )
    parts += (f'{before}{INVOKE_OPEN} name="', f"{name}")
    # One line per argument. The value's JSON type decides its form, never a tool's schema.
    before = '">\n'
    for key, value in values.items():
        parts += (f'{before}{PARAMETER_OPEN} name="', key)
        if isinstance(value, str):  # raw, with no escape at all, even if it holds DSML
            parts += ('" string="true">', value)
        else:
            parts += (
                '" string="false">',
                json_text(value, index=index, role="assistant", field=field),
            )
        before = f"{PARAMETER_CLOSE}\n"
    # Without parameters an empty line is left between the tags, as in the reference.
    parts += (f"{before}{INVOKE_CLOSE}" if values else f'">\n\n{INVOKE_CLOSE}', "")


def json_text(value: Any, **where: Any) -> str:
    """`value` as JSON in the format's way. Raises ChatFormatError with the place `where`."""
    try:
        return _dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ChatFormatError(
            f"it cannot be written as JSON ({error}): use plain JSON values.", **where
        ) from error
