"""Several upstreams as one backend: health checks, routing by prefix, fallbacks, a breaker each.

Another upstream is asked only while nothing has been yielded: no client sees two answers mixed.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing

from speciale.chat import Prompt
from speciale.errors import ConfigError, OverloadedError
from speciale.serve.backends.breaker import Breaker
from speciale.serve.backends.connection import BusyError
from speciale.serve.backends.routing import opening_key, ranked, spilled
from speciale.serve.backends.seam import Backend, BackendError, Job, Piece

log = logging.getLogger(__name__)


class _Member:
    """One upstream and what is known of it."""

    def __init__(self, backend: Backend, name: str, breaker: Breaker) -> None:
        self.backend, self.name, self.breaker = backend, name, breaker
        self.running = 0
        self.trouble: str | None = None  # of the last health check
        self.rests_until = 0.0  # it said 429


class Pool:
    def __init__(
        self,
        upstreams: Sequence[Backend],
        fallbacks: Sequence[Backend] = (),
        *,
        check_every_s: float = 10.0,
        check_timeout_s: float = 5.0,
        failures: int = 3,
        rest_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Requests are spread over `upstreams`; `fallbacks` are asked in their order where none of
        those can answer. `failures` in a row open a breaker for `rest_s` seconds. ConfigError
        where there is no upstream."""
        if not upstreams:
            raise ConfigError("the pool has no upstream: name at least one")

        # Requests are routed by name, so that it must not depend on the place in the list, unless
        # two have one address.
        seen: Counter[str] = Counter()
        members = []
        for backend in (*upstreams, *fallbacks):
            name = getattr(backend, "name", type(backend).__name__)
            seen[name] += 1
            name = name if seen[name] == 1 else f"{name}#{seen[name]}"
            members.append(_Member(backend, name, Breaker(failures, rest_s, clock)))
        self._first, self._fallbacks = members[: len(upstreams)], members[len(upstreams) :]
        self.context = min(m.backend.context for m in members)
        self._every_s, self._timeout_s, self._clock = check_every_s, check_timeout_s, clock
        self._checking: asyncio.Task[None] | None = None

    @property
    def _members(self) -> list[_Member]:
        return [*self._first, *self._fallbacks]

    async def start(self) -> None:
        """Checks all once; an upstream that is down does not keep the service from starting."""
        await asyncio.gather(*(member.backend.start() for member in self._members))
        await self.check()
        self._checking = asyncio.create_task(self._check_on())

    async def close(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])
            self._checking = None
        await asyncio.gather(*(member.backend.close() for member in self._members))

    async def ready(self) -> str | None:
        able = [m for m in self._members if m.trouble is None and m.breaker.state != "open"]
        if able:
            return None
        said = [m.trouble or "it failed too often just now" for m in self._members]
        return f"none of {len(said)} upstreams can answer: {said[0]}"

    def states(self) -> dict[str, str]:
        """For metrics and the operator: "healthy", or what is wrong, by the upstream's name."""
        return {
            m.name: m.trouble or ("healthy" if m.breaker.state == "closed" else m.breaker.state)
            for m in self._members
        }

    def tokens(self, prompt: Prompt | str) -> list[int] | None:
        for member in self._members:
            ids = member.backend.tokens(prompt)
            if ids is not None:
                return ids
        return None

    async def run(self, job: Job) -> AsyncIterator[Piece]:
        busy: BusyError | OverloadedError | None = None
        failed: BackendError | None = None
        for member in self._order(job):
            if not member.breaker.allow():
                continue
            begun = False
            try:
                async with aclosing(self._ask(member, job)) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
                return
            except (BusyError, OverloadedError) as error:
                busy = error
            except BackendError as error:
                if begun or not error.retriable:
                    raise
                failed = error
            log.info("request %s: %s could not answer, trying the next", job.id, member.name)
        # Where one was only busy it is worth the client's while to come back.
        if busy is not None:
            raise busy
        raise failed or BackendError(
            "no upstream can answer at the moment: try again in a few seconds"
        )

    async def _ask(self, member: _Member, job: Job) -> AsyncIterator[Piece]:
        """Asks one, and tells its breaker what it showed."""
        verdict = member.breaker.unknown
        member.running += 1
        try:
            async with aclosing(member.backend.run(job)) as pieces:
                async for piece in pieces:
                    broke_off = piece.finish == "insufficient_system_resource"
                    if verdict != member.breaker.failure:
                        verdict = member.breaker.failure if broke_off else member.breaker.success
                    yield piece
        except BusyError as error:
            member.rests_until = self._clock() + error.rest_s
            raise
        except BackendError as error:
            if error.retriable:
                verdict = member.breaker.failure
            raise
        finally:
            member.running -= 1
            verdict()

    def _order(self, job: Job) -> list[_Member]:
        """By prefix and load, then the fallbacks; those in trouble are tried last, not never: a
        health route may be what is broken."""
        by_name = {m.name: m for m in self._first}
        names = ranked(opening_key(job), list(by_name))
        names = spilled(names, {m.name: m.running for m in self._first})
        members = [*(by_name[name] for name in names), *self._fallbacks]
        now = self._clock()
        return sorted(members, key=lambda m: (m.trouble is not None, now < m.rests_until))

    async def check(self) -> None:
        """Asks each upstream whether it is well."""
        await asyncio.gather(*(self._check(member) for member in self._members))

    async def _check(self, member: _Member) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                trouble = await member.backend.ready()
        except TimeoutError:
            trouble = f"{member.name} did not answer a health check"
        except Exception as error:  # a check that fails must not end all checks
            log.exception("the health check of %s failed", member.name)
            trouble = f"{member.name} cannot be checked ({type(error).__name__})"
        if trouble != member.trouble:
            log.warning("upstream %s: %s", member.name, trouble or "healthy again")
        member.trouble = trouble

    async def _check_on(self) -> None:
        while True:
            # Jitter: many services that start together do not ask together.
            await asyncio.sleep(self._every_s * random.uniform(0.75, 1.25))
            await self.check()
