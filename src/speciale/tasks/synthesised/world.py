"""A family's environment at work: its tools over a fresh database, solutions and verifiers.

A solution runs in a process that has no database; each of its calls passes through here to the
tools' process, and is noted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.tasks.arguments import argument_faults
from speciale.tasks.environment import Result
from speciale.tasks.synthesised.family import VERIFY, Family, TaskFiles
from speciale.tasks.synthesised.processes import CALL_S, WORK_S, Broke, Roleplayer, roleplayer
from speciale.tasks.synthesised.signatures import tools_of

DATABASE, SCHEMA, TOOLS = "data.sqlite", "schema.sql", "tools.py"
MOST_CALLS = 300  # of a solution


@dataclass(frozen=True)
class Call:
    """One call and what it gave. `bug`: not a refusal but a failure of the tool itself."""

    name: str
    arguments: Mapping[str, Any]
    value: Any = None
    error: str | None = None
    bug: bool = False
    wrote: bool = False  # it changed the database


@dataclass(frozen=True)
class State:
    """The database as calls left it. `digest` is of all rows; `database` (base64) where changed."""

    changed: bool = False
    digest: str = ""
    database: str | None = None


@dataclass
class Run:
    """What a solution did. `fault`: why it has no answer."""

    answer: Any = None
    calls: list[Call] = field(default_factory=list)
    state: State = field(default_factory=State)
    fault: str | None = None
    tried: list[str] = field(default_factory=list)  # what generated code must not, and tried


class World:
    """An Environment (tasks/environment.py) over the tools' process; `start` gives the start state.

    Without a call to `start` the first call makes it.
    """

    def __init__(self, family: Family, player: Roleplayer) -> None:
        self.tools: Sequence[Mapping[str, Any]] = tools_of(family.files[TOOLS].decode())
        self._known = {tool["function"]["name"]: tool for tool in self.tools}
        self.player = player
        self._one = asyncio.Lock()  # calls may come side by side, the database takes one
        self.tried: list[str] = []

    async def start(self) -> None:
        """A fresh copy of the database. Broke where tools.py does not load."""
        if self.player.open:
            await self.player.ask({"do": "close"}, CALL_S)
            self.player.open = False
        reply = await self.player.ask({"do": "open"}, WORK_S)
        self._note(reply)
        if not reply.get("open"):
            raise Broke(str(reply.get("fault")))
        self.player.open = True

    async def make(self, name: str, arguments: Mapping[str, Any]) -> Call:
        """Makes one call. Broke where the tool hangs or ends its process."""
        if name not in self._known:
            return Call(name, arguments, error=f"there is no tool {name!r}")
        if faults := argument_faults(self._known[name], dict(arguments)):
            return Call(name, arguments, error=" ".join(faults))
        if not self.player.open:
            await self.start()
        request = {"do": "call", "name": name, "arguments": dict(arguments)}
        reply = await self.player.ask(request, CALL_S)
        self._note(reply)
        if "error" in reply:
            return Call(name, arguments, error=str(reply["error"]), bug=bool(reply.get("bug")))
        return Call(name, arguments, reply.get("value"), wrote=reply.get("wrote") is True)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        async with self._one:
            return result_of(await self.make(name, arguments))

    async def state(self) -> State:
        if not self.player.open:
            return State()
        reply = await self.player.ask({"do": "state"}, WORK_S)
        database = reply.get("database")
        return State(bool(reply.get("changed")), str(reply.get("digest")), database)

    def _note(self, reply: Mapping[str, Any]) -> None:
        for what in reply.get("tried") or ():
            if str(what) not in self.tried:
                self.tried.append(str(what))


def result_of(call: Call) -> Result:
    """What a call gave, as a model reads it."""
    if call.error is not None:
        return Result(f"Error: {call.error}", error=True)
    return Result(json.dumps(call.value, ensure_ascii=False))


@asynccontextmanager
async def open_world(
    family: Family, sandbox: Sandbox | None = None, *, clock_s: float = 0, hash_seed: int = 0
) -> AsyncIterator[World]:
    """The family's tools. Broke where the database does not open, DataError where tools.py has no
    tools."""
    for name in (DATABASE, SCHEMA, TOOLS):
        if name not in family.files:
            raise DataError(f"the environment {family.about.id} has no {name}")
    files = {name: family.files[name] for name in (DATABASE, SCHEMA, TOOLS)}
    tools_of(files[TOOLS].decode())
    async with roleplayer("world", files, sandbox, clock_s=clock_s, hash_seed=hash_seed) as player:
        yield World(family, player)


# What a policy makes of a call's value before the solution sees it: (number of the call, call).
Alter = Callable[[int, Call], Any]


async def run_solution(
    solver: Roleplayer,
    world: World,
    path: str,
    alter: Alter | None = None,
) -> Run:
    """Runs a solution (its path in the solver's cell) against a fresh world. alter: what it sees
    instead of a call's value."""
    run = Run()
    try:
        await world.start()
        reply = await solver.ask({"path": path}, WORK_S)
        while "call" in reply:
            if len(run.calls) >= MOST_CALLS:
                raise solver.gone(f"made more than {MOST_CALLS} calls")
            arguments = reply.get("arguments")
            if not isinstance(arguments, dict):
                raise solver.gone("broke the protocol")
            call = await world.make(str(reply["call"]), arguments)
            run.calls.append(call)
            seen = alter(len(run.calls) - 1, call) if alter and not call.error else call.value
            answer = {"error": call.error} if call.error is not None else {"value": seen}
            reply = await solver.ask(answer, WORK_S)
        run.tried = [str(each) for each in reply.get("tried") or ()]
        if "answer" in reply:
            run.answer = reply["answer"]
        else:
            run.fault = str(reply.get("fault"))
        run.state = await world.state()
    except Broke as error:
        run.fault = str(error)
    run.tried += world.tried
    return run


async def replay(world: World, calls: Iterable[tuple[str, Mapping[str, Any]]]) -> State:
    """The state that calls leave in a fresh world, whatever they give. Broke as World.make."""
    await world.start()
    for name, arguments in calls:
        await world.make(name, arguments)
    return await world.state()


@dataclass(frozen=True)
class Ruling:
    """What a verifier said of one answer."""

    accepted: bool
    reason: str | None = None
    raised: bool = False


async def rule(
    verifier: Roleplayer, path: str, answers: Sequence[Any], state: State
) -> tuple[list[Ruling], list[str]]:
    """Asks a verifier (its path in its cell) about answers in a state, in order, until it accepts
    one; and what it tried that it must not. Broke as Roleplayer."""
    request = {"path": path, "answers": list(answers), "database": state.database}
    reply = await verifier.ask(request, WORK_S)
    rulings, tried = reply.get("rulings"), reply.get("tried")
    if not (isinstance(rulings, list) and rulings and isinstance(tried, list)):
        raise verifier.gone("broke the protocol")
    return [
        Ruling(one.get("accepted") is True, one.get("reason"), one.get("raised") is True)
        for one in rulings
    ], [str(one) for one in tried]


def verifier_files(family: Family, tasks: Mapping[str, TaskFiles]) -> dict[str, bytes]:
    """What lies in the verifiers' cell: NUMBER.py of each task, and the start state, where the
    family has a database."""
    files = {f"{number}.py": task.files.get(VERIFY, b"") for number, task in tasks.items()}
    if DATABASE in family.files:
        files[DATABASE] = family.files[DATABASE]
    return files
