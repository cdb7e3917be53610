"""The processes over which a family's tasks are judged: three pairs of tools and solution under
other clocks and hash seeds, and one verifier; one that was killed is started again when needed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from speciale.sandbox import Sandbox
from speciale.synth.gates.remembered import Remembered
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.processes import Roleplayer, roleplayer
from speciale.tasks.synthesised.world import (
    Alter,
    Ruling,
    Run,
    State,
    World,
    open_world,
    rule,
    run_solution,
    verifier_files,
)

DAY_S = 86_400.0
# The clock's shift and the hash seed of each of the three runs.
RUNS = ((0.0, 0), (401.3 * DAY_S, 1), (-1000.7 * DAY_S, 2))


@dataclass
class _Slot:
    stack: AsyncExitStack
    player: Roleplayer
    world: World | None = None


@dataclass
class Bench:
    """Made by open_bench."""

    family: Family
    sandbox: Sandbox | None
    _stack: AsyncExitStack
    _slots: dict[tuple[str, int], _Slot] = field(default_factory=dict)

    async def run(
        self, number: str, run: int = 0, alter: Alter | None = None, world: Remembered | None = None
    ) -> Run:
        """Runs a task's solution against a fresh world, or one that remembers, under the clock and
        hash seed of `run`."""
        world = world or await self.world(run)
        solver = (await self._slot("solution", run)).player
        return await run_solution(solver, world, f"{number}.py", alter)

    async def world(self, run: int = 0) -> World:
        """The tools' process of `run`. Broke, DataError where it does not start."""
        slot = await self._slot("world", run)
        assert slot.world is not None
        return slot.world

    async def rule(
        self, number: str, answers: list[Any], state: State
    ) -> tuple[list[Ruling], list[str]]:
        """What a task's verifier says of answers, until it accepts one. Broke where it hangs."""
        verifier = (await self._slot("verifier", 0)).player
        return await rule(verifier, f"{number}.py", answers, state)

    async def _slot(self, role: str, run: int) -> _Slot:
        slot = self._slots.get((role, run))
        if slot is not None and slot.player.alive:
            return slot
        if slot is not None:
            with contextlib.suppress(Exception):
                await slot.stack.aclose()
        stack = AsyncExitStack()
        clock_s, hash_seed = RUNS[run]
        shifted = {"clock_s": clock_s, "hash_seed": hash_seed}
        if role == "world":
            world = await stack.enter_async_context(
                open_world(self.family, self.sandbox, **shifted)
            )
            slot = _Slot(stack, world.player, world)
        else:
            files = {
                f"{number}.py": task.files.get("solution.py", b"")
                for number, task in self.family.tasks.items()
            }
            if role == "verifier":
                files = verifier_files(self.family, self.family.tasks)
            player = await stack.enter_async_context(
                roleplayer(role, files, self.sandbox, **shifted)
            )
            slot = _Slot(stack, player)
        self._slots[role, run] = slot
        self._stack.push_async_callback(stack.aclose)
        return slot


@asynccontextmanager
async def open_bench(family: Family, sandbox: Sandbox | None = None) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield Bench(family, sandbox, stack)
