"""Server-sent events with keep-alive comments, and answers that stop when their client leaves.

What is ready goes out in one piece; a client that reads slowly holds the source back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing, suppress
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
        begun = False
        try:
            while not gone.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._keep_alive_s):
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
                if not begun and not gone.done():
                    await send(_START)
                    begun = True
                if ready or not (over or gone.done()):
                    await send(_body(ready or KEEP_ALIVE, True))
                if over:
                    pump.result()
                    await send(_body(b"", False))
                    return
        except OSError:  # the connection broke while it was written to
            pass
        finally:
            await ended(pump, gone)

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
