"""Which server processes live: each has a row with a heartbeat, and its holds bear its id.

Holds of a process that was killed go back to their keys: at once when another starts on the same
machine and sees it gone, else when its heart has not beaten for a minute.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa

from speciale.serve.accounts.database import Database
from speciale.serve.accounts.metering import release
from speciale.serve.accounts.schema import holds, instances

_DEAD_AFTER_MS = 60_000
_here: set[str] = set()  # ids of this very process


class Instance:
    """This process among the servers of a database. Every method is one transaction."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.id = uuid.uuid4().hex
        self._database, self._clock = database, clock
        _here.add(self.id)
        self.beat()

    def beat(self) -> None:
        """Says that this process lives, and gives back the holds of those that do not."""
        now = int(self._clock() * 1000)
        mine = instances.c.id == self.id
        with self._database.writing(durable=False) as connection:
            beaten = connection.execute(instances.update().where(mine).values(heartbeat_at=now))
            if beaten.rowcount == 0:  # the first beat, or another took us for dead
                row = {"id": self.id, "host": _host(), "pid": os.getpid(), "heartbeat_at": now}
                connection.execute(instances.insert(), row)
            rows = connection.execute(sa.select(instances)).all()
            self._bury(connection, [row.id for row in rows if _is_dead(row, now)], now)

    def give_back_all_but(self, open_requests: set[str]) -> None:
        """Gives back holds of this process whose admission nobody was told of."""
        mine = sa.select(holds.c.request_id).where(holds.c.instance_id == self.id)
        with self._database.writing(durable=False) as connection:
            if stray := set(connection.scalars(mine)) - open_requests:
                now = int(self._clock() * 1000)
                release(connection, holds.c.request_id.in_(stray), now)

    def leave(self) -> None:
        """The end: holds that were never settled go back."""
        _here.discard(self.id)
        with self._database.writing() as connection:
            self._bury(connection, [self.id], int(self._clock() * 1000))

    def _bury(self, connection: sa.Connection, ids: list[str], now: int) -> None:
        if ids:
            release(connection, holds.c.instance_id.in_(ids), now)
            connection.execute(instances.delete().where(instances.c.id.in_(ids)))


def _host() -> str:
    """The machine, or rather the set of process ids that `_is_alive` can ask about."""
    space = ""
    with suppress(OSError):  # two containers may share a name, but not this
        space = os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()} {space}".strip()


def _is_dead(row: sa.Row, now: int) -> bool:
    if row.id in _here:
        return False
    if now - row.heartbeat_at > _DEAD_AFTER_MS:
        return True
    if os.name != "posix" or row.host != _host():
        return False
    return row.pid == os.getpid() or not _is_alive(row.pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        return True
    return True
