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
from speciale.evals.harnesses import HARNESSES
from speciale.evals.harnesses.serving import open_server
from speciale.evals.policies import NAMES, scripted
from speciale.evals.printed import difference, table
from speciale.evals.suites.suite import Choice
from speciale.evals.table import Prices
from speciale.evals.target import ServerOptions, Target, open_target
from speciale.reference import reference_model
from speciale.train.progress import console

REFERENCE = "reference"  # as a target: the model that comes with the package


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
        if name in HARNESSES:
            _check_harness(name, request)
        else:
            suite_named(name)
    asyncio.run(_run(request))


def _check_harness(name: str, request: Request) -> None:
    scripted_ones = [where for where in request.targets if where in NAMES]
    if scripted_ones:
        raise ConfigError(
            f"{scripted_ones[0]} does not know the tasks of {name}: name a run, a model's folder "
            "or an address"
        )
    if request.budgets:
        raise ConfigError(f"{name} asks for whole answers: leave --budgets out")
    HARNESSES[name].check(request.choice.cells)


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
    choice = request.choice
    folder = request.out or place(where)
    if where == REFERENCE:
        where = str(reference_model())
    if choice.store is None and (Path(where) / "tasks" / "families").is_dir():
        choice = replace(choice, store=Path(where) / "tasks")
    async with _open(where, name, request) as target:
        if len(request.targets) > 1 and request.out is not None:
            folder = request.out / f"{target.name}-{target.digest}"
        if name in HARNESSES:
            from speciale.evals.harnesses.evaluate import evaluate_with  # needs a web server

            found = await evaluate_with(
                HARNESSES[name], target, choice, request.settings, folder, request.prices,
                request.server.key_env,
            )  # fmt: skip
        else:
            found = await evaluate(
                target, suite_named(name), choice, request.settings, folder, request.budgets,
                request.prices,
            )  # fmt: skip
        console.print(f"[dim]kept in {folder}[/dim]")
        return found


@asynccontextmanager
async def _open(where: str, name: str, request: Request) -> AsyncIterator[Target]:
    if where in NAMES:
        yield scripted(where, suite_named(name), request.settings.seed)
        return
    opened = open_server if name in HARNESSES else open_target
    async with opened(where, request.server) as target:
        yield target


def place(where: str) -> Path:
    """Where an evaluation is kept unless told: in the run, or beside them by the server's name."""
    if where in (*NAMES, REFERENCE):
        return Path("evals") / where
    if "://" in where:
        return Path("evals") / "".join(c if c.isalnum() else "-" for c in where.split("://")[1])
    return Path(where) / "evals"
