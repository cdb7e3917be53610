"""An agent's conversation with an OpenAI-compatible chat server: messages in, a message out.

The server keeps the ids to itself, so trajectories hold messages only. Reasoning is sent back while
only tool results follow it, and left out once a user speaks, as V3.2's own API has it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from speciale.agents.conversation import (
    Message,
    OnEvent,
    Reply,
    with_question,
    without_rounds,
)
from speciale.agents.http import Server
from speciale.agents.sampler import Sample, SamplerError
from speciale.chat import (
    ArgumentDelta,
    CallEnd,
    CallStart,
    ContentDelta,
    Event,
    ReasoningDelta,
)
from speciale.engine.params import SamplingParams

Flavour = Literal["vllm", "sglang", "deepseek", "azure", "openai"]

_CHARACTERS_A_TOKEN = 3  # a careful guess, for what no server has counted yet


class ChatServer:
    """Where conversations are held; call it to begin one (the `model` of `run_agent`)."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        window: int = 128_000,
        api_key: str | None = None,
        flavour: Flavour = "openai",
    ) -> None:
        """url: up to and with /v1, such as http://localhost:8000/v1. flavour: how the server is
        told to think or not; speciale's own takes deepseek's way, OpenAI's has none."""
        self.server, self.model, self.window = Server(url, api_key), model, window
        self.flavour = flavour

    async def __aenter__(self) -> ChatServer:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.server.close()

    def __call__(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        thinking: bool = True,
    ) -> ChatConversation:
        return ChatConversation(self, messages, tools, thinking)


class ChatConversation:
    """As `Conversation`, over messages."""

    def __init__(
        self,
        server: ChatServer,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        thinking: bool,
    ) -> None:
        self.server, self.tools, self.thinking = server, list(tools), thinking
        self.window = server.window
        self.messages = [dict(message) for message in messages]
        self.context = list(self.messages)
        self.size = self._guess(self.messages) + self._guess(self.tools)

    async def reply(self, params: SamplingParams, on_event: OnEvent | None = None) -> Reply:
        begun = time.monotonic()
        answer = await self.server.server.post("/chat/completions", self._body(params))
        try:
            choice = answer["choices"][0]
            message = _message(choice["message"], len(self.messages))
            finish = "length" if choice["finish_reason"] == "length" else "stop"
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise SamplerError(
                f"{self.server.server.url} does not answer as a chat server does ({error!r}): "
                "name its address up to /v1"
            ) from error
        usage = answer.get("usage") or {}
        self.size = usage.get("total_tokens") or self.size + self._guess([message])
        for event in _events(message) if on_event is not None else ():
            on_event(event)
        self.messages.append(message)
        self.context.append(message)
        details = usage.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens") or 0
        sample = Sample([], [], finish, cached, extras={"usage": usage} if usage else {})
        return Reply(message, sample, [], time.monotonic() - begun)

    def add(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> None:
        self.messages += messages
        self.context += messages
        self.tools += tools
        self.size += self._guess(messages) + self._guess(tools)

    @property
    def rounds(self) -> int:
        return sum(bool(message.get("tool_calls")) for message in self.context)

    def drop_rounds(self, count: int) -> None:
        self.context = without_rounds(self.context, count)
        self.size = self._guess(self.context) + self._guess(self.tools)

    def append_to_question(self, text: str) -> None:
        self.context = with_question(self.context, text)
        self.size += self._guess([text])

    async def aside(self, ask: str, params: SamplingParams) -> Reply:
        messages = [*self.context, {"role": "user", "content": ask}]
        side = ChatConversation(self.server, messages, self.tools, self.thinking)
        return await side.reply(params)

    def _body(self, params: SamplingParams) -> dict[str, Any]:
        users = [n for n, m in enumerate(self.context) if m["role"] in ("user", "developer")]
        last = max(users, default=-1)
        shown = [
            {key: value for key, value in m.items() if key != "reasoning_content" or n > last}
            for n, m in enumerate(self.context)
        ]
        body = {
            "model": self.server.model,
            "messages": shown,
            "temperature": params.temperature,
            "top_p": params.top_p,
        }
        body |= thinking_switch(self.server.flavour, self.thinking)
        if self.tools:
            body["tools"] = self.tools
        if params.max_tokens is not None:
            body["max_tokens"] = params.max_tokens
        if params.seed is not None:
            body["seed"] = params.seed
        return body

    @staticmethod
    def _guess(things: Sequence[Any]) -> int:
        return sum(len(str(thing)) for thing in things) // _CHARACTERS_A_TOKEN


def thinking_switch(flavour: Flavour, thinking: bool) -> dict[str, Any]:
    """The part of a request that says so; OpenAI's API has none."""
    if flavour == "deepseek":
        return {"thinking": {"type": "enabled" if thinking else "disabled"}}
    if flavour in ("vllm", "sglang"):
        return {"chat_template_kwargs": {"thinking": thinking}}
    return {}


def _events(message: Message) -> Iterator[Event]:
    """What a stream of the message would have said."""
    if message.get("reasoning_content"):
        yield ReasoningDelta(message["reasoning_content"])
    if message["content"]:
        yield ContentDelta(message["content"])
    for index, call in enumerate(message.get("tool_calls", ())):
        yield CallStart(index, call["function"]["name"])
        yield ArgumentDelta(index, call["function"]["arguments"])
        yield CallEnd(index)


def _message(said: Mapping[str, Any], place: int) -> Message:
    """The server's message with what the loop relies on: text, and calls with ids."""
    message: Message = {"role": "assistant", "content": said.get("content") or ""}
    reasoning = said.get("reasoning_content") or said.get("reasoning")
    if reasoning:
        message["reasoning_content"] = reasoning
    calls = []
    for number, call in enumerate(said.get("tool_calls") or []):
        function = call["function"]
        arguments = function.get("arguments") or "{}"
        if not isinstance(arguments, str):  # some servers give the object itself
            arguments = json.dumps(arguments, ensure_ascii=False)
        calls.append(
            {
                "id": call.get("id") or f"call_{place}_{number}",
                "type": "function",
                "function": {"name": str(function["name"]), "arguments": arguments},
            }
        )
    if calls:
        message["tool_calls"] = calls
    return message
