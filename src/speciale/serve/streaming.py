"""Server-sent events with keep-alive comments, and answers that stop when their client leaves.

What is ready goes out in one piece; a client that reads slowly holds the source back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from speciale.serve.errors import as_api_error

KEEP_ALIVE = b": keep-alive\n\n"
_MOST_WAITING = 256  # events between source and socket

Result = TypeVar("Result")


class ClientGone(Exception):
    """The client closed its connection before the answer was complete."""


class EventStream(Response):
    """A response of the events that `events` yields, each as bytes.

    An error before the first event is answered with its own status; none may be raised later.
    When the client leaves, `events` is cancelled where it waits, so that its `finally` blocks run.
    """

    def __init__(self, events: AsyncGenerator[bytes, None], keep_alive_s: float) -> None:
        self.background = None  # FastAPI looks at it
        self._events, self._keep_alive_s = events, keep_alive_s
        self._waiting: list[bytes] = []
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        pump = asyncio.create_task(self._pump())
        gone = asyncio.create_task(_disconnect(receive))
        for task in (pump, gone):
            task.add_done_callback(lambda _: self._news.set())
        # One timer for the whole stream: a timeout around each wait would cost a fifth of a chunk.
        clock = asyncio.get_running_loop().time
        self._quiet_until = clock() + self._keep_alive_s
        self._wake_if_quiet()
        begun = False
        try:
            while not gone.done():
                await self._news.wait()
                self._news.clear()
                over = pump.done()
                ready = b"".join(self._waiting)
                self._waiting.clear()
                self._room.set()
                if over and not begun and (error := pump.exception()) is not None:
                    # Nothing has been sent: the failure gets a status of its own.
                    await as_api_error(error).response()(scope, receive, send)
                    return
                late = clock() >= self._quiet_until
                if not begun and (ready or over or late) and not gone.done():
                    await send(_START)
                    begun = True
                if not ready and not over and late:
                    ready = KEEP_ALIVE
                if ready:
                    await send(_body(ready, True))
                    self._quiet_until = clock() + self._keep_alive_s
                if over:
                    pump.result()
                    await send(_body(b"", False))
                    return
        except OSError:  # the connection broke while it was written to
            pass
        finally:
            self._timer.cancel()
            await ended(pump, gone)

    def _wake_if_quiet(self) -> None:
        """Has the stream say that it is alive, where nothing was sent for so long."""
        loop = asyncio.get_running_loop()
        left = self._quiet_until - loop.time()
        if left <= 0:
            self._news.set()
            left = self._keep_alive_s
        self._timer = loop.call_later(left, self._wake_if_quiet)

    async def _pump(self) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                self._waiting.append(event)
                self._news.set()
                if len(self._waiting) >= _MOST_WAITING:
                    self._room.clear()
                    await self._room.wait()


async def while_connected(receive: Receive, work: Awaitable[Result]) -> Result:
    """What `work` gives. Where the client leaves first, `work` is cancelled, then ClientGone."""
    tasks = [asyncio.ensure_future(work), asyncio.create_task(_disconnect(receive))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientGone
        return tasks[0].result()
    finally:
        await ended(*tasks)


async def ended(*tasks: asyncio.Future) -> None:
    """Cancels what still runs and waits until it has cleaned up."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),  # nginx would hold events back
    ],
}


def _body(data: bytes, more: bool) -> dict:
    return {"type": "http.response.body", "body": data, "more_body": more}
