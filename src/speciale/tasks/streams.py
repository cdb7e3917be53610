"""Several streams of tasks as one."""

from __future__ import annotations

from collections.abc import Iterator

from speciale.tasks.task import Task


def in_turn(streams: list[Iterator[Task]]) -> Iterator[Task]:
    """One task of each stream in turn; a stream that ends is left out, until all have ended."""
    streams = list(streams)
    while streams:
        for stream in list(streams):
            task = next(stream, None)
            if task is None:
                streams.remove(stream)
            else:
                yield task
