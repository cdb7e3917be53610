"""`speciale generate` and `speciale bench`: the engine on the command line. Nothing heavy is
imported before they run.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DeviceOption = Annotated[str, typer.Option(help="cpu, or cuda for a GPU (in bfloat16).")]


class BenchChoice(StrEnum):
    decode = "decode"
    prefill = "prefill"


class AttentionChoice(StrEnum):
    sparse = "sparse"
    dense = "dense"
    window = "window"


def generate(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[RUN] PROMPT",
            help="A run or a model folder, if not our own model; a text, or - for standard input.",
        ),
    ],
    chat: Annotated[
        bool, typer.Option("--chat", help="The prompt is a user's message, not bare text.")
    ] = False,
    think: Annotated[bool, typer.Option(help="With --chat: think before answering.")] = True,
    max_tokens: Annotated[
        int | None, typer.Option(help="Longest answer; as the context takes unless given.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Share of probability to draw from.")] = 1.0,
    samples: Annotated[int, typer.Option("-n", help="Answers.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = 0,
    stop: Annotated[list[str] | None, typer.Option(help="Text that ends the answer.")] = None,
    json_schema: Annotated[
        Path | None, typer.Option(help="File with a JSON schema that the answer must fit.")
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Print what a model writes behind a prompt; progress and figures go to standard error.

    \b
    Examples:
      speciale generate "What is 3 + 4?" --chat
      speciale generate runs/laptop "def main(" --max-tokens 40
      speciale generate runs/laptop "A person:" --json-schema person.json --temperature 1
      cat long.txt | speciale generate runs/laptop - --max-tokens 20
    """
    from speciale.reference import model_and_text
    from speciale.serve.generate_command import generate_text

    sampling = dict(
        max_tokens=max_tokens, temperature=temperature, top_p=top_p, n=samples, seed=seed,
        stop=stop or (),
    )  # fmt: skip
    run, prompt = model_and_text(words, "PROMPT")
    generate_text(run, prompt, chat, think, json_schema, sampling, device)


def bench(
    what: Annotated[BenchChoice, typer.Argument(help="decode: a token's cost; prefill: reading.")],
    config: Annotated[
        str, typer.Option(help="A shape with random weights (65m), a run or a model folder.")
    ] = "65m",
    context: Annotated[int, typer.Option(help="Tokens before the ones that are timed.")] = 4096,
    batch: Annotated[int, typer.Option(help="Requests side by side (decode).")] = 1,
    tokens: Annotated[int, typer.Option(help="Timed decoding steps; the median counts.")] = 32,
    attention: Annotated[
        AttentionChoice,
        typer.Option(help="dense: nothing is selected; window: the last tokens are."),
    ] = AttentionChoice.sparse,
    device: DeviceOption = "cpu",
    out: Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")] = None,
) -> None:
    """Time the engine on this machine.

    \b
    Examples:
      speciale bench decode --config 65m --context 16384 --json decode.json
      speciale bench decode --context 131072 --attention dense
      speciale bench decode --context 1024 --batch 32
      speciale bench prefill --config runs/laptop --context 200
    """
    from speciale.engine.bench import bench as run_bench

    row = run_bench(what.value, config, context, batch, tokens, attention.value, device, out)
    for key, value in row.items():
        print(f"{key:12} {value:.4g}" if isinstance(value, float) else f"{key:12} {value}")
