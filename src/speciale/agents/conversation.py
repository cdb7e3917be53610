"""A conversation with a `Sampler`: messages beside the very ids that were sampled.

Thinking stays while only tool results follow and goes when a user speaks (V3.2 report, 3.2.1;
chat/extend.py). What was sampled is never encoded again, also where rounds are dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from speciale.agents.rounds import find_rounds
from speciale.agents.sampler import Sample, Sampler
from speciale.chat import (
    ASSISTANT,
    BOS,
    THINK_OPEN,
    USER,
    Detokenizer,
    Event,
    Repair,
    StreamParser,
    encode_request,
    extend,
    join,
)
from speciale.chat.ids import mark_id, parts_to_ids
from speciale.engine.params import SamplingParams
from speciale.errors import RequestError

Message = dict[str, Any]
OnEvent = Callable[[Event], None]


@dataclass
class Reply:
    """What the model said, as a message and as it was sampled."""

    message: Message
    sample: Sample
    prompt: list[int]  # that it answers; empty where only the server has the ids
    seconds: float
    unread: list[str] = field(default_factory=list)  # calls that could not be read, and why


class Conversation:
    """`messages` is all that happened; `context` is what of it the prompt still holds."""

    def __init__(
        self,
        sampler: Sampler,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        thinking: bool = True,
    ) -> None:
        """ChatFormatError for messages that nobody can answer."""
        self.sampler, self.tools, self.thinking = sampler, list(tools), thinking
        self.tokenizer, self.window = sampler.tokenizer, sampler.window
        prompt = encode_request(self._request(messages))
        self.ids = prompt.ids(self.tokenizer)
        self.messages = [dict(message) for message in messages]
        self.context = list(self.messages)
        self._marks = {mark: mark_id(self.tokenizer, mark) for mark in (BOS, USER, ASSISTANT)}

    @property
    def size(self) -> int:
        """Tokens of the prompt."""
        return len(self.ids)

    async def reply(self, params: SamplingParams, on_event: OnEvent | None = None) -> Reply:
        """Samples the next assistant message and adds it; the next `add` goes on from there.

        on_event hears the message's parts as they come. A sampled mark that only the template may
        set ends the completion in front of it.
        """
        room = self.window - self.size
        if room < 1:
            raise RequestError(
                f"the conversation fills the window ({self.size} of {self.window} tokens): "
                "manage the context, or shorten the results"
            )
        params = replace(params, max_tokens=min(params.max_tokens or room, room))
        prompt = list(self.ids)
        thinking = prompt[-1] == mark_id(self.tokenizer, THINK_OPEN)
        reading = _Reading(self.tokenizer, thinking, on_event)
        begun = time.monotonic()
        feed = None if on_event is None else reading.feed  # unheard, all is read at its end
        sample = await self.sampler.sample(prompt, params, self.tools, feed)
        seconds = time.monotonic() - begun
        cut = next((n for n, i in enumerate(sample.ids) if i in self._marks.values()), None)
        if cut is not None:
            sample = replace(
                sample, ids=sample.ids[:cut], logprobs=sample.logprobs[:cut], finish="stop"
            )
        events = reading.finish(sample.ids)
        message = _message(events, len(self.messages))
        self._add_messages([message])
        self._completion = sample.ids
        unread = [event.detail for event in events if _lost_call(event)]
        return Reply(message, sample, prompt, seconds, unread)

    def add(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> None:
        """Results of the last reply's calls, or a user's turn, with tools that come with it."""
        mode = "thinking" if self.thinking else "chat"
        self.ids = extend(self.tokenizer, self.ids, self._completion, messages, mode).ids
        self._completion = []
        self._add_messages(messages)
        if tools:
            self._declare(tools)

    # ---- what context management does (context.py) ----------------------------------------------

    @property
    def rounds(self) -> int:
        """Tool rounds in the context."""
        return len(find_rounds(self.tokenizer, self.ids))

    def drop_rounds(self, count: int) -> None:
        """Takes the oldest `count` tool rounds out of the context; what stays keeps its ids."""
        rounds = find_rounds(self.tokenizer, self.ids)
        kept: list[int] = []
        position = 0
        for start, stop in rounds[:count]:
            kept += self.ids[position:start]
            position = stop
        self.ids = kept + self.ids[position:]
        self.context = without_rounds(self.context, count)

    def append_to_question(self, text: str) -> None:
        """Adds `text` to the last user message of the context."""
        place = max(n for n, token in enumerate(self.ids) if token == self._marks[ASSISTANT])
        added = parts_to_ids(self.tokenizer, ["", text])
        self.ids = self.ids[:place] + added + self.ids[place:]
        self.context = with_question(self.context, text)

    async def aside(self, ask: str, params: SamplingParams) -> Reply:
        """The answer to a question of ours about the conversation, which leaves no trace in it."""
        side = Conversation(
            self.sampler,
            [*self.context, {"role": "user", "content": ask}],
            self.tools,
            self.thinking,
        )
        return await side.reply(params)

    # ---- inside ---------------------------------------------------------------------------------

    def _request(self, messages: Sequence[Message]) -> dict[str, Any]:
        return {"messages": list(messages), "tools": self.tools, "thinking": self.thinking}

    def _add_messages(self, messages: Sequence[Message]) -> None:
        self.messages += messages
        self.context += messages

    def _declare(self, tools: Sequence[Mapping[str, Any]]) -> None:
        """Tools are declared in front of the first user mark: that part alone is encoded anew."""
        self.tools += tools
        first = self.context[0]
        if first["role"] == "developer":
            raise RequestError(
                "tools came while the conversation went on, and its first message is a "
                "developer's: begin it with a system message"
            )
        head = [first] if first["role"] == "system" else []
        stub = [*head, {"role": "user", "content": ""}]
        ids = encode_request(self._request(stub)).ids(self.tokenizer)
        user = self._marks[USER]
        self.ids = ids[: ids.index(user)] + self.ids[self.ids.index(user) :]


class _Reading:
    """Reads a completion as it comes."""

    def __init__(self, tokenizer: Any, thinking: bool, on_event: OnEvent | None) -> None:
        self._tokenizer, self._mode = tokenizer, "thinking" if thinking else "chat"
        self._on_event = on_event
        self._detokenizer = Detokenizer(tokenizer)
        self._parser = StreamParser(self._mode, "lenient")
        self._read: list[int] = []
        self._events: list[Event] = []

    def feed(self, ids: list[int]) -> None:
        self._read += ids
        self._hear(self._parser.feed(self._detokenizer.feed(ids)))

    def finish(self, ids: list[int]) -> list[Event]:
        """The events of `ids`, which count, whatever was heard on the way."""
        if ids[: len(self._read)] != self._read:
            whole = _Reading(self._tokenizer, self._mode == "thinking", None)
            return whole.finish(ids)
        self.feed(ids[len(self._read) :])
        self._hear(self._parser.feed(self._detokenizer.finish()))
        self._hear(self._parser.finish())
        return self._events

    def _hear(self, events: list[Event]) -> None:
        self._events += events
        for event in events if self._on_event is not None else ():
            self._on_event(event)


def _lost_call(event: Event) -> bool:
    return isinstance(event, Repair) and event.dropped is not None


def _message(events: list[Event], place: int) -> Message:
    """The assistant message, its calls with ids that no other message of the conversation has."""
    message = join(events)
    for number, call in enumerate(message["tool_calls"]):
        call["id"] = f"call_{place}_{number}"
    return {key: value for key, value in message.items() if value or key in ("role", "content")}


def without_rounds(messages: Sequence[Message], count: int) -> list[Message]:
    """The messages without the oldest `count` assistant messages with calls and their results."""
    kept = []
    dropping = False
    for message in messages:
        if message["role"] == "assistant":
            dropping = bool(message.get("tool_calls")) and count > 0
            count -= dropping
        elif message["role"] != "tool":
            dropping = False
        if not dropping:
            kept.append(message)
    return kept


def with_question(messages: Sequence[Message], text: str) -> list[Message]:
    """The messages with `text` added to the last user or developer message."""
    place = max(n for n, m in enumerate(messages) if m["role"] in ("user", "developer"))
    asked = messages[place]
    content = asked["content"]
    if not isinstance(content, str):  # content parts
        content = "\n".join(part.get("text", "") for part in content)
    return [*messages[:place], {**asked, "content": content + text}, *messages[place + 1 :]]


def tool_message(call: Mapping[str, Any], text: str) -> Message:
    return {"role": "tool", "tool_call_id": call["id"], "content": text}
