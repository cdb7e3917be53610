"""Warm worlds and verifiers for many attempts, and what they have shown, remembered.

An attempt of one's own starts three processes; here a family keeps its own, and a world is fresh by
a fork. Gate 1 has shown that tools depend on nothing but the calls before (V3.2 report, 3.2.3), so
a call in a state that was seen before gives what it gave then, and needs no process at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from speciale.sandbox import Sandbox
from speciale.tasks.environment import Result
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.processes import Role, Roleplayer, roleplayer
from speciale.tasks.synthesised.purity import is_pure
from speciale.tasks.synthesised.signatures import tools_of
from speciale.tasks.synthesised.world import (
    TOOLS,
    Call,
    Ruling,
    State,
    World,
    open_world,
    result_of,
    rule,
    verifier_files,
)

# Calls that made a world what it is: names and arguments as JSON.
Trail = tuple[tuple[str, str], ...]
_Key, _Value = TypeVar("_Key"), TypeVar("_Value")
MOST_CALLS, MOST_STATES, MOST_RULINGS = 50_000, 500, 20_000  # remembered of one family
ALIKE = max(1, (os.cpu_count() or 1) // 2)  # processes of one role in one family


@dataclass(eq=False)
class Slot:
    """A process and what it is busy with. `there`: the trail in its world."""

    key: tuple[str, Role]
    busy: bool = True
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    player: Roleplayer | None = None
    world: World | None = None
    there: Trail | None = None


class WorldPool:
    """Used by the tasks that it is given to (`synthesised_tasks`, `family_task`); belongs to one
    event loop. `async with WorldPool() as pool`, or `aclose` at the end.

    At most `most` processes are kept, over all families; those that were used last stay. A family
    has two, tools and verifier; more where several cores would have them at work at once.
    """

    def __init__(self, sandbox: Sandbox | None = None, most: int = 16) -> None:
        if most < 2:
            raise ValueError(f"most is {most}: a family alone needs 2 processes")
        self._sandbox, self._most = sandbox, most
        self._families: dict[str, PooledFamily] = {}
        self._slots: list[Slot] = []  # the one that was used last is last
        self._changed = asyncio.Condition()
        self.started = 0  # processes so far

    async def __aenter__(self) -> WorldPool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends all processes. What was remembered stays."""
        slots, self._slots = self._slots, []
        await asyncio.gather(*(slot.stack.aclose() for slot in slots))

    def family(self, family: Family) -> PooledFamily:
        """The family's worlds and what is remembered of them; the same for the same bytes."""
        total = hashlib.sha256()
        for path, data in sorted(family.paths().items()):
            total.update(f"{len(path)} {path} {len(data)} ".encode())
            total.update(data)
        stamp = total.hexdigest()
        if stamp not in self._families:
            self._families[stamp] = PooledFamily(self, family, stamp)
        return self._families[stamp]

    @asynccontextmanager
    async def world_at(self, known: PooledFamily, trail: Trail) -> AsyncIterator[Slot]:
        """A real world in which the trail has been made."""
        async with self.borrowed(known, "world", trail) as slot:
            assert slot.world is not None
            if slot.there != trail:
                slot.there = None
                await slot.world.start()
                for name, arguments in trail:
                    await slot.world.make(name, json.loads(arguments))
                slot.there = trail
            yield slot

    @asynccontextmanager
    async def borrowed(
        self, known: PooledFamily, role: Role, trail: Trail | None = None
    ) -> AsyncIterator[Slot]:
        """A process of the family, for the time of the block. One that broke, or whose reply nobody
        waited for, is not used again."""
        slot = await self._free(known.stamp, role, trail)
        good = False
        try:
            if slot.player is None:
                await self._start(slot, known.family)
            yield slot
            good = True
        finally:
            slot.busy = False
            if not good and slot in self._slots:
                self._slots.remove(slot)
                await asyncio.shield(_closed(slot))
            async with self._changed:
                self._changed.notify_all()

    async def _free(self, stamp: str, role: Role, trail: Trail | None) -> Slot:
        """One that is not busy, with the trail in it if there is one; else a new one, for which
        the one that was not used for longest may have to go; else the first that becomes free."""
        key = (stamp, role)
        async with self._changed:
            while True:
                alike = [slot for slot in self._slots if slot.key == key]
                idle = [slot for slot in alike if not slot.busy]
                if idle:
                    slot = next((each for each in idle if each.there == trail), idle[0])
                    self._slots.remove(slot)
                    break
                if len(alike) < ALIKE and await self._room(bool(alike)):
                    slot = Slot(key)
                    break
                await self._changed.wait()
            slot.busy = True
            self._slots.append(slot)
            return slot

    async def _room(self, has_one: bool) -> bool:
        """Whether one more may start; for a family that has none another one's process ends."""
        if len(self._slots) < self._most:
            return True
        oldest = next((slot for slot in self._slots if not slot.busy), None)
        if has_one or oldest is None:
            return False
        self._slots.remove(oldest)
        await _closed(oldest)
        return True

    async def _start(self, slot: Slot, family: Family) -> None:
        self.started += 1
        if slot.key[1] == "world":
            slot.world = await slot.stack.enter_async_context(open_world(family, self._sandbox))
            slot.player = slot.world.player
        else:
            files = verifier_files(family, family.tasks)
            verifier = roleplayer("verifier", files, self._sandbox)
            slot.player = await slot.stack.enter_async_context(verifier)


class PooledFamily:
    """A family in a pool, and what was seen of it; made by WorldPool.family."""

    def __init__(self, pool: WorldPool, family: Family, stamp: str) -> None:
        self.family, self.stamp, self._pool = family, stamp, pool
        # Nothing but rows keeps what a call did, so that calls which only read leave no trail.
        self._pure = is_pure(family.files.get(TOOLS, b"").decode())
        self._opened = False  # its tools have loaded once
        self._calls: OrderedDict[tuple[Trail, str, str], Call] = OrderedDict()
        self._states: OrderedDict[Trail, State] = OrderedDict()
        self._rulings: OrderedDict[tuple[str, str, bytes], Ruling] = OrderedDict()

    @asynccontextmanager
    async def environment(self) -> AsyncIterator[PooledWorld]:
        """A world in the start state. Broke where its tools do not load, SandboxError where there
        is no sandbox: at the first opening of a family."""
        if not self._opened:
            async with self._pool.world_at(self, ()):
                self._opened = True
        yield PooledWorld(self)

    async def make(
        self, trail: Trail, name: str, arguments: Mapping[str, Any]
    ) -> tuple[Call, Trail]:
        """One call where `trail` has been made before, and the trail after it. Broke as World's."""
        key = (trail, name, json.dumps(dict(arguments)))
        call = _look(self._calls, key)
        if call is None:
            async with self._pool.world_at(self, trail) as slot:
                assert slot.world is not None
                slot.there = None  # until the call has come back
                call = await slot.world.make(name, arguments)
                slot.there = self._after(key, call)
            _keep(self._calls, key, call, MOST_CALLS)
        return call, self._after(key, call)

    async def state(self, calls: Iterable[tuple[str, Mapping[str, Any]]]) -> State:
        """The state that calls leave in a fresh world, as `world.replay`. Broke likewise."""
        trail: Trail = ()
        for name, arguments in calls:
            _, trail = await self.make(trail, name, arguments)
        state = _look(self._states, trail)
        if state is None:
            async with self._pool.world_at(self, trail) as slot:
                assert slot.world is not None
                state = await slot.world.state()
            _keep(self._states, trail, state, MOST_STATES)
        return state

    async def rule(self, number: str, answer: Any, state: State) -> Ruling:
        """What a task's verifier says. Broke where it hangs or ends its process."""
        left = hashlib.sha256((state.database or "").encode()).digest()
        key = (number, json.dumps(answer), left)
        ruling = _look(self._rulings, key)
        if ruling is None:
            async with self._pool.borrowed(self, "verifier") as slot:
                assert slot.player is not None
                (ruling, *_), _ = await rule(slot.player, f"{number}.py", [answer], state)
            _keep(self._rulings, key, ruling, MOST_RULINGS)
        return ruling

    def _after(self, key: tuple[Trail, str, str], call: Call) -> Trail:
        """The trail with this call; without it where it left nothing behind."""
        trail, *made = key
        return trail if self._pure and not call.wrote else (*trail, tuple(made))


class PooledWorld:
    """An Environment (tasks/environment.py) that holds no process between its calls."""

    def __init__(self, family: PooledFamily) -> None:
        source = family.family.files[TOOLS].decode()
        self.tools: Sequence[Mapping[str, Any]] = tools_of(source)
        self._family = family
        self._trail: Trail = ()
        self._one = asyncio.Lock()  # calls may come side by side, and each sees those before

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Result:
        async with self._one:
            made, self._trail = await self._family.make(self._trail, name, arguments)
        return result_of(made)


def _look(kept: OrderedDict[_Key, _Value], key: _Key) -> _Value | None:
    found = kept.get(key)
    if found is not None:
        kept.move_to_end(key)
    return found


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)


async def _closed(slot: Slot) -> None:
    with contextlib.suppress(Exception):
        await slot.stack.aclose()
