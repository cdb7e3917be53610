"""`speciale synth`: what is done with a store: audit, statistics, export, MCP, a page to read."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from speciale.terminal import print_table

DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A store.")]
MOST_SHOWN = 40  # findings of an audit


def add_store_commands(app: typer.Typer) -> None:
    for command in (audit, stats, export, mcp, browse):
        app.command()(command)


def audit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A store, or one family's folder.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one a core.")] = None,
) -> None:
    """Run every gate again from scratch. Exits with 0 only if all of them hold.

    Each accepted task has to pass all gates as its folder is now, whoever edited it, and each
    verdict has to be the one that gates.json has.

    \b
    Examples:
      speciale synth audit tasks
      speciale synth audit tasks/families/travel-0-000000
    """
    from collections import Counter

    from speciale.synth.audit import GOOD
    from speciale.synth.audit import audit as run_audit
    from speciale.synth.pool import LocalPool

    def told(done: int, whole: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{done:,} of {whole:,} environments", end="", file=sys.stderr, flush=True)

    with LocalPool(workers) as pool:
        found = run_audit(folder, pool, told)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    bad = [each for each in found.findings if each.state not in GOOD]
    rows = [
        (f"{each.id}/{each.number}", each.state, str(each.gate or ""), each.reason)
        for each in bad[:MOST_SHOWN]
    ]
    if rows:
        print_table(("task", "state", "gate", "why"), rows)
    if len(bad) > MOST_SHOWN:
        print(f"and {len(bad) - MOST_SHOWN:,} more")
    counted = Counter((each.accepted, each.state) for each in found.findings if each.number)
    for accepted, words in ((True, "accepted"), (False, "refused")):
        parts = [f"{count:,} {state}" for (was, state), count in counted.items() if was == accepted]
        if parts:
            print(f"{words} tasks: {', '.join(parts)}")
    if not found.holds:
        print("The audit does not hold." if found.findings else "There is nothing to audit.")
        raise typer.Exit(1)
    print("Every gate holds.")


def stats(folder: DirArgument) -> None:
    """Print counts, the acceptance table with reasons, difficulty by level, and what models cost.

    \b
    Examples:
      speciale synth stats tasks
    """
    from speciale.synth.gates.gate import GATES
    from speciale.synth.llm.cost import costs
    from speciale.synth.statistics import statistics
    from speciale.synth.store import Store

    with Store(folder, create=False) as store:
        told = statistics(store)
    rows = [
        (kind, f"{accepted:,}", f"{judged:,}", f"{accepted / judged:.0%}" if judged else "")
        for kind, (accepted, judged) in sorted(told.tasks.items())
    ]
    print(f"{told.families:,} environments with accepted tasks")
    print_table(("kind", "accepted", "judged", "rate"), rows, {"accepted", "judged", "rate"})
    refused = [
        (f"{number} {GATES[number]}", f"{count:,}", reason, f"{times:,}")
        for number, count in sorted(told.refused.items())
        for reason, times in told.reasons.get(number, [("", 0)])
    ]
    refused += [("no family", "", reason, f"{times:,}") for reason, times in told.without]
    if refused:
        print_table(("gate", "refused", "reason", "times"), refused)
    levels = [
        (each.kind, str(each.level), f"{each.tasks:,}", _figure(each.calls),
         _figure(each.space), _figure(each.pass_rate))
        for each in told.levels
    ]  # fmt: skip
    print_table(("kind", "level", "tasks", "calls", "space, log10", "pass rate"), levels)
    for column, counts in told.counts.items():
        parts = (f"{name} {count:,}" for name, count in sorted(counts.items()))
        print(f"{column}: {', '.join(parts)}")
    paid = [
        (
            name, f"{each.items:,}", f"{each.accepted:,}",
            f"{each.prompt_tokens:,}", f"{each.completion_tokens:,}", f"{each.money:,.2f}",
            _figure(each.tokens_a_task), _figure(each.money_a_task),
        )
        for name, each in costs(folder).by_model.items()
    ]  # fmt: skip
    if paid:
        names = ("model", "items", "accepted", "prompt tokens", "sampled", "money")
        print_table((*names, "tokens a task", "money a task"), paid, names[1:])


def export(
    folder: DirArgument,
    jsonl: Annotated[Path | None, typer.Option(help="A file of JSON lines.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="A file of Apache Parquet.")] = None,
    verifiers: Annotated[
        Path | None, typer.Option(help="A new folder for an environment of verifiers.")
    ] = None,
) -> None:
    """Write the accepted tasks as JSON lines, Parquet, or a package for verifiers.

    \b
    Examples:
      speciale synth export tasks --jsonl tasks.jsonl
      speciale synth export tasks --parquet tasks.parquet
      speciale synth export tasks --verifiers environments/tasks
    """
    from speciale.errors import ConfigError
    from speciale.synth.export import export_jsonl, export_parquet, export_verifiers
    from speciale.synth.store import Store

    ways = {export_jsonl: jsonl, export_parquet: parquet, export_verifiers: verifiers}
    named = [(way, path) for way, path in ways.items() if path is not None]
    if len(named) != 1:
        raise ConfigError("give one of --jsonl, --parquet and --verifiers.")
    with Store(folder, create=False) as store:
        for way, path in named:
            print(f"{path}: {way(store, path)}")


def mcp(
    folder: DirArgument,
    family: Annotated[str, typer.Argument(help="The environment's id.")],
    http: Annotated[
        int | None, typer.Option("--http", help="Port of MCP over HTTP; stdio unless given.")
    ] = None,
    host: Annotated[str, typer.Option(help="With --http: where to listen.")] = "127.0.0.1",
) -> None:
    """Serve an environment's tools over the Model Context Protocol.

    All who ask share one copy of its database, which is thrown away at the end. With
    SPECIALE_API_KEY set, requests over HTTP must carry it as a bearer token.

    \b
    Examples:
      speciale synth mcp tasks travel-0-000000               # as an MCP client's command
      speciale synth mcp tasks travel-0-000000 --http 8001   # http://127.0.0.1:8001/mcp
    """
    from speciale.agents.tools.mcp_server import serve_http, serve_stdio
    from speciale.synth.store import Store
    from speciale.tasks.synthesised.world import open_world

    with Store(folder, create=False) as store:
        found = store.family(family)

    async def serve() -> None:
        async with open_world(found) as world:
            if http is None:
                await serve_stdio(world)
                return
            print(f"MCP at http://{host}:{http}/mcp", file=sys.stderr)
            await serve_http(world, host, http, os.environ.get("SPECIALE_API_KEY"))

    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def browse(
    folder: DirArgument,
    port: Annotated[int, typer.Option(help="Where to listen on this machine.")] = 8002,
) -> None:
    """Read a store in the browser: schema, data, tools, tasks, calls, verifiers, gates.

    \b
    Examples:
      speciale synth browse tasks
    """
    from speciale.synth.browse import serve

    serve(folder, port)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
