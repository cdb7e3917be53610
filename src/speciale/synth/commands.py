"""`speciale synth`: the authors on the command line. What is done with a store: store_commands.py.

Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciale.synth.store_commands import add_store_commands

if TYPE_CHECKING:
    from speciale.synth.run import Summary
    from speciale.synth.schedule import Pool

synth_app = typer.Typer(
    help="Make verified agentic tasks: environments, tools, tasks, verifiers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
JUDGING_S = 900.0  # the longest that an item may take beside what a model takes

OutOption = Annotated[Path, typer.Option("--out", help="The store's folder, new or to go on with.")]
CountOption = Annotated[int, typer.Option("-n", min=1, help="How many accepted tasks.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same tasks.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Processes; one a core, or on Ray one a CPU.")
]
RayOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Work on a Ray cluster: auto, HOST:PORT.")
]
IndexOption = Annotated[
    str | None, typer.Option(metavar="URL", help="PostgreSQL for the index; SQLite in --out.")
]
CategoryOption = Annotated[
    list[str] | None, typer.Option("--category", help="Again for more; all unless given.")
]


@synth_app.command()
def general(
    out: OutOption = Path("synth"),
    count: CountOption = 50,
    category: CategoryOption = None,
    seed: SeedOption = 0,
    llm: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A model's server, up to /v1; none: a program writes."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="With --llm: the model's name there.")] = None,
    llm_key_env: Annotated[
        str | None, typer.Option(help="Environment variable with the key there.")
    ] = None,
    flavour: Annotated[
        str, typer.Option(help="How it is told to think: openai, deepseek, vllm, sglang, azure.")
    ] = "openai",
    levels: Annotated[int, typer.Option(min=1, max=10, help="With --llm: how far to climb.")] = 3,
    search: Annotated[
        Path | None, typer.Option(metavar="DIR", help="With --llm: texts that it may search.")
    ] = None,
    tokens: Annotated[
        int, typer.Option(min=1, help="With --llm: most tokens of one environment.")
    ] = 1_500_000,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of each completion.")] = 16_000,
    seconds: Annotated[float, typer.Option(min=1, help="With --llm: of one environment.")] = 1800,
    cost: Annotated[
        float | None, typer.Option(min=0, help="With --llm: most money of one environment.")
    ] = None,
    price_in: Annotated[float, typer.Option(min=0, help="Of a million prompt tokens.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="Of a million sampled tokens.")] = 0.0,
    workers: WorkersOption = None,
    ray: RayOption = None,
    index: IndexOption = None,
) -> None:
    """General agent: synthesised environments with tools over a database (report, 3.2.3).

    A killed run goes on where it stopped when the same command is run again. With --llm the model
    works as an agent in the sandbox: data, tools, task with solution and verifier, then harder.

    \b
    Examples:
      speciale synth general --category travel -n 50 --out tasks
      speciale synth general -n 2000 --seed 7 --out tasks        # all categories in turn
      speciale synth general --llm http://localhost:8000/v1 --model speciale -n 20 --out made
    """
    from speciale.synth.general import CATEGORIES, items

    if llm is None:
        _run(items(_known(category, CATEGORIES), seed), out, count, workers, ray, index)
        return
    from speciale.errors import ConfigError
    from speciale.synth.llm import author

    if model is None:
        raise ConfigError("--llm needs --model, the model's name on that server.")
    budget = {
        "tokens": tokens, "max_tokens": max_tokens, "seconds": seconds,
        "cost": cost, "price_in": price_in, "price_out": price_out,
    }  # fmt: skip
    work = author.items(
        llm, model, category or list(CATEGORIES), seed, flavour=flavour, api_key_env=llm_key_env,
        levels=levels, budget=budget, search=None if search is None else str(search.resolve()),
    )  # fmt: skip
    author.check_server(llm, llm_key_env)
    _run(work, out, count, workers, ray, index, limit_s=seconds + JUDGING_S)


@synth_app.command()
def starter(
    out: OutOption = Path("synth"),
    count: CountOption = 50,
    pattern: Annotated[
        list[str] | None, typer.Option("--pattern", help="Again for more; all unless given.")
    ] = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    ray: RayOption = None,
    index: IndexOption = None,
) -> None:
    """Small tasks of two to four calls, for models of a few million parameters.

    Three patterns, and of each other one what the last environments are about, are held out of
    training: see `unseen` and `split` in a task's metadata.

    \b
    Examples:
      speciale synth starter -n 200 --out tasks
      speciale synth starter --pattern chain --pattern price -n 400 --out tasks
    """
    from speciale.synth.starter import PATTERNS, items

    _run(items(_known(pattern, PATTERNS, "pattern"), seed), out, count, workers, ray, index)


@synth_app.command()
def search(
    corpus: Annotated[
        str, typer.Argument(help="debian, doc, python, or the path of a folder or file.")
    ],
    out: OutOption = Path("synth"),
    count: CountOption = 50,
    seed: SeedOption = 0,
    depth: Annotated[
        int | None,
        typer.Option(min=1, max=6, help="Hops of every question; unless given, 1 to 4 by level."),
    ] = None,
    breadth: Annotated[
        int | None, typer.Option(min=1, max=6, help="Conditions on its first document, at least.")
    ] = None,
    workers: WorkersOption = None,
    ray: RayOption = None,
    index: IndexOption = None,
) -> None:
    """Search agent: multi-hop questions about long-tail entities of a corpus.

    debian: the packages that `apt-cache dumpavail` knows; doc: /usr/share/doc; python: the
    documentation of Python.

    \b
    Examples:
      speciale synth search debian -n 100 --out tasks
      speciale synth search ~/notes -n 20 --depth 3 --out tasks
    """
    from speciale.synth.search.author import CORPORA, items
    from speciale.synth.search.corpora import read_corpus

    work = items(corpus, seed, depth=depth, breadth=breadth)
    if corpus not in CORPORA:
        read_corpus(corpus)  # before many items fail of it
    _run(work, out, count, workers, ray, index)


@synth_app.command()
def code(
    packages: Annotated[
        list[str] | None,
        typer.Argument(help="NAME==VERSION of PyPI, or npm:NAME@VERSION; a list of ours."),
    ] = None,
    git: Annotated[
        Path | None, typer.Option(help="A local repository whose history is mined instead.")
    ] = None,
    out: OutOption = Path("synth"),
    count: CountOption = 50,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    ray: RayOption = None,
    index: IndexOption = None,
) -> None:
    """Code agent: issues with hidden tests, mined from history or made by bugs in real packages.

    \b
    Examples:
      speciale synth code -n 100 --out tasks
      speciale synth code parsy==2.2 ordered-set==4.1.0 -n 20 --out tasks
      speciale synth code --git ~/src/project -n 10 --out tasks
    """
    from speciale.errors import ConfigError
    from speciale.synth.code.author import items_made, items_mined

    if git is not None and packages:
        raise ConfigError("give either packages or --git.")
    work = items_mined(git, seed) if git is not None else items_made(packages, seed)
    _run(work, out, count, workers, ray, index)


@synth_app.command()
def interpreter(
    out: OutOption = Path("synth"),
    count: CountOption = 50,
    category: CategoryOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    ray: RayOption = None,
    index: IndexOption = None,
) -> None:
    """Code interpreter: mathematics, logic and data that need a Jupyter kernel.

    \b
    Examples:
      speciale synth interpreter -n 100 --out tasks
      speciale synth interpreter --category data -n 30 --out tasks
    """
    from speciale.synth.interpreter.author import CATEGORIES, items

    _run(items(_known(category, CATEGORIES), seed), out, count, workers, ray, index)


def _known(names: list[str] | None, known: Any, what: str = "category") -> list[str]:
    """The categories that are named, all where none is. ConfigError for one that there is not."""
    from speciale.errors import ConfigError

    for name in names or ():
        if name not in known:
            raise ConfigError(f"there is no {what} {name!r}: name some of {', '.join(known)}.")
    return list(dict.fromkeys(names)) if names else list(known)


def _run(
    items: Iterator[dict[str, Any]],
    out: Path,
    count: int,
    workers: int | None,
    ray: str | None,
    index: str | None,
    limit_s: float = JUDGING_S,
) -> None:
    from speciale.synth.progress import Show
    from speciale.synth.run import run
    from speciale.synth.store import Store

    with Store(out, index) as store, _pool(workers, ray, limit_s) as pool, Show() as show:
        for trouble in store.troubles:
            print(f"note: {trouble}", file=sys.stderr)
        try:
            summary = run(items, count, store, pool, show)
        except KeyboardInterrupt:
            print(f"stopped; the same command goes on with {out}", file=sys.stderr)
            raise typer.Exit(130) from None
    _print_summary(summary, out)


def _pool(workers: int | None, ray: str | None, limit_s: float) -> Pool[Any]:
    if ray is not None:
        from speciale.synth.ray_pool import RayPool

        return RayPool(ray, workers, limit_s)
    from speciale.synth.pool import LocalPool

    return LocalPool(workers, limit_s)


def _print_summary(summary: Summary, out: Path) -> None:
    from speciale.synth.gates.gate import GATES

    new = summary.accepted - summary.before
    had = f", {summary.before:,} of them from before" if summary.before else ""
    print(f"{out}: {summary.accepted:,} accepted tasks{had}")
    if new:
        print(f"{new:,} new ones in {summary.seconds:,.0f} s, {summary.an_hour:,.0f} an hour")
    for number, refused in sorted(summary.refused.items()):
        print(f"  gate {number}, {GATES[number]}: {refused:,} refused")
    if summary.rejected or summary.failed:
        print(f"  no task at all: {summary.rejected:,} environments, {summary.failed:,} by a fault")
    print(f"look:  speciale synth browse {out}\naudit: speciale synth audit {out}")


add_store_commands(synth_app)  # after the authors, also in --help
