"""`speciale agent` on the command line: its options and help. Nothing heavy is imported before it
runs (agent_command.py).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ModeChoice(StrEnum):
    chat = "chat"
    vllm = "vllm"
    sglang = "sglang"


class FlavourChoice(StrEnum):
    openai = "openai"
    deepseek = "deepseek"
    vllm = "vllm"
    sglang = "sglang"
    azure = "azure"


class ContextChoice(StrEnum):
    none = "none"
    summary = "summary"
    discard_75 = "discard-75"
    discard_all = "discard-all"


KeyEnvOption = Annotated[str | None, typer.Option(help="Environment variable with the key there.")]
UpstreamTokenizerOption = Annotated[
    Path | None, typer.Option(help="Folder of tokenizer.json, for ids to an upstream.")
]
UnsafeOption = Annotated[
    bool, typer.Option("--unsafe", help="Run code without any sandbox, if there is none.")
]


def agent(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[RUN] QUESTION", help="A run if not our own model, the question."),
    ],
    tools: Annotated[
        str,
        typer.Option(help="none, or: python,bash,files,search:DIR,mcp:COMMAND_OR_URL"),
    ] = "python",
    upstream: Annotated[
        str | None, typer.Option(help="URL of a server in place of RUN, up to /v1.")
    ] = None,
    mode: Annotated[
        ModeChoice, typer.Option(help="Of --upstream: chat, or ids to vLLM or SGLang.")
    ] = ModeChoice.chat,
    model: Annotated[str | None, typer.Option(help="The model's name there.")] = None,
    flavour: Annotated[
        FlavourChoice, typer.Option(help="How a chat server is told to think.")
    ] = FlavourChoice.openai,
    upstream_key_env: KeyEnvOption = None,
    tokenizer: UpstreamTokenizerOption = None,
    window: Annotated[int, typer.Option(min=256, help="Of an upstream, in tokens.")] = 128_000,
    system: Annotated[str, typer.Option(help="System prompt.")] = "",
    think: Annotated[bool, typer.Option(help="Think between calls.")] = True,
    temperature: Annotated[float, typer.Option(min=0, help="0 is greedy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = 0,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of each completion.")] = None,
    max_turns: Annotated[int, typer.Option(min=1, help="Completions, all in all.")] = 50,
    seconds: Annotated[float | None, typer.Option(min=0, help="For the whole run.")] = None,
    call_seconds: Annotated[float, typer.Option(min=0, help="For each call of a tool.")] = 120.0,
    context: Annotated[
        ContextChoice, typer.Option(help="What happens when the window fills.")
    ] = ContextChoice.summary,
    share: Annotated[
        float, typer.Option(min=0.1, max=1, help="Of the window, from where on it happens.")
    ] = 0.8,
    runs: Annotated[
        int, typer.Option(min=1, help="Side by side; the one of fewest steps is taken.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option(help="File of JSON lines to which trajectories are added.")
    ] = None,
    unsafe: UnsafeOption = False,
) -> None:
    """Answer a question with tools; thinking, calls and results are shown as they come.

    Python, bash and files live in a sandbox without network. Exit code 0: it answered.

    \b
    Examples:
      speciale agent "What is 17 * 23?"
      speciale agent runs/laptop "Which files mention RoPE?" --tools search:docs,files
      speciale agent "Plot sin(x) as text" --tools python --upstream http://gpu1:8000/v1 \\
        --model deepseek-v3.2 --flavour vllm --out runs.jsonl
      speciale agent runs/laptop "..." --tools "mcp:npx my-server" --context discard-all --runs 4
    """
    from speciale.serve.agent_command import Options, Source, model_and_question, run_command

    run, question = model_and_question(words, upstream)
    source = Source(
        run, upstream, mode.value, model, upstream_key_env, tokenizer, flavour.value, window
    )
    sampling = dict(temperature=temperature, seed=seed, max_tokens=max_tokens)
    options = Options(
        tools, context.value, share, runs, out, unsafe, system, think, max_turns, seconds,
        call_seconds, sampling,
    )  # fmt: skip
    raise typer.Exit(run_command(source, question, options))
