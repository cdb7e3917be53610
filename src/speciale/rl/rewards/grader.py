"""The model that grades: any OpenAI-compatible chat server, or a function of ours.

V3.2 report, section 3.1: a generative reward model. Both forms answer messages with a text; what is
asked and how the text is read is in asking.py, rubric.py and proof.py.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Protocol
from urllib.parse import urlsplit

from speciale.errors import ConfigError, DataError

Message = Mapping[str, Any]


class Grader(Protocol):
    async def complete(self, messages: Sequence[Message]) -> str:
        """The text of one completion, without its thinking."""
        ...


class ScriptedGrader:
    """A function in the model's place: the text of all messages, system message first, to what
    the model would say. For tests, dry runs and rules that are written as a judge."""

    def __init__(self, function: Callable[[str], str | Awaitable[str]]) -> None:
        self._function = function

    async def complete(self, messages: Sequence[Message]) -> str:
        said = self._function("\n\n".join(message["content"] for message in messages))
        return await said if isawaitable(said) else said


class ServerGrader:
    """A chat server's model. Busy or gone, it is asked again after a while (agents/http.py)."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_env: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        timeout_s: float = 600.0,
        concurrency: int = 32,
    ) -> None:
        """url: up to and with /v1. key_env: the environment variable that holds the key.
        temperature, max_tokens (of a completion): None leaves them to the server. timeout_s: of one
        request. concurrency: requests at a time. ConfigError for what cannot be asked."""
        if "@" in url or "?" in url:  # said without the address, which may hold a secret
            raise ConfigError(
                "the grader's address holds credentials or a query, and recipes are stored: put "
                "the key into an environment variable and name that one in key_env"
            )
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"the grader's address is {url!r}: give it up to /v1, with http(s)")
        self._server = _server(url, _key(key_env), timeout_s)
        self._settings: dict[str, Any] = {"model": model}
        if temperature is not None:
            self._settings["temperature"] = temperature
        if max_tokens is not None:
            self._settings["max_tokens"] = max_tokens
        self._turns = asyncio.Semaphore(concurrency)

    async def close(self) -> None:
        await self._server.close()

    async def complete(self, messages: Sequence[Message]) -> str:
        """SamplerError where the server cannot or will not; DataError where it answers no chat, or
        its answer was cut off."""
        body = {**self._settings, "messages": [dict(message) for message in messages]}
        async with self._turns:
            answer = await self._server.post("/chat/completions", body)
        try:
            choice = answer["choices"][0]
            text, finish = choice["message"]["content"] or "", choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise DataError(
                f"{self._server.url} does not answer as a chat server does ({error!r}): name its "
                "address up to /v1"
            ) from error
        if not isinstance(text, str):
            raise DataError(f"{self._server.url} answered no text, but a {type(text).__name__}")
        if finish == "length":
            raise DataError(f"the answer of {self._server.url} was cut off: raise max_tokens")
        return _without_thinking(text)


def _without_thinking(text: str) -> str:
    """Some servers leave the thinking in the text. The first </think> ends it: a later one may be
    quoted from what is judged."""
    _, mark, rest = text.partition("</think>")
    return (rest if mark else text).strip()


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(f"the environment variable {variable} is not set: put the key into it")
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the environment variable {variable} holds no key: mend its value")
    return key


def _server(url: str, key: str | None, timeout_s: float) -> Any:
    try:
        from speciale.agents.http import Server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a grader needs the package {error.name}: run `pip install 'speciale[agents]'`."
        ) from error
    return Server(url, key, timeout_s=timeout_s)
