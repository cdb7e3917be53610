"""Chat messages to the exact prompt text that DeepSeek-V3.2 was trained on.
One string per message, joined by nothing; byte-compatible, oddities included, with `encoding/`
of deepseek-ai/DeepSeek-V3.2. Nothing is repaired here: tidy the messages before encoding."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

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
    DEVELOPER_PREFIX,
    RESPONSE_FORMAT_PREFIX,
    TOOLS_PREFIX,
    TOOLS_SUFFIX,
)
from speciale.errors import SpecialeError

Message = Mapping[str, Any]


class EncodeError(SpecialeError, ValueError):
    """Messages that have no prompt text.

    `index` is the position of the message at fault in `context + messages`, or None where
    no one message is at fault (a wrong `thinking_mode`).
    """

    def __init__(self, problem: str, index: int | None = None):
        super().__init__(problem if index is None else f"message {index}: {problem}")
        self.index = index


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

    Raises EncodeError, which carries the index of the message at fault.
    """
    context = list(context or ())
    messages = list(messages)
    full = context + messages
    opening = BOS if add_default_bos_token and not context else ""
    if not messages:
        return opening

    if thinking_mode not in ("thinking", "chat"):
        raise EncodeError(f'thinking_mode is {thinking_mode!r}: use "thinking" or "chat".')
    for index, message in enumerate(full):
        if not isinstance(message, Mapping):
            raise EncodeError(f"it is a {type(message).__name__}: pass a dict.", index)
        if not isinstance(message.get("tool_calls") or [], list | tuple):
            raise EncodeError(f"its tool_calls are {message['tool_calls']!r}: pass a list.", index)

    thinking = thinking_mode == "thinking"
    turns = [i for i, m in enumerate(full) if m.get("role") in ("user", "developer")]
    last_turn = turns[-1] if turns else -1
    if thinking and drop_thinking:
        _refuse_dropped(full, last_turn)
    rendered = [_render(full, i, last_turn, thinking) for i in range(len(context), len(full))]
    return opening + "".join(rendered)


def _refuse_dropped(full: list[Message], last_turn: int) -> None:
    # The reference filters the messages before the last turn: it removes every role but these,
    # then still renders by the old positions, so that any removal ends in an index error. What
    # else its filter removes, earlier reasoning, is never rendered anyway. Only the error shows.
    for index, message in enumerate(full[: max(last_turn, 0)]):
        role = message.get("role")
        if role not in ("system", "user", "assistant", "tool"):
            raise EncodeError(
                f"role {role!r} before the last user turn cannot be kept in thinking mode: "
                "pass drop_thinking=False, or move a developer's tools to a system message.",
                index,
            )


def _render(full: list[Message], index: int, last_turn: int, thinking: bool) -> str:
    """The text of message `index`; `last_turn` is where the last user turn begins, -1 if none."""
    message = full[index]
    # In f-strings a missing content becomes "None", for user and tool: so does the reference.
    content = message.get("content")
    match message.get("role"):
        case "system":
            return f"{content or ''}{_tools_and_format(message, index)}"
        case "developer":
            if not content:
                raise EncodeError("a developer message needs content: give it text.", index)
            text = f"{_tools_and_format(message, index)}{DEVELOPER_PREFIX}{content}"
            return f"{USER}{text}{ASSISTANT}{_opener(thinking and index == last_turn)}"
        case "user":
            return f"{USER}{content}{ASSISTANT}{_opener(thinking and index == last_turn)}"
        case "assistant":
            return _assistant(message, index, shows_reasoning=thinking and index > last_turn)
        case "tool":
            place, count = _place_of_result(full, index)
            start = f"\n\n{RESULTS_OPEN}" if place == 1 else ""
            end = f"\n{RESULTS_CLOSE}\n\n{_opener(thinking and index >= last_turn)}"
            # With results missing the block stays open, and nothing opens the reply.
            return f"{start}\n{RESULT_OPEN}{content}{RESULT_CLOSE}{end if place == count else ''}"
        case role:
            raise EncodeError(
                f"role {role!r} is unknown: use system, developer, user, assistant or tool.", index
            )


def _opener(reasons: bool) -> str:
    # The mark that the reply starts from. It belongs to the prompt: the model never writes it.
    return THINK_OPEN if reasons else THINK_CLOSE


def _tools_and_format(message: Message, index: int) -> str:
    """The blocks that follow a system text and go before a developer's, each after a blank line."""
    blocks = ""
    if tools := message.get("tools"):
        try:
            functions = [tool["function"] for tool in tools]
        except (TypeError, KeyError, IndexError) as error:
            raise EncodeError(
                'its tools are malformed: give a list of {"type": "function", "function": {...}}.',
                index,
            ) from error
        schemas = "\n".join(_json_text(f, "a tool's function", index) for f in functions)
        blocks += f"\n\n{TOOLS_PREFIX}{schemas}{TOOLS_SUFFIX}"
    if response_format := message.get("response_format"):
        schema = _json_text(response_format, "its response_format", index)
        blocks += f"\n\n{RESPONSE_FORMAT_PREFIX}{schema}"
    return blocks


def _assistant(message: Message, index: int, shows_reasoning: bool) -> str:
    tool_calls = message.get("tool_calls")
    reasoning = ""
    if shows_reasoning:
        if not message.get("reasoning_content") and not tool_calls:
            raise EncodeError(
                "an assistant message after the last user turn has neither reasoning_content nor "
                'tool_calls: give its reasoning, or encode with thinking_mode="chat".',
                index,
            )
        # THINK_OPEN is already there: it ended the user's message, or the tool results.
        reasoning = f"{message.get('reasoning_content') or ''}{THINK_CLOSE}"
    calls = _calls(tool_calls, index) if tool_calls else ""
    return f"{reasoning}{message.get('content') or ''}{calls}{EOS}"


def _calls(tool_calls: Sequence[Message], index: int) -> str:
    """The DSML block of an assistant's calls, the blank line before it included."""
    invokes = []
    for place, call in enumerate(tool_calls):
        try:
            name, arguments = call["function"]["name"], call["function"]["arguments"]
        except (TypeError, KeyError, IndexError) as error:
            raise EncodeError(
                f"tool call {place} is malformed: give "
                '{"function": {"name": ..., "arguments": "<the text of a JSON object>"}}.',
                index,
            ) from error
        parameters = _parameters(arguments, f"the arguments of tool call {place} ({name})", index)
        # Without parameters an empty line is left between the tags, as in the reference.
        invokes.append(f'{INVOKE_OPEN} name="{name}">\n{parameters}\n{INVOKE_CLOSE}')
    return "\n\n" + "\n".join([CALLS_OPEN, *invokes, CALLS_CLOSE])


def _parameters(arguments: str, what: str, index: int) -> str:
    """One DSML line per argument. The value's JSON type decides its form, never a tool schema."""
    try:
        values = json.loads(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(
            f"{what} are {str(arguments)[:80]!r}, not JSON text ({error}): use json.dumps.", index
        ) from error
    if not isinstance(values, dict):
        raise EncodeError(
            f"{what} are JSON, but a {type(values).__name__}: pass the text of an object.", index
        )
    lines = []
    for key, value in values.items():
        is_text = isinstance(value, str)
        # A string goes in raw, with no escape at all, even if it holds DSML.
        shown = value if is_text else _json_text(value, what, index)
        opening = f'{PARAMETER_OPEN} name="{key}" string="{"true" if is_text else "false"}">'
        lines.append(f"{opening}{shown}{PARAMETER_CLOSE}")
    return "\n".join(lines)


def _place_of_result(full: list[Message], index: int) -> tuple[int, int]:
    """(1-based place of the tool result `index` among its owner's calls, number of those calls)."""
    owner = index - 1
    while owner >= 0 and full[owner].get("role") == "tool":
        owner -= 1
    # A result that opens the conversation has owner -1: the reference then reads the LAST
    # message as the owner, whatever its role, and so do we.
    orphan = index > 0 and (owner < 0 or full[owner].get("role") != "assistant")
    calls = None if orphan else full[owner].get("tool_calls")
    place = index - owner
    if not calls or len(calls) < place:
        raise EncodeError(
            f"it is tool result {place} of an assistant message with {len(calls or ())} tool "
            "calls: put each result after the assistant message that made its call.",
            index,
        )
    return place, len(calls)


def _json_text(value: Any, what: str, index: int) -> str:
    # Plain json.dumps, but with characters as they are: 'ü' and not '\u00fc'.
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise EncodeError(
            f"{what} cannot be written as JSON ({error}): use plain JSON values.", index
        ) from error
