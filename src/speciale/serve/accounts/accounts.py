"""The accounts as the server uses them: authenticate, admit, settle.

`admit` sets the worst case of a request's cost aside before it runs, so that any number at once
cannot overspend; `settle` charges what it came to and returns when its ledger row is on the disk.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import astuple

from speciale.serve.accounts import keys, usage
from speciale.serve.accounts.database import AccountsError, Database
from speciale.serve.accounts.instances import Instance
from speciale.serve.accounts.keys import Balance, Key
from speciale.serve.accounts.metering import Admission, Admit, Settle, Spent
from speciale.serve.accounts.prices import Prices
from speciale.serve.accounts.writer import Writer

_REMEMBER_S = 2.0  # a revoked key is refused after this, by `admit` at once
_REMEMBERED = 10_000  # secrets, right and wrong ones


class Accounts:
    """Of one server process; several may share a database. Methods may be awaited concurrently,
    on one event loop. Any of them raises AccountsError while the database is full or gone, and
    works again when it is back."""

    def __init__(
        self, database: Database, prices: Prices, clock: Callable[[], float], tick_s: float
    ) -> None:
        self._database, self._prices = database, prices
        self._known: OrderedDict[str, tuple[float, asyncio.Task[Key | None]]] = OrderedDict()
        self._instance = Instance(database, clock)
        self._writer = Writer(database, self._instance, clock, tick_s)

    @classmethod
    def open(
        cls,
        url: str,
        prices: Prices | None = None,
        clock: Callable[[], float] = time.time,
        tick_s: float = 5.0,
    ) -> Accounts:
        """Opens or makes the database (see Database), and frees what dead servers had set aside.

        `clock`: seconds since 1970, for rates and the ledger's times. `tick_s`: between
        heartbeats.
        """
        database = Database(url)
        try:
            return cls(database, prices or Prices(), clock, tick_s)
        except BaseException:
            database.close()
            raise

    async def authenticate(self, secret: str) -> Key | None:
        """The key with this secret; None if there is none or it was revoked.

        Remembered for two seconds, so that a busy key costs no query at each request.
        """
        hashed = keys.hash_secret(secret)
        found = self._known.get(hashed)
        if found is None or found[0] < time.monotonic():
            lookup = asyncio.to_thread(keys.key_of_secret, self._database, hashed)
            found = (time.monotonic() + _REMEMBER_S, asyncio.create_task(lookup))
            self._known[hashed] = found
            self._known.move_to_end(hashed)
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        try:
            return await asyncio.shield(found[1])  # shared: one caller's end must not end it
        except Exception:
            if self._known.get(hashed) is found:
                del self._known[hashed]
            raise

    async def admit(
        self, key: Key, request_id: str, model: str, prompt_tokens: int, max_tokens: int
    ) -> Admission:
        """Sets the request's worst case aside: the prompt uncached and `max_tokens` (>= 1, of all
        choices together) of answer, or as many as the balance pays for.

        Raises Refused where key, model, rates or balance forbid it, and then takes nothing.
        """
        assert max_tokens >= 1 and prompt_tokens >= 0, "counts of tokens"
        price = self._prices.of(model)
        job = Admit(key.id, request_id, model, prompt_tokens, max_tokens, price, self._instance.id)
        future = self._writer.submit(job)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:  # nobody is left to settle what is admitted now
            future.add_done_callback(self._abandon)
            raise

    async def settle(self, admission: Admission, spent: Spent) -> None:
        """Frees what was set aside, charges `spent` and writes the one ledger row of the request.

        Returns when that is on the disk. A second call for the same request does nothing. After
        AccountsError nothing is lost: it is tried again every few seconds until it is written.
        What is cancelled while waiting is written all the same.
        """
        assert min(astuple(spent)[:4]) >= 0, "counts of tokens"
        await asyncio.wrap_future(self._writer.submit(Settle(admission, spent)))

    async def balance(self, key: Key) -> Balance:
        return await asyncio.to_thread(keys.balance_of, self._database, key.id)

    async def usage(
        self, by: usage.By = "key", key: str | None = None, since_ms: int = 0
    ) -> list[usage.UsageRow]:
        """Sums of the ledger, see usage.usage."""
        return await asyncio.to_thread(usage.usage, self._database, by, key, since_ms)

    async def close(self) -> None:
        """Waits for what is being written. Admissions that were never settled cost nothing."""
        await asyncio.to_thread(self._writer.close)
        self._database.close()

    def _abandon(self, future: Future) -> None:
        if future.exception() is None:
            with suppress(AccountsError):  # closed, which gives it back as well
                self._writer.submit(Settle(future.result(), None))
