"""`speciale sandbox -- COMMAND`: any command in a fresh cell, its streams passed through as they
come, its exit code handed on, and a line on stderr where a limit ended it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence

from speciale.sandbox import process
from speciale.sandbox.call import command_line
from speciale.sandbox.limits import STOPPED, Limits, limit_named
from speciale.sandbox.process import Process
from speciale.sandbox.sandbox import Sandbox, fresh_place

PIECE = 65536
BROKEN_PIPE = 141  # what a shell gives a command that SIGPIPE ended


def sandbox_command(
    command: Sequence[str], limits: Limits, *, unsafe: bool = False, as_json: bool = False
) -> int:
    """Runs it and returns its exit code. `as_json`: prints the outcome in place of the output."""
    sandbox = Sandbox(limits, warm=0, unsafe=unsafe)
    kept = {1: bytearray(), 2: bytearray()}
    begun = time.perf_counter()
    try:
        write = (lambda descriptor, piece: kept[descriptor].extend(piece)) if as_json else _write
        code, stopped = asyncio.run(_run(sandbox, command, write))
    finally:
        sandbox.close()
    if as_json:
        outcome = {
            "exit_code": code,
            "stopped": stopped,
            "seconds": round(time.perf_counter() - begun, 3),
            "stdout": kept[1].decode(errors="replace"),
            "stderr": kept[2].decode(errors="replace"),
        }
        print(json.dumps(outcome, ensure_ascii=False))
    if stopped:
        option = STOPPED[stopped][0].replace("_", "-")
        print(
            f"speciale: the command was stopped by its limit on {limit_named(stopped, limits)} "
            f"(--{option})",
            file=sys.stderr,
        )
    return code


async def _run(
    sandbox: Sandbox, command: Sequence[str], write: Callable[[int, bytes], None]
) -> tuple[int, str | None]:
    """Its exit code and the limit that ended it; `write` takes its output by descriptor."""
    left = int(sandbox.limits.output_kb * 1024)
    too_much = broken = False

    async def pass_on(reader: asyncio.StreamReader, descriptor: int) -> None:
        nonlocal left, too_much, broken
        while piece := await reader.read(PIECE):
            too_much |= len(piece) > left
            piece = piece[:left]
            left -= len(piece)
            try:
                write(descriptor, piece)
            except BrokenPipeError:  # as in `speciale sandbox -- yes | head`
                broken = True
            if too_much or broken:
                running.kill()
                return

    async with fresh_place(await sandbox.jail()) as place:
        request = place.request(command_line(list(command)), sandbox.limits)
        running = await process.start(place, request, {}, longest=PIECE)
        try:
            _feed(running)
            _, _, report = await asyncio.gather(
                pass_on(running.stdout, 1), pass_on(running.stderr, 2), running.report()
            )
        finally:
            await running.close()
    if broken:
        return BROKEN_PIPE, None
    return report["exit_code"], "output" if too_much else report["stopped"]


def _write(descriptor: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def _feed(running: Process) -> None:
    """Reads stdin in a thread: it may be a file or a terminal, which no event loop can wait for."""
    loop = asyncio.get_running_loop()

    async def write(piece: bytes) -> None:
        if not piece:
            running.stdin.close()
        running.stdin.write(piece)
        await running.stdin.drain()

    def read() -> None:
        # The command or the loop may be gone before the input ends.
        with contextlib.suppress(OSError, RuntimeError, asyncio.CancelledError):
            piece = b"x"
            while piece:
                piece = os.read(0, PIECE)
                asyncio.run_coroutine_threadsafe(write(piece), loop).result()

    threading.Thread(target=read, daemon=True).start()
