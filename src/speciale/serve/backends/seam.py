"""The one seam between the routes and whatever answers: a `Job` goes in, `Piece`s come out.

A backend that works on tokens yields `TextPiece`s, which reading.py turns into pieces; one that
speaks chat itself (an upstream in chat mode) yields pieces.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from speciale.chat import Event, Prompt
from speciale.errors import SpecialeError

FinishReason = Literal[
    "stop", "length", "tool_calls", "content_filter", "insufficient_system_resource"
]


class BackendError(SpecialeError):
    """The backend failed. `retriable`: another one may be asked, as long as nothing was sent.

    `status` is the HTTP status for the client: 503 where nothing could be reached, 400 with the
    upstream's own words where it refused the request.
    """

    def __init__(self, message: str, status: int = 503, retriable: bool = False) -> None:
        super().__init__(message)
        self.status, self.retriable = status, retriable


@dataclass(frozen=True)
class Job:
    """A request that passed every check."""

    id: str
    model: str
    chat: bool  # /chat/completions; else /completions
    body: Mapping[str, Any]  # the request in OpenAI's form, checked
    thinking: bool
    prompt: Prompt | None  # of a chat; encoded by speciale.chat
    text: str | None  # of a completion: prompt, or prefix and suffix within the FIM marks
    ids: list[int] | None  # the prompt, where the backend has a tokenizer
    max_tokens: int  # of each choice
    priority: int = 0  # larger ones go first

    @property
    def n(self) -> int:
        return self.body.get("n") or 1


@dataclass(slots=True)
class TokenLogprob:
    token: str
    logprob: float
    top: list[tuple[str, float]] = field(default_factory=list)


@dataclass(slots=True)
class TextPiece:
    """More raw text of one choice, marks included. `tokens`: how many it stands for."""

    choice: int
    text: str = ""
    tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: Literal["stop", "length", "insufficient_system_resource"] | None = (
        None  # last of choice
    )
    cached_tokens: int | None = None  # of the prompt, with the last one
    prompt_tokens: int | None = None  # where only the backend knows


@dataclass(slots=True)
class Piece:
    """More of one choice as events. A completion's text is in ContentDelta events.

    The last piece of each choice has `finish`. Usage figures that only the backend knows
    (`prompt_tokens`, `cached_tokens`, a final `completion_tokens`) are on the last piece of all.
    """

    choice: int
    events: list[Event] = field(default_factory=list)
    tokens: int = 0  # completion tokens in this piece, reasoning included
    reasoning_tokens: int = 0
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: FinishReason | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None  # replaces the sum of `tokens` over all choices
    total_reasoning_tokens: int | None = None  # likewise


class Backend(Protocol):
    """Closing the iterator of `run` (`aclose`) stops the work at once."""

    context: int  # tokens of prompt and answer

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def ready(self) -> str | None:
        """None if it can take work, else why not."""
        ...

    def tokens(self, prompt: Prompt | str) -> list[int] | None:
        """The prompt's ids; None where there is no tokenizer."""
        ...

    def run(self, job: Job) -> AsyncIterator[Piece]:
        """Raises BackendError, OverloadedError or RequestError before the first piece only;
        later failures end the choices with "insufficient_system_resource"."""
        ...
