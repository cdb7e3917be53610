"""Sampling that comes out the same to the bit: the engine steps only while every agent waits.

A sample's last bits depend on who shares its batch, and tools answer when they like. Here requests
of one moment enter in the order of their agents, and no step is made before all who got their
completion have asked again or ended; so a synchronous run repeats itself, resumed or not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from tokenizers import Tokenizer

from speciale.agents.embedded import sample_of
from speciale.agents.sampler import OnIds, Sample
from speciale.engine.core import Core
from speciale.engine.params import SamplingParams

Result = TypeVar("Result")
_agent: ContextVar[int] = ContextVar("agent")


class Lockstep:
    """A `Sampler` for those that `run` runs."""

    def __init__(self, core: Core, tokenizer: Tokenizer) -> None:
        self.core, self.tokenizer, self.window = core, tokenizer, core.context
        self.busy = 0.0  # seconds of engine steps so far
        self._asked: list[tuple[int, list[int], SamplingParams, asyncio.Future]] = []
        self._open: dict[int, asyncio.Future] = {}  # by the core's number
        self._working = 0  # agents that neither wait nor have ended
        self._left: set[int] = set()
        self._changed = asyncio.Event()

    async def run(self, agents: Sequence[Callable[[], Awaitable[Result]]]) -> list[Result]:
        """The results of all agents, in order; an exception of one ends all and is raised."""
        self._working, self._left = len(agents), set()
        tasks = [asyncio.create_task(self._one(n, agent)) for n, agent in enumerate(agents)]
        steps = asyncio.create_task(self._steps())
        try:
            return await asyncio.gather(*tasks)
        finally:
            steps.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(steps, *tasks, return_exceptions=True)

    async def sample(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        tools: Sequence[Mapping[str, Any]] = (),
        on_ids: OnIds | None = None,
    ) -> Sample:
        done: asyncio.Future = asyncio.get_running_loop().create_future()
        self._asked.append((_agent.get(), list(prompt), params, done))
        self._rest()
        try:
            return sample_of(await done, params)
        finally:
            self._abandon(done)  # where the agent was cancelled
            if done.cancelled():
                self._working += 1

    async def _one(self, number: int, agent: Callable[[], Awaitable[Result]]) -> Result:
        _agent.set(number)
        try:
            return await agent()
        finally:
            self.leave()

    def leave(self) -> None:
        """The agent that calls this will not ask again: nobody waits for what else it does."""
        if (number := _agent.get()) not in self._left:
            self._left.add(number)
            self._rest()

    def _rest(self) -> None:
        """One agent less is at work: it waits for a completion, or has ended."""
        self._working -= 1
        self._changed.set()

    async def _steps(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while not self._working and (self._asked or self._open):
                self._submit()
                self._step()
                await asyncio.sleep(0)

    def _submit(self) -> None:
        for _, prompt, params, done in sorted(self._asked, key=lambda asked: asked[0]):
            try:
                [number] = self.core.add(prompt, params)
            except Exception as error:
                self._answer(done, error)
            else:
                self._open[number] = done
        self._asked.clear()

    def _step(self) -> None:
        begun = time.perf_counter()
        try:
            updates = self.core.step()
        except Exception as error:
            for number, done in list(self._open.items()):
                self.core.cancel(number)
                self._answer(done, error)
            self._open.clear()
            return
        finally:
            self.busy += time.perf_counter() - begun
        for update in updates:
            if update.completion is not None and update.request in self._open:
                self._answer(self._open.pop(update.request), update.completion)

    def _answer(self, done: asyncio.Future, result: Any) -> None:
        if done.done():
            return
        self._working += 1  # it works on from here, before it has run again
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)

    def _abandon(self, done: asyncio.Future) -> None:
        self._asked = [asked for asked in self._asked if asked[3] is not done]
        for number, each in list(self._open.items()):
            if each is done:
                self.core.cancel(number)
                del self._open[number]
