"""`speciale tasks ...`: sources and families, tasks of one, verdicts on answers, export. Nothing
heavy is imported before a command runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from speciale.terminal import print_table, visible

if TYPE_CHECKING:
    from speciale.sandbox import Sandbox
    from speciale.tasks.task import Task, Verdict

tasks_app = typer.Typer(
    help="Tasks to work on: list their sources, show some, verify answers, export.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

SourceArgument = Annotated[
    str,
    typer.Argument(
        help="reasoning-gym, reasoning-gym/FAMILY, bfcl/CATEGORY, FILE.jsonl or verifiers:NAME."
    ),
]
CountOption = Annotated[int, typer.Option(min=1, help="How many.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same tasks.")]
LevelOption = Annotated[int | None, typer.Option(min=1, help="Only of this difficulty; 1 is easy.")]
SplitOption = Annotated[str | None, typer.Option(help="Only train or heldout.")]
UnsafeOption = Annotated[
    bool, typer.Option("--unsafe", help="Score without a sandbox where none can be had.")
]


@tasks_app.command("list")
def list_all(
    source: Annotated[str | None, typer.Argument(help="reasoning-gym or bfcl.")] = None,
) -> None:
    """List the sources, or what one of them has.

    \b
    Examples:
      speciale tasks list
      speciale tasks list reasoning-gym
      speciale tasks list bfcl
    """
    from speciale.errors import DataError
    from speciale.tasks.sources import SOURCES

    if source is None:
        print_table(("source", "what"), [(each.form, each.about) for each in SOURCES.values()])
    elif source == "reasoning-gym":
        from speciale.tasks.gym.catalogue import CATALOGUE

        rows = [(name, str(each.levels), each.about) for name, each in CATALOGUE.items()]
        print_table(("family", "levels", "what"), rows, {"levels"})
    elif source == "bfcl":
        from speciale.tasks.bfcl import CATEGORIES

        rows = [(name, str(each.size), each.description) for name, each in CATEGORIES.items()]
        print_table(("category", "tasks", "what"), rows, {"tasks"})
    else:
        raise DataError(f"there is no list of {source!r}: name reasoning-gym or bfcl.")


@tasks_app.command()
def show(
    source: SourceArgument,
    count: CountOption = 1,
    seed: SeedOption = 0,
    level: LevelOption = None,
    split: SplitOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    unsafe: UnsafeOption = False,
) -> None:
    """Show tasks with their reference answers.

    \b
    Examples:
      speciale tasks show reasoning-gym/countdown --level 2
      speciale tasks show mine.jsonl --count 5
      speciale tasks show reasoning-gym --count 105 --json > tasks.jsonl
    """
    from speciale.tasks.rows import shown_row
    from speciale.tasks.sources import load_tasks

    sandbox = _sandbox(unsafe)
    tasks = load_tasks(source, count=count, seed=seed, level=level, split=split, sandbox=sandbox)
    for task in tasks:
        if as_json:
            print(json.dumps(shown_row(task), ensure_ascii=False), flush=True)
        else:
            _print_task(task)


@tasks_app.command()
def verify(
    source: SourceArgument,
    answer: Annotated[str | None, typer.Option(help="An answer to the first task.")] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help='JSON lines: {"id": ..., "answer": ...}, "messages" where calls count.'),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="How many tasks the ids are of; as to show.")
    ] = None,
    seed: SeedOption = 0,
    level: LevelOption = None,
    split: SplitOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    unsafe: UnsafeOption = False,
) -> None:
    """Verify answers: a score from 0 to 1 each, and why. Exits with 1 unless all are right.

    Give the --count, --seed, --level and --split that the tasks were shown with.

    \b
    Examples:
      speciale tasks verify reasoning-gym/gcd --answer 12
      speciale tasks verify mine.jsonl --answers answers.jsonl
      speciale tasks verify reasoning-gym --count 105 --answers answers.jsonl --json
    """
    import asyncio

    from speciale.errors import DataError
    from speciale.tasks.attempts import read_attempts, verify_all
    from speciale.tasks.sources import load_tasks
    from speciale.tasks.task import Attempt

    if (answer is None) == (answers is None):
        raise DataError("give either --answer or --answers.")
    attempts = [(None, Attempt(answer or ""))] if answers is None else read_attempts(answers)
    sandbox = _sandbox(unsafe)
    tasks = load_tasks(
        source,
        count=count or len(attempts),
        seed=seed,
        level=level,
        split=split,
        sandbox=sandbox,
    )
    pairs = asyncio.run(verify_all(list(tasks), attempts))
    _print_verdicts(pairs, as_json)
    if any(verdict.score < 1 for _, verdict in pairs):
        raise typer.Exit(1)


@tasks_app.command()
def export(
    source: SourceArgument,
    verifiers: Annotated[
        Path | None, typer.Option(help="A new folder for an environment of verifiers.")
    ] = None,
    jsonl: Annotated[Path | None, typer.Option(help="A file of JSON lines.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many lines.")] = 1000,
    seed: SeedOption = 0,
    level: LevelOption = None,
    split: SplitOption = None,
    unsafe: UnsafeOption = False,
) -> None:
    """Write a source as a package for Prime Intellect's verifiers, or as JSON lines.

    \b
    Examples:
      speciale tasks export reasoning-gym/sudoku --verifiers environments/sudoku
      speciale tasks export mine.jsonl --verifiers environments/mine
      speciale tasks export reasoning-gym --jsonl train.jsonl --count 10000 --split train
    """
    from speciale.errors import DataError
    from speciale.files import write_atomic
    from speciale.tasks.rows import export_rows
    from speciale.tasks.sources import load_tasks

    if (verifiers is None) == (jsonl is None):
        raise DataError("give either --verifiers or --jsonl.")
    if verifiers is not None:
        from speciale.tasks.verifiers.export import export_package

        name = export_package(source, verifiers)
        print(f"{verifiers}: environment {name}")
        _remark(f"Install it with `pip install {verifiers}`, then vf.load_environment({name!r}).")
        return
    assert jsonl is not None
    sandbox = _sandbox(unsafe)
    text = export_rows(
        load_tasks(source, count=count, seed=seed, level=level, split=split, sandbox=sandbox)
    )
    write_atomic(jsonl, text)
    print(f"{jsonl}: {text.count(chr(10)):,} tasks")


def _sandbox(unsafe: bool) -> Sandbox | None:
    from speciale.sandbox import Sandbox

    return Sandbox(unsafe=True) if unsafe else None


def _print_task(task: Task) -> None:
    level = f", level {task.level}" if task.level else ""
    print(f"--- {visible(task.id)} of {visible(task.source)}{level}")
    for message in [*task.prompt, *(each for turn in task.turns for each in turn.messages)]:
        print(f"{message['role']}: {visible(str(message['content']))}")
    if task.tools:
        print(f"tools: {', '.join(visible(tool['function']['name']) for tool in task.tools)}")
    if task.answer is not None:
        print(f"a right answer: {visible(task.answer)}")
    print(flush=True)


def _print_verdicts(pairs: Sequence[tuple[Task, Verdict]], as_json: bool) -> None:
    for task, verdict in pairs:
        if as_json:
            row = {"id": task.id, "score": verdict.score, "reasons": list(verdict.reasons)}
            print(json.dumps(row, ensure_ascii=False))
    if as_json:
        return
    rows = [(task.id, f"{each.score:.3g}", " ".join(each.reasons)) for task, each in pairs]
    print_table(("task", "score", "why"), rows, {"score"})
    right = sum(verdict.score == 1 for _, verdict in pairs)
    mean = sum(verdict.score for _, verdict in pairs) / len(pairs)
    print(f"{right} of {len(pairs)} right, mean score {mean:.3f}")


def _remark(text: str) -> None:
    print(text, file=sys.stderr)
