"""`speciale encode` and `speciale parse`: a file in, a prompt or a message out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from speciale.chat.errors import ChatFormatError
from speciale.chat.events import Repair, join
from speciale.chat.parser import StreamParser
from speciale.chat.request import encode_request
from speciale.serve.standard_streams import read_text, write_text


def encode_file(
    file: Path, think: bool | None, explain: bool, tokenizer_folder: Path | None
) -> None:
    """Prints the prompt of the request in `file` (JSON; a list is read as its messages)."""
    text = read_text(file)
    try:
        request = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ChatFormatError(f"{file} is not JSON ({error}).") from error
    if isinstance(request, list):
        request = {"messages": request}
    if think is not None and isinstance(request, dict):
        switches = ("thinking", "enable_thinking", "chat_template_kwargs")
        request = {key: value for key, value in request.items() if key not in switches}
        request["thinking"] = think
    prompt = encode_request(request)
    tokenizer = _tokenizer(tokenizer_folder)
    if explain:
        from speciale.serve.explain import explain_prompt

        explain_prompt(prompt, tokenizer)
        return
    for index, what in prompt.mended:
        print(f"message {index}: {what}", file=sys.stderr)
    if tokenizer is None:
        write_text(prompt.text)  # as it is, without a newline of ours
    else:
        print(json.dumps(prompt.ids(tokenizer)))


def parse_file(
    file: Path, think: bool, mode: str, explain: bool, tokenizer_folder: Path | None
) -> None:
    """Prints the message of the completion in `file`."""
    text = read_text(file)
    parser = StreamParser("thinking" if think else "chat", mode)
    events = [*parser.feed(text), *parser.finish()]
    if explain:
        from speciale.serve.explain import explain_completion

        explain_completion(text, events, _tokenizer(tokenizer_folder))
        return
    for event in events:
        if isinstance(event, Repair):
            print(f"at character {event.offset}: {event.detail}", file=sys.stderr)
    write_text(json.dumps(join(events), indent=2, ensure_ascii=False) + "\n")


def _tokenizer(folder: Path | None) -> Any:
    if folder is None:
        return None
    from speciale.chat.tokenizer import load_tokenizer

    return load_tokenizer(folder)
