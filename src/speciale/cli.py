"""The command line. Nothing heavy is imported before a command runs, so `--help` is instant."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from speciale import __version__
from speciale.agents.tools.commands import tools_app
from speciale.anatomy.commands import anatomy
from speciale.convert.commands import convert
from speciale.errors import SpecialeError
from speciale.evals.commands import evaluate
from speciale.plan.commands import plan
from speciale.rl.commands import distill, rl, rl_worker
from speciale.serve.accounts.commands import keys_app, usage
from speciale.serve.agent_commands import (
    FlavourChoice,
    KeyEnvOption,
    UnsafeOption,
    UpstreamTokenizerOption,
    agent,
)
from speciale.serve.engine_commands import bench, generate
from speciale.synth.commands import synth_app
from speciale.tasks.commands import tasks_app

app = typer.Typer(
    help="DeepSeek-V3.2 end to end on one machine: train it, look at it, talk to it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class StageChoice(StrEnum):
    pretrain = "pretrain"
    warmup = "warmup"
    sparse = "sparse"
    sft = "sft"


class ModeChoice(StrEnum):
    strict = "strict"
    lenient = "lenient"


RecipeOption = Annotated[
    str, typer.Option("--recipe", help="Built-in recipe (tiny, laptop) or a TOML file.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Run folder; runs/RECIPE unless given.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override of a recipe value, such as --set pretrain.steps=50."),
]
RunArgument = Annotated[
    Path | None,
    typer.Argument(help="A finished run or an HF-layout model folder; our own model unless given."),
]


def _command() -> str:
    return shlex.join(["speciale", *sys.argv[1:]])


def _default_out(out: Path | None, recipe_name: str) -> Path:
    return out if out is not None else Path("runs") / recipe_name


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"speciale {__version__}")
        raise typer.Exit


@app.command()
def speedrun(
    recipe: RecipeOption = "laptop", out: OutOption = None, overrides: SetOption = None
) -> None:
    """Go from nothing to a small V3.2 that talks: data, four stages, results, report.

    A killed run continues where it stopped when the same command is run again.

    \b
    Examples:
      speciale speedrun                          # the laptop recipe, about 15 minutes
      speciale speedrun --recipe laptop-agents   # with tools, and RL at the end: about an hour
      speciale speedrun --recipe tiny --out runs/first
      speciale speedrun --recipe my.toml --set seed=1 --set sft.steps=200
    """
    from speciale.speedrun import speedrun as run_all
    from speciale.train.recipe import read_recipe

    resolved = read_recipe(recipe, overrides)
    folder = _default_out(out, resolved.name)
    report = run_all(folder, resolved, _command())
    program = "speciale" if shutil.which("speciale") else sys.argv[0]  # .venv may be inactive
    print(f"report: {report.resolve()}\nchat:   {shlex.join([program, 'chat', str(folder)])}")
    if resolved.rl is not None:
        print(f"RL:     {(folder / 'rl' / 'report.html').resolve()}")


@app.command()
def train(
    stage: Annotated[StageChoice, typer.Argument(help="The stage to run.")],
    recipe: RecipeOption = "laptop",
    out: OutOption = None,
    overrides: SetOption = None,
    context_ranks: Annotated[
        int, typer.Option(min=1, help="Processes that share each sequence (context parallel).")
    ] = 1,
    expert_ranks: Annotated[
        int, typer.Option(min=1, help="Processes that hold the experts together.")
    ] = 1,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, help="Rows that a process computes at once.")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Recompute activations instead of keeping them.")
    ] = False,
    fp8: Annotated[
        bool, typer.Option("--fp8", help="FP8 matmuls by torchao, on GPUs that have them.")
    ] = False,
) -> None:
    """Run one stage of a run: pretrain, warmup, sparse or sft.

    Each continues the stage before it in the same run folder, or its own last checkpoint. Under
    torchrun the weights are cut over all processes, and any number of them goes on from a
    checkpoint; the folder must be the same for all.

    \b
    Examples:
      speciale train pretrain --recipe tiny --out runs/mine
      speciale train warmup --recipe tiny --out runs/mine
      torchrun --nproc-per-node 4 -m speciale train pretrain --recipe tiny --out runs/four
      torchrun --nproc-per-node 8 -m speciale train sparse --out runs/big \\
        --context-ranks 2 --expert-ranks 8 --recompute
    """
    from speciale.train.parallel.ranks import Layout
    from speciale.train.recipe import read_recipe
    from speciale.train.stages import train_on_ranks

    resolved = read_recipe(recipe, overrides)
    layout = Layout(context_ranks, expert_ranks, micro_batch, recompute, fp8)
    folder = _default_out(out, resolved.name)
    if finished := train_on_ranks(folder, resolved, stage.value, layout, _command()):
        print(f"finished: {finished}")


app.command()(convert)
app.command()(plan)
app.command()(rl)
app.command("rl-worker")(rl_worker)
app.command()(distill)
app.command("eval")(evaluate)
app.command()(anatomy)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of a run, finished or not.")]) -> None:
    """Write a run's report.html, one page with no other files, and its MODEL_CARD.md.

    \b
    Examples:
      speciale report runs/laptop
      speciale report runs/laptop/rl        # of an RL run, with samples side by side over time
    """
    from speciale.rl.run import is_rl_run

    if is_rl_run(run):
        from speciale.rl.report import write_report
    else:
        from speciale.evals.report import write_report

    from speciale.evals.card import write_card

    print(f"report: {write_report(run).resolve()}")
    print(f"card:   {write_card(run).resolve()}")


@app.command()
def chat(
    run: RunArgument = None,
    system: Annotated[str, typer.Option(help="System prompt.")] = "",
    think: Annotated[bool, typer.Option(help="Think before answering.")] = True,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 512,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = 0,
) -> None:
    """Talk to a model in the terminal; thinking is shown dim.

    Inside: /think on|off, /system TEXT, /new, /help, /quit; Ctrl-C stops the answer, Ctrl-D leaves.

    \b
    Examples:
      speciale chat                          # with the small model that comes with the package
      speciale chat runs/laptop
      speciale chat runs/laptop --no-think --temperature 0.7
    """
    from speciale.reference import reference_model
    from speciale.serve.terminal import TerminalChat

    TerminalChat(run or reference_model(), system, think, temperature, max_new_tokens, seed).loop()


class UpstreamMode(StrEnum):
    chat = "chat"
    tokens = "tokens"
    generate = "generate"


class VariantChoice(StrEnum):
    v32 = "v3.2"
    speciale = "speciale"


@app.command()
def serve(
    run: RunArgument = None,
    upstream: Annotated[
        list[str] | None, typer.Option(help="URL of a server that answers; several are a pool.")
    ] = None,
    mode: Annotated[
        UpstreamMode,
        typer.Option(help="Of --upstream: chat, or ids to /v1/completions or /generate."),
    ] = UpstreamMode.chat,
    upstream_model: Annotated[str | None, typer.Option(help="The model's name there.")] = None,
    flavour: Annotated[
        FlavourChoice, typer.Option(help="How --upstream takes what OpenAI's API lacks.")
    ] = FlavourChoice.vllm,
    upstream_key_env: KeyEnvOption = None,
    tokenizer: UpstreamTokenizerOption = None,
    backend: Annotated[
        str | None, typer.Option(help="null, or null:20 (words a second): no model, to measure.")
    ] = None,
    variant: Annotated[
        VariantChoice, typer.Option(help="speciale always thinks and calls no tools.")
    ] = VariantChoice.v32,
    config: Annotated[
        Path | None, typer.Option(help="TOML file; what is given here goes first.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="127.0.0.1 unless given.")] = None,
    port: Annotated[int | None, typer.Option(help="8000 unless given.")] = None,
    database: Annotated[
        str | None, typer.Option(help="SQLAlchemy URL; sqlite:///speciale.db unless given.")
    ] = None,
    auth: Annotated[
        bool, typer.Option("--auth/--no-auth", help="--no-auth: no keys; loopback only.")
    ] = True,
) -> None:
    """Serve a model with DeepSeek's API, a content filter, keys and metering, and a page.

    \b
    Examples:
      speciale serve                                   # our own small model
      speciale serve runs/laptop                       # a demo key is printed
      SPECIALE_API_KEY=$(openssl rand -hex 24) speciale serve runs/laptop
      speciale serve runs/laptop --no-auth --port 9000
      speciale serve --upstream http://gpu1:8000/v1 --upstream http://gpu2:8000/v1
      speciale serve --upstream http://gpu1:8000 --mode tokens --tokenizer DeepSeek-V3.2/
      DEEPSEEK_KEY=sk-… speciale serve --upstream https://api.deepseek.com --flavour deepseek \\
        --upstream-model deepseek-chat --upstream-key-env DEEPSEEK_KEY
      speciale serve --config service.toml --host 0.0.0.0
    """
    from speciale.reference import reference_model
    from speciale.serve.config import UpstreamConfig, read_config
    from speciale.serve.serve_command import deployment_of
    from speciale.serve.serve_command import serve as run_server

    given = dict(host=host, port=port, database=database, auth=None if auth else False)
    if not (run or upstream or backend or config):
        run = reference_model()
    if run is not None or upstream or backend:
        upstreams = [
            UpstreamConfig(
                url=url, mode=mode.value, model=upstream_model, api_key_env=upstream_key_env,
                tokenizer=tokenizer, flavour=flavour.value,
            )
            for url in upstream or ()
        ]  # fmt: skip
        given["deployments"] = [deployment_of(run, upstreams, backend, variant.value)]
    run_server(read_config(config, **given))


app.add_typer(keys_app, name="keys")
app.command()(usage)
app.command()(agent)
app.add_typer(tasks_app, name="tasks")
app.add_typer(synth_app, name="synth")
app.add_typer(tools_app, name="tools")


@app.command(context_settings={"ignore_unknown_options": True})
def sandbox(
    command: Annotated[list[str], typer.Argument(help="The command and its arguments, after --.")],
    memory_mb: Annotated[int, typer.Option(min=1, help="All its processes together.")] = 1024,
    cpu_s: Annotated[int, typer.Option(min=1, help="CPU seconds, likewise.")] = 60,
    wall_s: Annotated[float, typer.Option(help="Seconds.")] = 60,
    processes: Annotated[int, typer.Option(min=1, help="Threads count.")] = 64,
    file_mb: Annotated[int, typer.Option(min=1, help="The largest file.")] = 64,
    disk_mb: Annotated[int, typer.Option(min=1, help="All files together.")] = 256,
    output_kb: Annotated[int, typer.Option(min=1, help="Both streams together.")] = 1024,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    unsafe: UnsafeOption = False,
) -> None:
    """Run a command without network, as nobody, in a folder of its own, within limits.

    Its input, output and exit code are passed through; a limit that ends it is named.

    \b
    Examples:
      speciale sandbox -- python3 -c "print(6 * 7)"
      speciale sandbox --wall-s 5 --memory-mb 256 -- bash -c 'sort | uniq -c' < words.txt
    """
    from speciale.sandbox import Limits
    from speciale.sandbox.command import sandbox_command

    limits = Limits(memory_mb, cpu_s, processes, file_mb, disk_mb, output_kb, wall_s)
    raise typer.Exit(sandbox_command(command, limits, unsafe=unsafe, as_json=as_json))


app.command()(generate)
app.command()(bench)

FileArgument = Annotated[Path, typer.Argument(help="A file, or - for standard input.")]
ExplainOption = Annotated[
    bool, typer.Option("--explain", help="Show tokens, roles and repairs, in colour.")
]
TokenizerOption = Annotated[
    Path | None, typer.Option("--tokenizer", help="Folder with a tokenizer.json: token ids.")
]


@app.command()
def encode(
    file: FileArgument,
    think: Annotated[
        bool | None, typer.Option("--think/--no-think", help="As the request says, unless given.")
    ] = None,
    explain: ExplainOption = False,
    tokenizer: TokenizerOption = None,
) -> None:
    """Print the prompt of a conversation: FILE is JSON, a chat request or a list of messages.

    With a tokenizer, its ids instead. What had to be mended goes to standard error.

    \b
    Examples:
      speciale encode request.json --think
      speciale encode request.json --explain
      echo '[{"role": "user", "content": "hi"}]' | speciale encode -
    """
    from speciale.serve.format_commands import encode_file

    encode_file(file, think, explain, tokenizer)


@app.command()
def parse(
    file: FileArgument,
    think: Annotated[bool, typer.Option(help="The completion begins inside the reasoning.")] = True,
    mode: Annotated[
        ModeChoice, typer.Option(help="strict refuses what lenient mends.")
    ] = ModeChoice.strict,
    explain: ExplainOption = False,
    tokenizer: TokenizerOption = None,
) -> None:
    """Print the message of a completion as JSON: FILE is the text that the model wrote.

    What lenient parsing mended goes to standard error.

    \b
    Examples:
      speciale parse completion.txt
      speciale parse completion.txt --mode lenient --explain
      speciale parse answer.txt --no-think
    """
    from speciale.serve.format_commands import parse_file

    parse_file(file, think, mode.value, explain, tokenizer)


def main() -> None:
    """Entry point: errors of ours are one sentence and exit code 1."""
    # OpenMP threads that wait go to sleep sooner than by default, so that they leave the cores to
    # other work; on an idle machine training was no slower so. Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        app()
    except SpecialeError as error:
        rank = os.environ.get("RANK", "0")  # of a job that torchrun started
        print(f"error: {error}" if rank == "0" else f"rank {rank}: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # what no sentence of ours foresaw, such as a full standard output
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == 130:  # what typer makes of Ctrl-C
            goes_on = sys.argv[1:2] in (["speedrun"], ["train"])
            more = "; the same command continues from here" if goes_on else ""
            print(f"\nstopped{more}", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
