"""A whole chat request to the prompt that answers it: tools, response format, thinking, prefix.
Tools go onto the leading system (or developer) message, in front of which nothing is inserted
unless there is none. Sources: DeepSeek's API; what its users have met in engines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from speciale.chat.errors import ChatFormatError, article
from speciale.chat.ids import parts_to_ids
from speciale.chat.markers import BOS, EOS, THINK_CLOSE
from speciale.chat.messages import check_messages, check_tools
from speciale.chat.normalise import STEPS, Note, normalise
from speciale.chat.template import render

_ATTACHED = ("tools", "response_format")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that ends where the model goes on."""

    parts: list[str]  # the template's own at even places, text of the messages at odd ones
    in_reasoning: bool  # whether it ends inside the reasoning
    messages: list[dict[str, Any]]  # as encoded
    mended: list[Note] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)

    @property
    def parser_mode(self) -> str:
        """The `thinking_mode` for `parse` and StreamParser of what follows this prompt."""
        return "thinking" if self.in_reasoning else "chat"

    def ids(self, tokenizer: Any) -> list[int]:
        """Token ids; text that spells a mark stays text (ids.py)."""
        return parts_to_ids(tokenizer, self.parts)


def encode_request(
    request: Mapping[str, Any],
    steps: Collection[str] | None = None,
    compact_tools: bool = False,
) -> Prompt:
    """The prompt of an OpenAI-style chat request.

    Read are: messages, tools, tool_choice ("none" renders no tools; the others are for whoever
    constrains the answer), response_format, and the thinking switch, off unless it is given as
    `thinking` ({"type": "enabled"} or a boolean) or `enable_thinking`, in the request or in its
    chat_template_kwargs. A last assistant message with `prefix: true` (or
    `continue_final_message` in the request) is continued: its text, or, if it has reasoning only,
    its reasoning. `steps` names what may be mended (normalise.STEPS), all unless given.
    `compact_tools=True` writes the tools text as vLLM and SGLang do, to share their prefix caches.

    The request is not changed. Raises ChatFormatError with the message's index, role and field.
    """
    if not isinstance(request, Mapping):
        raise ChatFormatError(f"it is {article(request)}: pass an object with messages.")
    check_messages(request.get("messages"))
    thinking = thinks(request)
    messages, mended = normalise(request["messages"], steps)
    continues = _continues(request, messages)
    _attach(request, messages)
    # A message that `_attach` put in front moves the others.
    moved = len(messages) - len(request["messages"])
    allowed = STEPS if steps is None else steps
    parts = render(
        messages,
        "thinking" if thinking else "chat",
        drop_thinking="keep_developers" not in allowed,
        require_reasoning="allow_no_reasoning" not in allowed,
        compact_tools=compact_tools,
    )
    in_reasoning = thinking
    if continues:
        in_reasoning = thinking and not messages[-1].get("content")
        _reopen(parts, in_reasoning)
    mended = [(index + moved, what) for index, what in mended]
    return Prompt([BOS, "", *parts], in_reasoning, messages, mended)


def thinks(request: Mapping[str, Any]) -> bool:
    """Whether a request switches thinking on; ChatFormatError where two switches disagree."""
    options = request.get("chat_template_kwargs") or {}
    if not isinstance(options, Mapping):
        raise ChatFormatError(f"it is {options!r}: pass an object.", field="chat_template_kwargs")
    switches = {}
    for where, holder in (("", request), ("chat_template_kwargs.", options)):
        for name in ("thinking", "enable_thinking"):
            value = holder.get(name)
            if isinstance(value, Mapping) and value.get("type") in ("enabled", "disabled"):
                value = value["type"] == "enabled"
            if value is None:
                continue
            if not isinstance(value, bool):
                raise ChatFormatError(
                    f'it is {value!r}: use true, false or {{"type": "enabled" | "disabled"}}.',
                    field=where + name,
                )
            switches[where + name] = value
    if len(set(switches.values())) > 1:
        said = ", ".join(f"{name} is {value}" for name, value in switches.items())
        raise ChatFormatError(f"the thinking switches disagree ({said}): give one of them.")
    return any(switches.values())


def _continues(request: Mapping[str, Any], messages: Sequence[dict[str, Any]]) -> bool:
    """Whether the last message is to be continued; refuses messages that nothing can answer."""
    last, index = messages[-1], len(messages) - 1
    role = last["role"]
    for early, message in enumerate(messages[:-1]):
        if message.get("prefix"):
            raise ChatFormatError(
                "only the last message can be continued.",
                index=early,
                role=message["role"],
                field="prefix",
            )
    asked = last.get("prefix") or request.get("continue_final_message")
    if role == "assistant":
        if not asked:
            raise ChatFormatError(
                "the assistant has had the last word: add a user message, or mark this one with "
                '"prefix": true to have it continued.',
                index=index,
                role=role,
            )
        if last.get("tool_calls"):
            raise ChatFormatError(
                "a message with tool calls cannot be continued: add their results.",
                index=index,
                role=role,
                field="prefix",
            )
        return True
    if asked:
        raise ChatFormatError(
            "only an assistant message can be continued.", index=index, role=role, field="prefix"
        )
    if role == "system":
        raise ChatFormatError(
            "a system message does not ask for an answer: add a user message.",
            index=index,
            role=role,
        )
    if role == "tool":
        first = next(i for i in range(index, -2, -1) if i < 0 or messages[i]["role"] != "tool") + 1
        calls = messages[first - 1].get("tool_calls") or () if first else ()
        results = len(messages) - first
        if results != len(calls):
            raise ChatFormatError(
                f"{results} tool results follow {len(calls)} tool calls: give one for each call.",
                index=index,
                role=role,
            )
    return False


def _attach(request: Mapping[str, Any], messages: list[dict[str, Any]]) -> None:
    """Puts the request's tools and response format onto the leading message, in place of any that
    the messages hold themselves."""
    given = {name: request[name] for name in _ATTACHED if request.get(name)}
    if "tools" in given:
        check_tools(given["tools"])
    choice = request.get("tool_choice")
    if isinstance(choice, Mapping):
        function = choice.get("function")
        wanted = function.get("name") if isinstance(function, Mapping) else None
        held = given.get("tools") or [t for m in messages for t in m.get("tools") or ()]
        if wanted not in [tool["function"]["name"] for tool in held]:
            raise ChatFormatError(
                f"there is no tool {wanted!r}: name one of the request's tools.",
                field="tool_choice",
            )
    elif choice not in (None, "none", "auto", "required"):
        raise ChatFormatError(
            f'it is {choice!r}: use "none", "auto", "required" or a function.', field="tool_choice"
        )
    layout = given.get("response_format")
    if layout is not None and (not isinstance(layout, Mapping) or "type" not in layout):
        raise ChatFormatError(
            f'it is {layout!r}: pass an object such as {{"type": "json_object"}}.',
            field="response_format",
        )
    replaced = set(given)
    if choice == "none":
        given.pop("tools", None)
        replaced.add("tools")
    if layout is not None and layout["type"] == "text":
        del given["response_format"]
    for message in messages:
        for name in replaced:
            message.pop(name, None)
    if given:
        if messages[0]["role"] not in ("system", "developer"):
            messages.insert(0, {"role": "system", "content": ""})
        messages[0].update(given)


def _reopen(parts: list[str], in_reasoning: bool) -> None:
    """Takes from the end of `parts` what closes the last assistant message."""
    assert parts[-2:] == [EOS, ""]
    del parts[-2:]
    if in_reasoning:
        assert parts[-4:] == [THINK_CLOSE, "", "", ""]
        del parts[-4:]
