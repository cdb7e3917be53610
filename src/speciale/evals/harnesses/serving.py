"""A run or a model's folder as a server: `speciale serve`, for as long as an evaluation takes.

It listens on loopback, with a key and a store of accounts that are thrown away. Its content filter
is off: it is the model that is measured, as by all suites but `safety`.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from speciale.agents.chat_server import ChatServer
from speciale.errors import ConfigError
from speciale.evals.target import ServerOptions, Target, model_digest, open_target, side_by_side

NAME = "target"
_END_S = 10.0


@asynccontextmanager
async def open_server(where: str, options: ServerOptions) -> AsyncIterator[Target]:
    """As `open_target`, but what answers is always a server."""
    if "://" in where:
        async with open_target(where, options) as target:
            yield target
        return
    digest = model_digest(where)
    key = secrets.token_hex(16)
    async with (
        served(Path(where), key) as url,
        # Our own server is told to think as DeepSeek's is.
        ChatServer(url, NAME, api_key=key, flavour="deepseek") as model,
    ):
        yield Target(
            name=Path(where).resolve().name,
            digest=digest,
            model=model,
            window=model.window,
            count=len,
            run=side_by_side,
            batch=options.concurrency,
        )


@asynccontextmanager
async def served(folder: Path, key: str) -> AsyncIterator[str]:
    """Its address up to /v1, where it calls itself NAME."""
    with TemporaryDirectory() as name:
        place = Path(name)
        run = json.dumps(str(folder.resolve()))  # its strings are TOML's too
        (place / "service.toml").write_text(
            f'[[deployments]]\nname = "{NAME}"\nrun = {run}\nfilter = {{ enabled = false }}\n',
            encoding="utf-8",
        )
        arguments = [
            "--config", str(place / "service.toml"), "--host", "127.0.0.1", "--port", "0",
            "--database", f"sqlite:///{place / 'accounts.db'}",
        ]  # fmt: skip
        with open(place / "log", "wb") as log:
            process = await started(
                [sys.executable, "-m", "speciale", "serve", *arguments],
                {**os.environ, "SPECIALE_API_KEY": key},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        try:
            yield await _address(process, folder, place / "log")
        finally:
            await ended(process)


async def _address(process: asyncio.subprocess.Process, folder: Path, log: Path) -> str:
    """As it prints it once it takes requests."""
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        if line.startswith("API:"):
            return line.removeprefix("API:").strip()
    why = last_line(log).removeprefix("error: ")
    raise ConfigError(f"{folder} cannot be served: {why}")


async def started(
    command: Sequence[str], environment: Mapping[str, str], **streams: Any
) -> asyncio.subprocess.Process:
    """A process that ends with this one, however that ends."""
    tie = [sys.executable, "-I", str(Path(__file__).with_name("tied.py"))]
    return await asyncio.create_subprocess_exec(
        *tie, *command, env=environment, stdin=asyncio.subprocess.PIPE, **streams
    )


async def ended(process: asyncio.subprocess.Process) -> None:
    """Ends it if it runs, by force where it takes long."""
    with suppress(ProcessLookupError):
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _END_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def last_line(log: Path) -> str:
    """Of a program's output; a Python program that fails says there why."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
