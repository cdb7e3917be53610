"""`speciale anatomy` on the command line. Nothing heavy is imported before it runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer


def anatomy(
    recipe: Annotated[str, typer.Argument(help="A built-in anatomy or a TOML file.")] = "anatomy",
    out: Annotated[Path | None, typer.Option(help="Its folder; runs/NAME unless given.")] = None,
    share: Annotated[
        Path | None,
        typer.Option(help="A run whose tasks, data and stages are taken where they are alike."),
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override of a value, such as tasks=20.")
    ] = None,
) -> None:
    """Train the laptop model with one stage left out at a time, and show what each stage bought.

    Stages that two variants have in common are trained once. Killed, the same command goes on.

    \b
    Examples:
      speciale anatomy                                  # about three hours on two cores
      speciale anatomy --share runs/laptop-agents       # two hours, from a finished speedrun on
      speciale anatomy mine.toml --out runs/mine
    """
    from rich.console import Console

    from speciale.anatomy.recipe import read_anatomy
    from speciale.anatomy.run import run_anatomy
    from speciale.anatomy.table import markdown, screen
    from speciale.files import write_atomic
    from speciale.train.progress import console

    resolved = read_anatomy(recipe, overrides)
    folder = out or Path("runs") / resolved.name
    rows = run_anatomy(resolved, folder, shlex.join(["speciale", *sys.argv[1:]]), share)
    write_atomic(folder / "anatomy.md", markdown(rows))
    shown = console if console.is_terminal else Console(width=160, highlight=False)
    shown.print(screen(rows))
    print(f"table: {(folder / 'anatomy.md').resolve()}")
