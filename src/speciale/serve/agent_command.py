"""`speciale agent`: a question, a model and tools; the run is shown live and can be kept as a
trajectory. The loop is agents/loop.py.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speciale.agents.calls import CallLimits
from speciale.agents.context import STRATEGIES, fewest_steps
from speciale.agents.loop import Budget, Plan, run_agent
from speciale.agents.tools.open_tools import open_tools
from speciale.agents.trajectory import Trajectory, append_trajectory
from speciale.chat.tokenizer import load_tokenizer
from speciale.engine.params import SamplingParams
from speciale.errors import ConfigError, RequestError
from speciale.reference import model_and_text
from speciale.sandbox import Sandbox
from speciale.serve.agent_view import AgentView, summary
from speciale.tasks.environment import Environment


@dataclass(frozen=True)
class Source:
    """Where the model is: a folder, or a server."""

    run: Path | None
    upstream: str | None = None
    mode: str = "chat"  # chat, vllm or sglang: the latter two take ids
    model: str | None = None
    key_env: str | None = None
    tokenizer: Path | None = None
    flavour: str = "openai"
    window: int = 128_000


@dataclass(frozen=True)
class Options:
    tools: str
    context: str
    share: float
    runs: int
    out: Path | None
    unsafe: bool
    system: str
    think: bool
    max_turns: int
    seconds: float | None
    call_seconds: float
    sampling: dict[str, Any]


def run_command(source: Source, question: str, options: Options) -> int:
    """The exit code: 0 where an answer was given."""
    try:
        return asyncio.run(_run(source, question, options))
    except KeyboardInterrupt:
        return 130


async def _run(source: Source, question: str, options: Options) -> int:
    system = [{"role": "system", "content": options.system}] if options.system else []
    messages = [*system, {"role": "user", "content": question}]
    plan = Plan(
        params=SamplingParams(**options.sampling),
        budget=Budget(options.max_turns, seconds=options.seconds),
        limits=CallLimits(options.call_seconds),
        thinking=options.think,
        strategy=STRATEGIES.get(options.context),
        share=options.share,
    )
    view = AgentView()
    about = {
        "model": str(source.run or source.upstream),
        "sampling": options.sampling,
        "context": options.context,
    }
    async with Sandbox(unsafe=options.unsafe) as sandbox, _model(source) as model:

        async def run(number: int) -> Trajectory:
            record = Trajectory(about={**about, "run": number})
            hear = view.hear if options.runs == 1 else None
            try:
                async with _tools(options.tools, sandbox) as tools:
                    await run_agent(model, messages, tools, plan, on_event=hear, trajectory=record)
            finally:
                if options.out is not None and record.started:
                    append_trajectory(options.out, record)
            if options.runs > 1:
                view.screen.remark(f"run {number + 1}: {summary(record)}")
            return record

        if options.runs == 1:
            done = await run(0)
        else:
            done, _ = await fewest_steps(run, options.runs)
    view.end(done)
    if done.stop == "error":
        raise RequestError(done.error or "the model failed")
    return 0 if done.stop == "answer" else 1


def _tools(spec: str, sandbox: Sandbox) -> AbstractAsyncContextManager[Environment | None]:
    return nullcontext() if spec == "none" else open_tools(spec, sandbox)


@asynccontextmanager
async def _model(source: Source) -> AsyncIterator[Any]:
    """A Sampler, or a server of conversations."""
    if source.upstream is None:
        from speciale.agents.embedded import EmbeddedSampler

        if source.run is None:
            raise ConfigError("there is no model: name a run's folder, or a server by --upstream")
        async with EmbeddedSampler.open(source.run, constrain=True) as model:
            yield model
        return
    key = _key(source.key_env)
    if source.mode == "chat":
        from speciale.agents.chat_server import ChatServer

        server = ChatServer(
            source.upstream, source.model or "default", window=source.window, api_key=key,
            flavour=source.flavour,
        )  # fmt: skip
        async with server:
            yield server
        return
    from speciale.agents.server import ServerSampler

    if source.tokenizer is None:
        raise ConfigError(
            f"--mode {source.mode} sends ids: name the model's tokenizer by --tokenizer FOLDER"
        )
    sampler = ServerSampler(
        source.upstream, tokenizer=load_tokenizer(source.tokenizer), kind=source.mode,
        model=source.model or "default", window=source.window, api_key=key,
    )  # fmt: skip
    async with sampler:
        yield sampler


def _key(name: str | None) -> str | None:
    if name is None:
        return None
    if not os.environ.get(name):
        raise ConfigError(f"the environment has no {name}, which --upstream-key-env names")
    return os.environ[name]


def model_and_question(words: Sequence[str], upstream: str | None) -> tuple[Path | None, str]:
    """The command's plain arguments: [RUN] and the question, or with --upstream the question."""
    if not upstream:
        return model_and_text(words, "QUESTION")
    if len(words) != 1:
        raise ConfigError(
            f'{len(words)} arguments were given: give "QUESTION" with --upstream, in quotes'
        )
    return None, words[0]
