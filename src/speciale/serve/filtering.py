"""What of a request the content filter sees, and what a client hears of a filtered prompt.

All that a client writes is looked at: messages of every role, reasoning and tool calls that come
back, tools and schemas, a prefix, and both sides of a hole to fill.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from speciale.safety.filter import PromptPart
from speciale.serve.answers import Results
from speciale.serve.backends.seam import Job
from speciale.serve.errors import ApiError

# A document's text is where instructions hide that the user never wrote.
_KINDS = {"system": "system", "developer": "system", "user": "user", "tool": "document"}
_SEED = 1_000  # characters of what a completion goes on from


def prompt_parts(job: Job) -> list[PromptPart]:
    if job.prompt is None:
        before, after = job.body["prompt"], job.body.get("suffix")
        parts = [PromptPart(before, "user")]
        if after is not None:
            # Together too: what is cut in two by the hole is read as one by the model.
            parts += [
                PromptPart(after, "user"),
                PromptPart(before[-_SEED:] + after[:_SEED], "user"),
            ]
        return parts
    parts = []
    last = len(job.prompt.messages) - 1
    for place, message in enumerate(job.prompt.messages):
        kind = _KINDS.get(message["role"], "assistant")
        if message["role"] == "assistant" and place == last:
            kind = "user"  # a prefix is the client's own words
        texts = [message.get("content"), message.get("reasoning_content")]
        for call in message.get("tool_calls") or ():
            texts += [call["function"]["name"], _values(call["function"]["arguments"])]
        for given in ("tools", "response_format"):
            if message.get(given):
                texts.append(_strings(message[given]))
        parts += [PromptPart(text, kind) for text in texts if text]
    return parts


def seeds(job: Job) -> dict[str, str]:
    """The text that a completion goes on from, by channel: a listed phrase may begin there."""
    if job.prompt is None:
        return {"content": job.body["prompt"][-_SEED:]}
    last = job.prompt.messages[-1]
    if last["role"] != "assistant":
        return {}
    if job.prompt.in_reasoning:
        return {"reasoning": (last.get("reasoning_content") or "")[-_SEED:]}
    return {"content": (last.get("content") or "")[-_SEED:]}


def refusal(results: Results) -> ApiError:
    """The 400 of a filtered prompt."""
    return ApiError(
        400,
        "The prompt was filtered by the content policy: change it and try again.",
        code="content_filter",
        param="prompt",
        inner={"code": "ResponsibleAIPolicyViolation", "content_filter_result": results},
    )


def _values(arguments: str) -> str:
    """The strings of a call's arguments, as they read without JSON's escapes."""
    try:
        return _strings(json.loads(arguments))
    except (ValueError, RecursionError):
        return arguments


def _strings(value: Any) -> str:
    """Every text in a JSON value, names included, a line each."""
    texts: list[str] = []
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, Mapping):
            todo += [*reversed(item.values()), *reversed(item)]
        elif isinstance(item, list | tuple):
            todo += reversed(item)
    return "\n".join(texts)
