"""`speciale eval`: suites put to one target or two, kept in a folder, shown as tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from speciale.errors import ConfigError
from speciale.evals.attempts import Settings
from speciale.evals.evaluation import Found, evaluate, suite_named
from speciale.evals.policies import NAMES, scripted
from speciale.evals.printed import difference, table
from speciale.evals.suites.suite import Choice
from speciale.evals.table import Prices
from speciale.evals.target import ServerOptions, Target, open_target
from speciale.train.progress import console


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    targets: tuple[str, ...]  # one, or two that are compared
    suites: tuple[str, ...]
    choice: Choice
    settings: Settings
    server: ServerOptions
    budgets: tuple[int, ...] = ()
    prices: Prices | None = None
    out: Path | None = None


def run_eval(request: Request) -> None:
    """Prints a table a suite and target; ConfigError for what cannot be asked."""
    if request.budgets and len(request.targets) > 1:
        raise ConfigError("--against compares whole answers: leave --budgets out")
    for name in request.suites:
        suite_named(name)
    asyncio.run(_run(request))


async def _run(request: Request) -> None:
    for name in request.suites:
        found = [await _one(where, name, request) for where in request.targets]
        # How wide a pipe is nobody knows: wide enough for whoever reads it later.
        shown = console if console.is_terminal else Console(width=120, highlight=False)
        for each in found:
            shown.print(table(each))
        if len(found) == 2:
            shown.print(difference(*found))


async def _one(where: str, name: str, request: Request) -> Found:
    suite, choice = suite_named(name), request.choice
    if choice.store is None and (Path(where) / "tasks" / "families").is_dir():
        choice = replace(choice, store=Path(where) / "tasks")
    async with _open(where, name, request) as target:
        folder = request.out or place(where)
        if len(request.targets) > 1 and request.out is not None:
            folder = request.out / f"{target.name}-{target.digest}"
        found = await evaluate(
            target, suite, choice, request.settings, folder, request.budgets, request.prices
        )
        console.print(f"[dim]kept in {folder}[/dim]")
        return found


@asynccontextmanager
async def _open(where: str, name: str, request: Request) -> AsyncIterator[Target]:
    if where in NAMES:
        yield scripted(where, suite_named(name), request.settings.seed)
        return
    async with open_target(where, request.server) as target:
        yield target


def place(where: str) -> Path:
    """Where an evaluation is kept unless told: in the run, or beside them by the server's name."""
    if where in NAMES:
        return Path("evals") / where
    if "://" in where:
        return Path("evals") / "".join(c if c.isalnum() else "-" for c in where.split("://")[1])
    return Path(where) / "evals"
