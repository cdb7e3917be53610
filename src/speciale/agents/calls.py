"""A model's calls to results that it can read, whatever is wrong with them or with the tool.

Arguments are checked against the tool's JSON schema; a tool that hangs, dies or floods costs a
result that says so, never the loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speciale.tasks.arguments import argument_faults
from speciale.tasks.environment import Environment, Result

log = logging.getLogger(__name__)

MOST_CHARACTERS = 30_000
_GRACE_S = 5.0  # for a cancelled tool to tidy up; then it is left to itself


@dataclass(frozen=True)
class CallLimits:
    seconds: float = 120.0  # of one call
    characters: int = MOST_CHARACTERS  # of one result, as the model reads it


@dataclass
class CallRecord:
    """A call and what it gave, as a trajectory keeps it."""

    id: str
    name: str
    arguments: str  # as the model wrote them
    result: str
    error: bool
    seconds: float


async def answer_calls(
    environment: Environment | None,
    tools: Sequence[Mapping[str, Any]],
    calls: Sequence[Mapping[str, Any]],
    limits: CallLimits,
) -> list[CallRecord]:
    """The results of one message's calls, in order; they run side by side, begun in order.

    `tools` are those that the model was told of: no others can be called.
    """
    known = {tool["function"]["name"]: tool for tool in tools}
    return list(
        await asyncio.gather(*(_answer(environment, known, call, limits) for call in calls))
    )


async def _answer(
    environment: Environment | None,
    known: Mapping[str, Mapping[str, Any]],
    call: Mapping[str, Any],
    limits: CallLimits,
) -> CallRecord:
    function = call["function"]
    begun = time.monotonic()
    result = await _result(environment, known, function["name"], function["arguments"], limits)
    # Half a surrogate pair, which JSON can write and UTF-8 cannot.
    text = clipped(result.text, limits.characters).encode("utf-8", "replace").decode("utf-8")
    seconds = time.monotonic() - begun
    return CallRecord(
        call["id"], function["name"], function["arguments"], text, result.error, seconds
    )


async def _result(
    environment: Environment | None,
    known: Mapping[str, Mapping[str, Any]],
    name: str,
    arguments: str,
    limits: CallLimits,
) -> Result:
    if environment is None or name not in known:
        others = f"the tools are {', '.join(known)}" if known else "there are no tools"
        return Result(f"Error: there is no tool {name!r}; {others}.", error=True)
    try:
        values = json.loads(arguments or "{}")
    except (ValueError, RecursionError) as error:
        return Result(f"Error: the arguments of {name} are no JSON ({error}).", error=True)
    faults = argument_faults(known[name], values)
    if faults:
        return Result(f"Error: {name} was not called. {' '.join(faults)}", error=True)
    working = asyncio.ensure_future(environment.call(name, values))
    try:
        done, _ = await asyncio.wait({working}, timeout=limits.seconds)
    except asyncio.CancelledError:
        await _leave(working)
        raise
    if not done:
        await _leave(working)
        return Result(
            f"Error: {name} did not answer within {limits.seconds:g} seconds and was stopped.", True
        )
    try:
        return working.result()
    except asyncio.CancelledError:
        return Result(f"Error: {name} was stopped before it answered.", error=True)
    except Exception as error:  # whatever a tool's author did not foresee
        log.warning("the tool %s failed", name, exc_info=error)
        return Result(f"Error: {name} failed ({type(error).__name__}: {error}).", error=True)


async def _leave(working: asyncio.Future) -> None:
    """Stops a call; one that does not let itself be stopped is not waited for."""
    working.cancel()
    await asyncio.wait({working}, timeout=_GRACE_S)
    if working.done() and not working.cancelled():
        working.exception()  # looked at, so that nothing is logged about it


def clipped(text: str, most: int = MOST_CHARACTERS) -> str:
    """At most about `most` characters: of a longer text its beginning and its end."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}"
