"""Rollouts on vLLM or SGLang servers: ids and log-probs come back, weights go by a shared folder.

V3.2 report, 3.1: rollouts and training are different engines. After each step the trainer writes
its weights as an HF-layout folder and has every server load it in place, by the servers' own
endpoints: SGLang's as in its guide "SGLang for RL Systems" (pause_generation,
update_weights_from_disk, continue_generation); vLLM's, in development mode, as in 0.32's
documentation ("Async Reinforcement Learning": pause, resume) with reload_weights of a path over
collective_rpc, as in its pull request 48284. Neither engine was run with this module: the tests
hold it against doubles that speak these endpoints over HTTP, with a real model behind them.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tokenizers import Tokenizer

from speciale.agents.http import Server
from speciale.agents.sampler import OnIds, Sample, SamplerError
from speciale.agents.server import ServerSampler
from speciale.chat.tokenizer import save_tokenizer
from speciale.engine.params import SamplingParams
from speciale.errors import ConfigError
from speciale.files import explained
from speciale.model import ModelConfig, Transformer, save_model
from speciale.rl.asynchronous import Continuous
from speciale.rl.draws import Draw, Draws
from speciale.rl.recipe import Recipe, ServerSettings
from speciale.rl.rewards.component import Rewards

_FIRST_WAIT_S, _MOST_WAIT_S = 1.0, 60.0  # between two tries of a server that is away
_HEALTH_S = 10.0  # for a server to say that it is well
_MOST_WORDS = 300
_Request = tuple[str, dict[str, Any] | None]  # path, body
_Weights = tuple[int, Path]  # their version and folder


class Served(Continuous):
    """A `Source` whose groups are sampled by the servers of `[rollout.server]`."""

    def __init__(
        self, recipe: Recipe, model: Transformer, tokenizer: Tokenizer, draws: Draws,
        rewards: dict[str, Rewards], version: int,
    ) -> None:  # fmt: skip
        """Writes the first weights; the servers load them before they sample. ConfigError."""
        key = check(recipe)
        self._folder, self._tokenizer = WeightFolder(recipe.rollout.server.weights), tokenizer
        first = self._folder.write(model, tokenizer, version)
        self.fleet = Fleet(recipe, tokenizer, model.config, key, (version, first))
        super().__init__(recipe, self.fleet, draws, rewards, version)

    @property
    def busy(self) -> float:
        return self.fleet.busy

    async def _hand_on(self, model: Transformer, version: int) -> None:
        folder = await asyncio.to_thread(self._folder.write, model, self._tokenizer, version)
        await self.fleet.update(version, folder)

    async def _close_sampler(self) -> None:
        await self.fleet.close()

    async def _group(self, draw: Draw) -> None:
        with self.fleet.group():
            await super()._group(draw)


def check(recipe: Recipe) -> str | None:
    """The servers' key. ConfigError for what servers cannot do or a key that is not there."""
    rollout, objective, settings = recipe.rollout, recipe.objective, recipe.rollout.server
    if objective.keep_sampling_mask and (rollout.top_p < 1 or rollout.top_k):
        raise ConfigError(
            f"recipe {recipe.name!r} has rollout.top_p = {rollout.top_p} and rollout.top_k = "
            f"{rollout.top_k}, but servers do not tell which tokens they left, which objective."
            "keep_sampling_mask needs: set top_p = 1 and top_k = 0, or leave out [rollout.server]"
        )
    if len(set(settings.urls)) < len(settings.urls):
        raise ConfigError(f"rollout.server.urls names a server twice: {settings.urls}")
    key = os.environ.get(settings.key_env) if settings.key_env else None
    if settings.key_env and not key:
        raise ConfigError(
            f"the environment variable {settings.key_env}, which rollout.server.key_env names, is "
            "not set: set it to the servers' key, or leave key_env out"
        )
    if objective.keep_routing and not settings.routing:
        logging.getLogger(__name__).warning(
            "objective.keep_routing has no effect: the servers do not tell their experts (start "
            "them with --enable-return-routed-experts and set rollout.server.routing = true)"
        )
    return key


class WeightFolder:
    """The shared folder: an HF-layout folder a version, of which the last two are kept."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()

    def write(self, model: Transformer, tokenizer: Tokenizer, version: int) -> Path:
        """The version's folder, which is there whole or not at all."""
        folder = self.path / f"version-{version:06d}"
        partial = self.path / f".{folder.name}.partial"
        before = self.path / f"version-{version - 1:06d}"  # some server may still read it
        with explained(self.path):
            shutil.rmtree(partial, ignore_errors=True)
            save_tokenizer(tokenizer, partial)
            save_model(model, partial)
            shutil.rmtree(folder, ignore_errors=True)  # of a step that a killed run lost
            partial.rename(folder)
            for old in (*self.path.glob("version-*"), *self.path.glob(".version-*")):
                if old not in (folder, before):
                    shutil.rmtree(old, ignore_errors=True)
        return folder


class Fleet:
    """The servers as one `Sampler`. The attempts of a group stay on one, for its prefix cache."""

    def __init__(
        self, recipe: Recipe, tokenizer: Tokenizer, config: ModelConfig, key: str | None,
        newest: _Weights,
    ) -> None:  # fmt: skip
        """newest: what each server loads before it samples."""
        settings = recipe.rollout.server
        self.tokenizer, self.window = tokenizer, recipe.rollout.window
        self.members = []
        for url in settings.urls:
            sampler = IdSampler(
                url, tokenizer=tokenizer, kind=settings.kind, model=settings.model,
                window=self.window, api_key=key, timeout_s=recipe.rollout.attempt_seconds,
                experts=config if settings.routing else None,
            )  # fmt: skip
            self.members.append(Member(url, sampler, settings, key, newest))
        self._open, self._since, self._busy = 0, 0.0, 0.0

    @property
    def busy(self) -> float:
        """Seconds in which at least one sample was under way."""
        return self._busy + (time.perf_counter() - self._since if self._open else 0.0)

    @contextmanager
    def group(self) -> Iterator[None]:
        """Inside, all samples are drawn by one server: of those that are there, the one with the
        fewest groups."""
        there = [member for member in self.members if member.version is not None]
        member = min(there or self.members, key=lambda member: member.groups)
        member.groups += 1
        token = _mine.set(member)
        try:
            yield
        finally:
            _mine.reset(token)
            member.groups -= 1

    async def sample(
        self,
        prompt: Sequence[int],
        params: SamplingParams,
        tools: Sequence[Mapping[str, Any]] = (),
        on_ids: OnIds | None = None,
    ) -> Sample:
        if not self._open:
            self._since = time.perf_counter()
        self._open += 1
        try:
            return await _mine.get().sample(prompt, params, on_ids)
        finally:
            self._open -= 1
            if not self._open:
                self._busy += time.perf_counter() - self._since

    async def update(self, version: int, folder: Path) -> None:
        """Returns when all that are there have loaded the weights, or are away."""
        await asyncio.gather(*(member.update(version, folder) for member in self.members))

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self.members))


class Member:
    """One server. Away, it is tried again, at longer and longer intervals, until it has loaded the
    newest weights: one that was started anew has others. (A start takes longer than the seconds for
    which `Server` tries a request again, so none is answered by such weights in between.)"""

    def __init__(
        self, url: str, sampler: IdSampler, settings: ServerSettings, key: str | None,
        newest: _Weights,
    ) -> None:  # fmt: skip
        self.url = url.rstrip("/").removesuffix("/v1")
        self.version: int | None = None  # of its weights; None: it is away
        self.groups = 0  # that are under way on it
        self._kind, self._sampler, self._newest = settings.kind, sampler, newest
        headers = {"authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(settings.update_s, connect=_HEALTH_S)
        self._control = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout)
        self._loading = asyncio.Lock()
        self._absences, self._why = 0, ""
        self._tried = asyncio.Event()  # set, and replaced, after each try
        self._trying: asyncio.Task | None = None
        self._leave("it has no weights of this run yet")

    async def sample(
        self, prompt: Sequence[int], params: SamplingParams, on_ids: OnIds | None
    ) -> Sample:
        """SamplerError where the server is away, goes away or is away meanwhile."""
        if self.version is None:
            await self._tried.wait()
        version, absences = self.version, self._absences
        if version is None:
            raise SamplerError(f"{self.url} is away: {self._why}")
        try:
            sample = await self._sampler.sample(prompt, params, on_ids=on_ids)
        except SamplerError as error:
            if not await self._well():
                self._leave(str(error))
            raise
        if absences != self._absences:
            raise SamplerError(f"{self.url} was away, so nobody knows the weights of a sample")
        told = str(sample.versions[0]) if sample.versions else str(version)  # SGLang tells
        if not told.isdecimal() or int(told) < version:
            self._leave(f"it sampled with weights {told!r} and not {version}: was it restarted?")
            raise SamplerError(f"{self.url} is away: {self._why}")
        # Weights may have come while it was drawn: no token is of older ones than these.
        sample.versions = [version] * len(sample.ids)
        return sample

    async def update(self, version: int, folder: Path) -> None:
        """Has the server load the weights, if it is there; else that comes with the next try."""
        self._newest = (version, folder)
        if self.version is not None:
            try:
                await self._load()
            except SamplerError as error:
                self._leave(str(error))

    async def close(self) -> None:
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        await self._sampler.close()
        await self._control.aclose()

    def _leave(self, why: str) -> None:
        self.version, self._why = None, why
        self._absences += 1
        if self._trying is None or self._trying.done():
            self._trying = asyncio.create_task(self._try_again())

    async def _try_again(self) -> None:
        wait = 0.0
        while self.version is None:
            await asyncio.sleep(wait)
            wait = min(max(2 * wait, _FIRST_WAIT_S), _MOST_WAIT_S)
            try:
                await self._load()
            except SamplerError as error:
                self._why = str(error)
            tried, self._tried = self._tried, asyncio.Event()
            tried.set()

    async def _load(self) -> None:
        """Loads the newest weights, and those that come meanwhile. SamplerError."""
        async with self._loading:
            version = None
            while version != self._newest[0]:
                version, folder = self._newest
                before, loads, after = reload_requests(self._kind, str(folder), version)
                await self._post(before)
                try:
                    for request in loads:
                        await self._post(request)
                except BaseException:
                    # Half of its weights may be new: what it draws from here on counts for nothing.
                    self._absences += 1
                    raise
                finally:
                    await self._post(after)
            self.version = version

    async def _well(self) -> bool:
        with suppress(httpx.HTTPError):
            return (await self._control.get("/health", timeout=_HEALTH_S)).is_success
        return False

    async def _post(self, request: _Request) -> None:
        """Once: who calls tries again. SamplerError where the server does not say that it did."""
        path, body = request
        try:
            response = await self._control.post(path, json=body)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SamplerError(f"{self.url}{path} cannot be had ({error!r})") from error
        said = response.text[:_MOST_WORDS]
        if not response.is_success:
            raise SamplerError(f"{self.url}{path} failed (status {response.status_code}: {said})")
        try:
            answer = response.json()
        except ValueError:
            return  # some answer nothing but their status
        if isinstance(answer, dict) and answer.get("success") is False:
            raise SamplerError(f"{self.url}{path} failed ({said})")


_mine: ContextVar[Member] = ContextVar("mine")  # in a group: its server
_answer: ContextVar[dict[str, Any]] = ContextVar("answer")  # in an attempt: the last one


def reload_requests(
    kind: str, folder: str, version: int
) -> tuple[_Request, list[_Request], _Request]:
    """What to post before, for and after the loading of new weights.

    Requests under way go on over them, and their keys are computed anew: cached keys of the old
    weights would otherwise stay under all later prompts with the same beginning.
    """
    if kind == "vllm":
        call = {"method": "reload_weights", "kwargs": {"weights_path": folder}}
        reset = "/reset_prefix_cache?reset_running_requests=true"
        loads: list[_Request] = [("/collective_rpc", call), (reset, None)]
        return ("/pause?mode=keep", None), loads, ("/resume", None)
    body = {"model_path": folder, "weight_version": str(version), "flush_cache": True}
    loads = [("/update_weights_from_disk", body)]
    return ("/pause_generation", {"mode": "retract"}), loads, ("/continue_generation", {})


class _Recorded(Server):
    """Asks for the experts, and leaves the whole answer to `IdSampler`."""

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/generate":  # vLLM tells whenever it was started so
            body = {**body, "return_routed_experts": True}
        answer = await super().post(path, body)
        _answer.set(answer)
        return answer


class IdSampler(ServerSampler):
    """A `ServerSampler` that waits as long as an attempt may take, and reads the experts."""

    def __init__(
        self, url: str, *, timeout_s: float, experts: ModelConfig | None, **options: Any
    ) -> None:
        """experts: of the model whose experts are asked for; None: they are not."""
        super().__init__(url, **options)
        kind = Server if experts is None else _Recorded
        self._server = kind(self._server.url, options["api_key"], timeout_s=timeout_s)
        self._experts = experts

    async def sample(self, prompt: Sequence[int], *rest: Any, **options: Any) -> Sample:
        sample = await super().sample(prompt, *rest, **options)
        if self._experts is not None:
            tokens = len(prompt) + len(sample.ids)
            try:
                sample.extras["routing"] = routing_of(_answer.get(), tokens, self._experts)
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise SamplerError(
                    f"{self._server.url} does not tell the experts of {tokens} tokens ({error!r}): "
                    "start it with --enable-return-routed-experts, or set server.routing = false"
                ) from error
        return sample

    async def close(self) -> None:
        await self._server.close()


def routing_of(answer: Mapping[str, Any], tokens: int, config: ModelConfig) -> np.ndarray:
    """The experts of all `tokens` of prompt and completion but the last, [tokens - 1, MoE layers,
    K] int16. KeyError, TypeError or ValueError where the answer tells others or none.

    SGLang: int32 in base64; vLLM: an .npy file in base64, or (0.21) lists of prompt and answer.
    """
    if "meta_info" in answer:
        told = np.frombuffer(base64.b64decode(answer["meta_info"]["routed_experts"]), np.int32)
    else:
        told = answer["choices"][0]["routed_experts"]
        if isinstance(told, str):
            told = np.load(io.BytesIO(base64.b64decode(told)), allow_pickle=False)
        else:
            told = np.concatenate([answer["prompt_routed_experts"], told])
    if told.ndim == 1:
        told = told.reshape(tokens - 1, -1, config.num_experts_per_tok)
    told = told[: tokens - 1]
    if told.shape[1] == config.num_hidden_layers:  # dense layers have a row too
        told = told[:, config.first_k_dense_replace :]
    layers = config.num_hidden_layers - config.first_k_dense_replace
    if told.shape != (tokens - 1, layers, config.num_experts_per_tok):
        raise ValueError(f"an array of the shape {list(told.shape)}")
    return told.astype(np.int16)
