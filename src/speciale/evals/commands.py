"""The command line of evaluations. Nothing heavy is imported before a command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from speciale.errors import ConfigError

_SUITES = "reasoning, agent, longctx, format, safety; lm-eval, inspect: tasks of those harnesses"


def evaluate(
    target: Annotated[
        str,
        typer.Argument(
            help="A run, a model folder, an address up to /v1; or random, oracle: who answer "
            "without a model; reference: the model that comes with the package."
        ),
    ] = "reference",
    suite: Annotated[
        str, typer.Option(help=f"One or several, with commas between them: {_SUITES}.")
    ] = "reasoning",
    cells: Annotated[
        str | None,
        typer.Option(
            help="Of one suite: problems/gcd@2,reasoning-gym/countdown@1; its own unless given. "
            "Of lm-eval: a task or FILE.yaml; of inspect: FILE.py@TASK or a task."
        ),
    ] = None,
    tasks: Annotated[int, typer.Option(min=1, help="Of each cell.")] = 20,
    samples: Annotated[int, typer.Option(min=1, help="Attempts at each task.")] = 4,
    against: Annotated[
        str | None, typer.Option(help="Another target that is asked the same, and compared.")
    ] = None,
    budgets: Annotated[
        str | None, typer.Option(help="Tokens of thinking, one after the other: 16,64,256.")
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Tasks of `speciale synth`; a run's own unless given.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed asks and draws the same.")] = 0,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 1.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of a completion.")] = 1024,
    turns: Annotated[int, typer.Option(min=1, help="Completions of an attempt.")] = 16,
    prices: Annotated[
        str | None, typer.Option(help="Of a million tokens read and written, such as 0.28,0.42.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where it is kept; TARGET/evals unless given.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Which of a server's models.")] = None,
    key_env: Annotated[
        str | None, typer.Option(help="The variable that holds the server's key.")
    ] = None,
    flavour: Annotated[
        str,
        typer.Option(help="How a server is told to think: openai, deepseek, vllm, sglang, azure."),
    ] = "openai",
    window: Annotated[int, typer.Option(help="Tokens that a server's model can hold.")] = 131_072,
    tokenizer: Annotated[
        Path | None, typer.Option(help="To count a server's tokens with; a guess unless given.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to a server at once.")] = 16,
) -> None:
    """Ask a model what it can do: pass@1 with intervals, pass@k, tokens and cost of a solved task.

    What was asked before is not asked again; killed, the same command goes on.

    \b
    Examples:
      speciale eval                                  # our own model, problems
      speciale eval runs/laptop --suite reasoning --tasks 50
      speciale eval runs/laptop-agents/rl --against runs/laptop-agents --suite reasoning,agent
      speciale eval runs/laptop --budgets 8,16,32,64
      speciale eval http://gpu1:8000/v1 --model deepseek-v3.2 --suite longctx --cells needle@32768
      speciale eval runs/laptop --suite lm-eval --cells gsm8k,mine/sums.yaml --temperature 0
      speciale eval runs/laptop --suite inspect --cells mine/sums.py@sums --samples 1
      speciale eval random --suite reasoning
    """
    from speciale.evals.attempts import Settings
    from speciale.evals.run import Request, run_eval
    from speciale.evals.suites.suite import Choice
    from speciale.evals.table import Prices
    from speciale.evals.target import ServerOptions

    cost = None if prices is None else Prices(*_numbers(prices, float, "--prices", 2))
    run_eval(
        Request(
            targets=(target,) if against is None else (against, target),
            suites=tuple(suite.split(",")),
            choice=Choice(tuple(cells.split(",")) if cells else (), tasks, seed, store),
            settings=Settings(seed, samples, temperature, max_tokens, turns),
            server=ServerOptions(model, key_env, flavour, window, tokenizer, concurrency),
            budgets=_numbers(budgets, int, "--budgets") if budgets else (),
            prices=cost,
            out=out,
        )
    )


def _numbers(text: str, kind: type, option: str, count: int | None = None) -> tuple:
    try:
        found = tuple(kind(word) for word in text.split(","))
        if count not in (None, len(found)) or any(number < 0 for number in found):
            raise ValueError
    except ValueError:
        wanted = "numbers" if count is None else f"{count} numbers"
        raise ConfigError(
            f"{option} {text!r} is not right: give {wanted} from 0 on, with commas between them"
        ) from None
    return found
