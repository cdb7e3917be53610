"""What classifiers that run elsewhere share: a key out of the environment, long texts in pieces,
several requests at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from speciale.errors import ConfigError

AT_ONCE = 8  # requests of one check

T = TypeVar("T")


async def together(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order; the first failure cancels the rest and is raised."""
    tasks: list[asyncio.Task[T]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(coroutine) for coroutine in coroutines]
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None
    return [task.result() for task in tasks]


def key_of(variable: str) -> str:
    """The key in an environment variable; ConfigError where it is not set."""
    if not (key := os.environ.get(variable)):
        raise ConfigError(
            f"The environment variable {variable} is not set: put the classifier's key into it, "
            "or name another one in key_env."
        )
    return key


def pieces(text: str, limit: int, overlap: int) -> list[str]:
    """The text in pieces of at most `limit` characters, each with the end of the one before."""
    last = max(1, len(text) - overlap)
    return [text[i : i + limit] for i in range(0, last, limit - overlap)]
