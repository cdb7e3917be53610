"""Prompts and completions shown in colour: what is the template's, what the messages', which
marks are tokens, and what lenient parsing mended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from speciale.chat.events import CallEnd, CallStart, Event, Repair, join
from speciale.chat.ids import parts_to_ids
from speciale.chat.markers import SPECIAL_TOKENS
from speciale.chat.request import Prompt
from speciale.terminal import visible

_MARK = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))
_TEMPLATE, _MARK_STYLE, _MESSAGE = "cyan", "bold magenta", "default"


def explain_prompt(prompt: Prompt, tokenizer: Any = None) -> None:
    """Prints a prompt: tokens of the template, its text, and the text of the messages."""
    console = Console(highlight=False)
    text = Text()
    for place, part in enumerate(prompt.parts):
        _append(text, part, _MESSAGE if place % 2 else _TEMPLATE, marks=not place % 2)
    console.print(text, soft_wrap=True)
    console.rule(style="dim")
    console.print(_legend((("token", _MARK_STYLE), ("template", _TEMPLATE), ("messages", ""))))
    for index, message in enumerate(prompt.messages):
        said = ", ".join(what for at, what in prompt.mended if at == index)
        mended = f"  [yellow]{said}[/]" if said else ""
        console.print(f"message {index}: {message['role']}{mended}")
    ends = "inside the reasoning" if prompt.in_reasoning else "where the answer begins"
    count = f"{len(prompt.text)} characters"
    if tokenizer is not None:
        count += f", {len(parts_to_ids(tokenizer, prompt.parts))} tokens"
    console.print(f"{count}; the prompt ends {ends}", style="dim")


def explain_completion(text: str, events: Sequence[Event], tokenizer: Any = None) -> None:
    """Prints a completion with its marks, then what was read out of it and what was mended."""
    console = Console(highlight=False)
    shown = Text()
    _append(shown, text, "default", marks=True)
    console.print(shown, soft_wrap=True)
    console.rule(style="dim")
    message = join(events)
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    if message["reasoning_content"]:
        table.add_row("reasoning", Text(visible(message["reasoning_content"]), style="dim"))
    if message["content"] or not message["tool_calls"]:
        table.add_row("content", Text(visible(message["content"])))
    for call in message["tool_calls"]:
        said = f"{call['function']['name']}({call['function']['arguments']})"
        table.add_row("call", Text(visible(said), style="cyan"))
    complete = {event.index for event in events if isinstance(event, CallEnd)}
    for event in events:
        if isinstance(event, CallStart) and event.index not in complete:
            table.add_row("dropped", Text(visible(event.name), style="red"))
    for event in events:
        if isinstance(event, Repair):
            near = text[event.offset : event.offset + 24]
            what = f"{event.kind} at {event.offset}: {event.detail} (near {near!r})"
            table.add_row("repair", Text(what, style="yellow"))
    console.print(table)
    count = f"{len(text)} characters"
    if tokenizer is not None:
        count += f", {len(tokenizer.encode(text, add_special_tokens=False).ids)} tokens"
    console.print(f"{count}; finish_reason {events[-1].reason}", style="dim")


def _append(text: Text, part: str, style: str, marks: bool) -> None:
    part = visible(part)
    at = 0
    for mark in _MARK.finditer(part) if marks else ():
        text.append(part[at : mark.start()], style)
        text.append(mark.group(), _MARK_STYLE)
        at = mark.end()
    text.append(part[at:], style)


def _legend(entries: Sequence[tuple[str, str]]) -> Text:
    return Text("  ").join(Text(name, style) for name, style in entries)
