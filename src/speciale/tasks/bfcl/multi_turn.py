"""Tasks of several turns over live environments: files, trading, travel, a vehicle, tickets, posts.

Scored as BFCL scores them, by running the calls of the conversation again beside those of the
ground truth and comparing states and results after each turn (world.py, in the sandbox). A turn
that needs no call, because a function or a value is missing, is judged by what comes after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

from speciale.tasks.arguments import argument_faults
from speciale.tasks.bfcl.calls import Call, turns_of
from speciale.tasks.bfcl.categories import Category
from speciale.tasks.bfcl.data import Json, documents
from speciale.tasks.bfcl.gold import spoken_turns
from speciale.tasks.bfcl.schemas import tool
from speciale.tasks.bfcl.servers import Server, Servers, WorldError
from speciale.tasks.environment import Result
from speciale.tasks.task import Attempt, Task, Turn, Verdict

# BFCL's words when it offers the functions that it held out.
MORE = "I have updated some more functions you can choose from. What about now?"

# What a result begins with where a call failed.
FAILED = ("Error during execution: ", '{"error": ')

KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}


class Environment:
    """The instances of a task's classes, in a process of the sandbox."""

    def __init__(self, tools: Sequence[Json], server: Server) -> None:
        self.tools = tools
        self._server = server
        self._turn = asyncio.Lock()  # parallel calls are made one after the other, as in BFCL

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        async with self._turn:
            if not self._server.good:
                return Result(
                    "The environment has broken down: no call can be made any more.", True
                )
            try:
                reply = await self._server.ask({"name": name, "arguments": arguments})
            except WorldError as error:
                self._server.good = False
                return Result(f"{name} broke the environment: {error}", True)
        return Result(reply["text"], reply["text"].startswith(FAILED))


def multi_turn_task(case: Json, category: Category, servers: Servers) -> Task:
    """The task of a row of BFCL's."""
    classes = case["involved_classes"]
    gold = spoken_turns(case["ground_truth"], [one for name in classes for one in documents(name)])
    tools = _fitted({n: one for name in classes for n, one in _tools(name).items()}, gold)
    held = _held_out(case, gold)
    turns = [
        Turn(
            messages or [{"role": "user", "content": MORE}],
            [tools[n] for n in held if held[n] == at],
        )
        for at, messages in enumerate(case["question"])
    ]
    offered = [one for name, one in tools.items() if name not in held]
    start = {
        "classes": classes,
        "config": case["initial_config"],
        "long_context": category.name == "multi_turn_long_context",
    }

    @asynccontextmanager
    async def opened() -> AsyncIterator[Environment]:
        async with servers.one() as server:
            await server.ask({"do": "open", "case": start})
            yield Environment(offered, server)
            if server.good:
                with suppress(WorldError):
                    await server.ask({"do": "close"})

    def ran(call: Call, at: int) -> bool:
        """Whether the loop let the call through: one that it refused did nothing."""
        name, arguments = call["name"], call["arguments"]
        if name not in tools or held.get(name, 0) > at or arguments is None:
            return False
        return not argument_faults(tools[name], arguments)

    async def verify(attempt: Attempt) -> Verdict:
        made = turns_of(attempt.messages, [turn.messages[0] for turn in turns])
        if len(made) < len(turns):
            return Verdict(0.0, (f"The conversation has {len(made)} of {len(turns)} turns.",))
        made = [[call for call in calls if ran(call, at)] for at, calls in enumerate(made)]
        fault = await servers.check({"do": "replay", "case": start, "turns": made, "gold": gold})
        return Verdict(1.0) if fault is None else Verdict(0.0, (fault,))

    return Task(
        id=case["id"],
        source=f"bfcl/{category.name}",
        prompt=turns[0].messages,
        verifier=verify,
        open=opened,
        tools=offered,
        turns=turns[1:],
        metadata={"category": category.name, "classes": classes, "gold": gold},
    )


@cache
def _tools(class_name: str) -> dict[str, Json]:
    return {document["name"]: tool(document) for document in documents(class_name)}


def _held_out(case: Json, gold: Sequence[Sequence[Call]]) -> dict[str, int]:
    """The functions that come with a later turn, and which.

    One case of BFCL's holds out a function that its own answer uses before: that one stays.
    """
    held = {
        name: int(at) for at, names in case.get("missed_function", {}).items() for name in names
    }
    early = {
        call["name"]
        for at, calls in enumerate(gold)
        for call in calls
        if at < held.get(call["name"], 0)
    }
    return {name: at for name, at in held.items() if name not in early}


def _fitted(tools: Mapping[str, Json], gold: Sequence[Sequence[Call]]) -> dict[str, Json]:
    """The tools, with a type more where an argument of the answer has another than documented, as
    the ticket "ticket_001" of one case: else no loop that checks arguments lets the answer through.
    """
    fitted = dict(tools)
    for call in (call for calls in gold for call in calls):
        function = fitted[call["name"]]["function"]
        properties = function["parameters"]["properties"]
        wider = {}
        for name, value in call["arguments"].items():
            kind, documented = KINDS.get(type(value)), properties[name].get("type")
            same = kind in (None, documented) or (kind, documented) == ("integer", "number")
            if documented and not same:
                wider[name] = properties[name] | {"type": [documented, kind]}
        if wider:
            parameters = function["parameters"] | {"properties": properties | wider}
            fitted[call["name"]] = {
                "type": "function",
                "function": function | {"parameters": parameters},
            }
    return fitted
