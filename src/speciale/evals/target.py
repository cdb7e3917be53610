"""Whom a suite asks: a model in this process, or any OpenAI-compatible server.

The model is sampled in lockstep (agents/lockstep.py): the same seed gives the same numbers, to the
bit, killed and resumed or not. A server answers as it likes; what it was asked is the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speciale.agents.chat_server import ChatServer, Flavour
from speciale.agents.lockstep import Lockstep
from speciale.chat.tokenizer import load_tokenizer
from speciale.engine.core import Core, EngineOptions
from speciale.engine.llm import load_core, model_folder
from speciale.engine.paths import PIECES
from speciale.errors import CheckpointError, ConfigError

Work = Callable[[], Awaitable[Any]]
_CHARACTERS_A_TOKEN = 3  # a careful guess for a server whose tokenizer is not here


@dataclass
class Target:
    """`model` is what `run_agent` takes. `run` runs pieces of work side by side and gives their
    results in order; each calls `leave` once it will not ask the model again."""

    name: str
    digest: str  # of the weights and the tokenizer; of a server: its address and model
    model: Any  # where `scripted`, a function of the question gives one
    window: int
    count: Callable[[str], int]  # tokens of a text
    run: Callable[[Sequence[Work]], Awaitable[list[Any]]]
    leave: Callable[[], None] = lambda: None
    batch: int = 64  # pieces of work at once
    exact: bool = False  # the same to the bit, batch by batch
    scripted: bool = False


@dataclass(frozen=True)
class ServerOptions:
    model: str | None = None
    key_env: str | None = None
    flavour: Flavour = "openai"
    window: int = 131_072
    tokenizer: Path | None = None  # to count with; None: a careful guess
    concurrency: int = 16


@asynccontextmanager
async def open_target(where: str, server: ServerOptions | None = None) -> AsyncIterator[Target]:
    """where: an address up to /v1, a run's folder or a model's. ConfigError, CheckpointError where
    there is no such thing."""
    if where.startswith(("http://", "https://")):
        async with _server(where, server or ServerOptions()) as target:
            yield target
    else:
        yield embedded(load_core(where, EngineOptions()), Path(where))


def embedded(core: Core, folder: Path) -> Target:
    """The engine in this process."""
    tokenizer = core.tokenizer
    if tokenizer is None:
        raise CheckpointError(f"{folder} has no tokenizer.json: an evaluation needs one")
    # Which way prefill takes is measured elsewhere; a measurement may come out otherwise each time.
    core.runner.paths.crossings = dict.fromkeys(PIECES, 0)
    sampler = Lockstep(core, tokenizer)
    return Target(
        name=folder.resolve().name,
        digest=model_digest(folder),
        model=sampler,
        window=core.context,
        count=lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids),
        run=sampler.run,
        leave=sampler.leave,
        batch=2 * core.options.max_sequences,
        exact=True,
    )


def model_digest(folder: str | Path) -> str:
    """Of a model's weights, shape and tokenizer: equal digests answer alike."""
    place, found = model_folder(folder), hashlib.blake2b(digest_size=8)
    for path in sorted([*place.glob("*.safetensors"), *place.glob("*.json")]):
        found.update(path.name.encode())
        with open(path, "rb") as file:
            while chunk := file.read(1 << 22):
                found.update(chunk)
    return found.hexdigest()


@asynccontextmanager
async def _server(url: str, options: ServerOptions) -> AsyncIterator[Target]:
    if options.model is None:
        raise ConfigError(f"{url} may serve several models: name one with --model")
    key = os.environ.get(options.key_env) if options.key_env else None
    if options.key_env and not key:
        raise ConfigError(f"the variable {options.key_env} holds no key: set it, or leave it out")
    count = _guessed
    if options.tokenizer is not None:
        tokenizer = load_tokenizer(options.tokenizer)
        count = lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)  # noqa: E731
    known = f"{url.rstrip('/')} {options.model}"
    async with ChatServer(
        url, options.model, window=options.window, api_key=key, flavour=options.flavour
    ) as model:
        yield Target(
            name=options.model,
            digest=hashlib.blake2b(known.encode(), digest_size=8).hexdigest(),
            model=model,
            window=options.window,
            count=count,
            run=side_by_side,
            batch=options.concurrency,
        )


async def side_by_side(work: Sequence[Work]) -> list[Any]:
    return await asyncio.gather(*(each() for each in work))


def _guessed(text: str) -> int:
    return -(-len(text) // _CHARACTERS_A_TOKEN)
