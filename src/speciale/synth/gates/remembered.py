"""A world that remembers: a call in a state that was seen before gives what it gave then.

Gate 1 has shown that tools depend on nothing else. So most calls of a policy's many attempts need
no process; where one does, the writes that the attempt has made so far are made first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from speciale.synth.gates.values import canonical
from speciale.tasks.synthesised.world import Call, State, World

Writes = tuple[str, ...]


class Remembered:
    """Used in the place of a World by run_solution. `world` gives one that is alive."""

    def __init__(self, world: Callable[[], Awaitable[World]]) -> None:
        self._world = world
        self._calls: dict[tuple[Writes, str], Call] = {}
        self._states: dict[Writes, State] = {(): State()}
        self._writes: Writes = ()  # of this attempt
        self._there: Writes | None = None  # what has been written in the real world
        self.tried: list[str] = []

    async def start(self) -> None:
        self._writes = ()

    async def make(self, name: str, arguments: Mapping[str, Any]) -> Call:
        key = f"{name} {canonical(dict(arguments))}"
        call = self._calls.get((self._writes, key))
        if call is None:
            world = await self._caught_up()
            self._there = None  # until the call has come back
            call = self._calls[self._writes, key] = await world.make(name, arguments)
            self._there = (*self._writes, key) if call.wrote else self._writes
        if call.wrote:
            self._writes = (*self._writes, key)
        return call

    async def state(self) -> State:
        if self._writes not in self._states:
            self._states[self._writes] = await (await self._caught_up()).state()
        return self._states[self._writes]

    async def _caught_up(self) -> World:
        """A real world in which this attempt's writes have been made."""
        world = await self._world()
        if self._there != self._writes:
            self._there = None
            await world.start()
            for place, key in enumerate(self._writes):
                call = self._calls[self._writes[:place], key]
                await world.make(call.name, call.arguments)
            self._there = self._writes
        return world
