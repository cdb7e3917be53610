"""What an item may spend, what it has spent, and the chat server that keeps to it.

Tokens are those that the server reports, else a careful guess. They are looked at before every
completion, and a completion is asked to be no longer than what is left (V3.2 report, 3.2.3).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from speciale.agents.chat_server import ChatServer, Flavour
from speciale.agents.http import Server
from speciale.agents.sampler import SamplerError
from speciale.errors import ConfigError

CHARACTERS_A_TOKEN = 3  # as chat_server.py guesses
LEAST_ROOM = 64  # tokens: a shorter completion is not worth its prompt
LEAST_ANSWER = 2048  # tokens asked for, however full the window is guessed to be
MILLION = 1_000_000
# Settings that some servers refuse: the first one is OpenAI's newer name of max_tokens.
ADAPTED = ("max_completion_tokens", "seed", "temperature", "top_p")

Whole = Annotated[int, Field(ge=1)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Allowance(BaseModel):
    """What one item may spend; None: no limit. `cost` and prices are in one currency, which nobody
    has to name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tokens: Whole | None = 1_500_000  # prompts and completions together
    seconds: Amount = 1800.0
    cost: Amount | None = None
    price_in: Price = 0.0  # of a million prompt tokens
    price_out: Price = 0.0  # of a million completion tokens
    rounds: Whole = 4  # of a step: the first and those after feedback
    completions: Whole = 40  # of a round
    max_tokens: Annotated[int, Field(ge=LEAST_ROOM)] = 16_000  # of a completion
    window: Whole = 128_000  # tokens
    call_seconds: Amount = 30.0  # of a tool call

    @staticmethod
    def of(values: Mapping[str, Any]) -> Allowance:
        """ConfigError names the first value that cannot be."""
        try:
            allowance = Allowance.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(
                f"the budget's {where} is {first['input']!r}: {first['msg']}"
            ) from None
        if allowance.cost is not None and not (allowance.price_in or allowance.price_out):
            raise ConfigError(
                f"the budget is {allowance.cost:g} in money, but there are no prices: give what a "
                "million tokens cost, in and out"
            )
        return allowance


class Spent(SamplerError):
    """The budget is used up; the text says which part of it."""


@dataclass
class Used:
    """What a step spent. `guessed`: completions whose tokens the server did not report."""

    step: str
    rounds: int = 0
    completions: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    guessed: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)  # that were left at its end


class Ledger:
    """The account of one item, by steps."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance, self.steps = allowance, [Used("start")]
        self._begun = self._step_begun = time.monotonic()

    def begin(self, step: str) -> None:
        self.close()
        self.steps.append(Used(step))

    def close(self) -> None:
        """Notes the time of the step that is open."""
        now = time.monotonic()
        self.steps[-1].seconds = round(now - self._step_begun, 3)
        self._step_begun = now

    @property
    def step(self) -> Used:
        return self.steps[-1]

    def add(self, prompt: int, completion: int, guessed: bool) -> None:
        self.step.completions += 1
        self.step.prompt_tokens += prompt
        self.step.completion_tokens += completion
        self.step.guessed += guessed

    def total(self, what: str) -> int:
        return sum(getattr(step, what) for step in self.steps)

    @property
    def tokens(self) -> int:
        return self.total("prompt_tokens") + self.total("completion_tokens")

    @property
    def money(self) -> float:
        return self.cost(self.total("prompt_tokens"), self.total("completion_tokens"))

    def cost(self, prompt: int, completion: int) -> float:
        allowance = self.allowance
        return (prompt * allowance.price_in + completion * allowance.price_out) / MILLION

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.allowance.seconds - (time.monotonic() - self._begun))

    def room(self, prompt: int) -> int:
        """How many tokens a completion after a prompt of so many may have. Spent where that is
        next to nothing."""
        allowance = self.allowance
        room = allowance.max_tokens
        if allowance.tokens is not None:
            room = min(room, allowance.tokens - self.tokens - prompt)
            if room < LEAST_ROOM:
                raise Spent(f"the budget of {allowance.tokens:,} tokens is used up")
        if allowance.cost is not None:
            left = allowance.cost - self.money - self.cost(prompt, 0)
            if left < self.cost(0, LEAST_ROOM):
                raise Spent(f"the budget of {allowance.cost:g} in money is used up")
            if allowance.price_out:
                room = min(room, int(left * MILLION / allowance.price_out))
        if self.seconds_left <= 0:
            raise Spent(f"the budget of {allowance.seconds:g} s is used up")
        return room


class MeteredChat(ChatServer):
    """A ChatServer whose completions are counted and bounded by a ledger."""

    def __init__(
        self, url: str, model: str, ledger: Ledger, *, api_key: str | None, flavour: Flavour
    ) -> None:
        window = ledger.allowance.window
        super().__init__(url, model, window=window, api_key=api_key, flavour=flavour)
        self.server: Any = _Metered(self.server, ledger)


class _Metered:
    """In the place of a Server."""

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self._server, self._ledger = server, ledger
        self.url = server.url
        self._learnt: set[str] = set()  # of ADAPTED: what it would not take

    async def close(self) -> None:
        await self._server.close()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Spent in place of a completion that the budget does not hold."""
        asked = guess(body["messages"]) + guess(body.get("tools") or ())
        allowance = self._ledger.allowance
        fits = max(LEAST_ANSWER, allowance.window - asked)
        most = min(self._ledger.room(asked), fits)
        try:
            answer = await self._send(path, {**body, "max_tokens": most})
        except asyncio.CancelledError:  # what it had done by then is nobody's to know
            self._ledger.add(asked, 0, guessed=True)
            raise
        # Half a surrogate pair could not be sent back.
        text = json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")
        answer = json.loads(text)
        usage = answer.get("usage")
        counts = [_count(usage, key) for key in ("prompt_tokens", "completion_tokens")]
        guessed = None in counts
        prompt, completion = counts
        if prompt is None or completion is None:
            choices = answer.get("choices")
            prompt, completion = asked, guess(choices if isinstance(choices, list) else ())
        self._ledger.add(prompt, completion, guessed)
        return {**answer, "usage": {"total_tokens": prompt + completion}}

    async def _send(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Asks again without a setting that the server's refusal speaks of."""
        while True:
            try:
                return await self._server.post(path, self._adapted(body))
            except SamplerError as error:
                said = str(error)
                new = [word for word in ADAPTED if word in said and word not in self._learnt]
                if "refused the request" not in said or not new:
                    raise
                self._learnt.add(new[0])

    def _adapted(self, body: dict[str, Any]) -> dict[str, Any]:
        body = {key: value for key, value in body.items() if key not in self._learnt}
        if "max_completion_tokens" in self._learnt:
            body["max_completion_tokens"] = body.pop("max_tokens")
        return body


def guess(things: Any) -> int:
    """Tokens of JSON values, rather too many than too few."""
    return sum(len(str(thing)) for thing in things) // CHARACTERS_A_TOKEN


def _count(usage: Any, key: str) -> int | None:
    count = usage.get(key) if isinstance(usage, dict) else None
    return count if type(count) is int and 0 <= count <= 1000 * MILLION else None
