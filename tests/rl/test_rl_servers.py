"""RL whose rollouts are on servers: ids, weights, staleness, servers that go away and come back.

vLLM and SGLang cannot run here: doubles answer over real HTTP as their documentation says, with a
real model of their own behind them, so that wrong ids or weights show in the log-prob gap.
"""

import asyncio
import base64
import io
import json
import logging
import threading
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from http_server import http_server
from model.configs import random_model
from rl.small import letter_tasks, small_model, small_recipe
from speciale.agents import http
from speciale.agents.sampler import SamplerError
from speciale.chat.tokenizer import load_tokenizer
from speciale.engine.engine import Engine
from speciale.engine.params import SamplingParams
from speciale.errors import ConfigError, TrainingError
from speciale.model import load_model
from speciale.rl import draws, servers, trainer
from speciale.rl.batches import sampler_core
from speciale.rl.recipe import read_recipe
from speciale.rl.run import RlRun
from speciale.rl.servers import Fleet, WeightFolder, check
from speciale.rl.trainer import Trainer
from speciale.train.checkpointing import load_tensors


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(draws, "load_tasks", letter_tasks)
    monkeypatch.setattr(http, "_WAIT_S", 0.001)
    monkeypatch.setattr(trainer, "write_report", lambda _: None)  # seconds of drawing
    monkeypatch.setattr(servers, "_FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(servers, "_MOST_WAIT_S", 0.05)


class Double:
    """A server of a kind: it begins with other weights than the run, as after a restart."""

    def __init__(self, kind, config):
        self.kind, self.config = kind, config
        self.engine = Engine(sampler_core(random_model(config, 7), small_recipe("m").rollout, 0))
        self.version = "default"
        self.paused = self.reset = False
        self.going = threading.Event()
        self.going.set()
        self.slow = threading.Event()
        self.slow.set()  # else samples wait
        self.posts = []  # paths, with what tells them apart
        self.samples, self.prompts = 0, set()
        self.refusals = 0  # of loads to come
        self.first = self.weights()
        self.crash_at, self.crashes, self.back = None, 0, 0.0  # samples; times; when it is there
        self.deaf = False  # says that it loads weights, and does not
        self.app = Starlette(routes=[Route("/{_:path}", self._answer, methods=["GET", "POST"])])

    def weights(self):
        return {n: t.clone() for n, t in self.engine.core.model.state_dict().items()}

    async def _answer(self, request: Request):
        path = request.url.path
        if self.crash_at is not None and self.samples >= self.crash_at:
            self.crash_at, self.back = None, time.monotonic() + 0.6
            self.crashes += 1
            await self.engine.update_weights(self.first)
        crashes = self.crashes
        if time.monotonic() < self.back:
            return Response("engine dead", 503)
        if request.headers.get("authorization") != "Bearer secret":
            return Response("who are you?", 401)
        if path == "/health":
            return Response()
        answer = {
            "/v1/completions": self._completions, "/generate": self._generate,
            "/pause": self._pause, "/pause_generation": self._pause,
            "/collective_rpc": self._reload, "/update_weights_from_disk": self._reload,
            "/reset_prefix_cache": self._reset,
            "/resume": self._resume, "/continue_generation": self._resume,
        }[path]  # fmt: skip
        try:
            body = json.loads(await request.body() or b"{}")
            said = await answer(body, request.query_params)
            return JSONResponse(said) if crashes == self.crashes else Response("engine dead", 503)
        except ClientDisconnect:
            return Response()

    async def _sample(self, prompt, settings, limit):
        self.samples += 1
        self.prompts.add(tuple(prompt))
        while not (self.going.is_set() and self.slow.is_set()):
            await asyncio.sleep(0.005)
        params = SamplingParams(
            max_tokens=limit, temperature=settings["temperature"], seed=settings["seed"],
            stop_ids=settings["stop_token_ids"], routing=True,
        )  # fmt: skip
        [done] = await self.engine.complete(prompt, params)
        return done

    async def _completions(self, body, _query):
        assert self.kind == "vllm"
        assert body["model"] == "policy" and body["return_token_ids"]
        done = await self._sample(body["prompt"], body, body["max_tokens"])
        file = io.BytesIO()
        np.save(file, done.routing.numpy().astype(np.uint8))  # of the MoE layers
        choice = {
            "finish_reason": done.finish_reason, "token_ids": done.ids,
            "logprobs": {"token_logprobs": done.logprobs},
            "routed_experts": base64.b64encode(file.getvalue()).decode(),
        }  # fmt: skip
        return {"choices": [choice], "usage": {}}

    async def _generate(self, body, _query):
        assert self.kind == "sglang"
        settings = body["sampling_params"]
        settings["seed"] = settings["sampling_seed"]
        done = await self._sample(body["input_ids"], settings, settings["max_new_tokens"])
        meta = {
            "finish_reason": {"type": done.finish_reason}, "weight_version": self.version,
            "output_token_logprobs": [[p, n, None] for p, n in zip(done.logprobs, done.ids)],
        }  # fmt: skip
        if body.get("return_routed_experts"):
            told = done.routing.numpy().astype(np.int32)  # a row for the dense layer too
            told = np.concatenate((np.zeros_like(told[:, :1]), told), 1)
            meta["routed_experts"] = base64.b64encode(told.tobytes()).decode()
        return {"meta_info": meta}

    async def _pause(self, body, query):
        mode = query.get("mode") or body["mode"]
        assert mode == {"vllm": "keep", "sglang": "retract"}[self.kind]
        self.posts.append("pause")
        self.going.clear()
        return {"status": "paused"}

    async def _reload(self, body, _query):
        assert not self.going.is_set(), "weights changed under requests that run"
        if self.kind == "vllm":
            assert body["method"] == "reload_weights"
            folder = body["kwargs"]["weights_path"]
        else:
            assert body["flush_cache"] is True
            folder, self.version = body["model_path"], body["weight_version"]
        self.posts.append(folder.rsplit("/", 1)[-1])
        if self.refusals:
            self.refusals -= 1
            return {"success": False, "message": "a shape differs"}
        if not self.deaf:
            tensors = load_model(folder).state_dict()
            await self.engine.update_weights(tensors, recompute=True)
        return {"success": True, "message": ""} if self.kind == "sglang" else {"results": [None]}

    async def _reset(self, _body, query):
        assert self.kind == "vllm" and query["reset_running_requests"] == "true"
        self.posts.append("reset")
        return {"success": True}

    async def _resume(self, _body, _query):
        self.posts.append("resume")
        self.going.set()
        if not self.slow.is_set():  # samples are faster than this answer
            self.slow.set()
            await asyncio.sleep(0.2)
        return {"status": "resumed"}


@contextmanager
def doubles(kind, model, count=1):
    """(doubles, table of the recipe without its folder)."""
    config = load_model(model).config
    found = [Double(kind, config) for _ in range(count)]
    with ExitStack() as stack:
        urls = [stack.enter_context(http_server(double.app)) for double in found]
        try:
            yield found, {"kind": kind, "urls": [f"{url}/v1" for url in urls], "model": "policy",
                          "key_env": "SERVERS_KEY"}  # fmt: skip
        finally:
            for double in found:
                double.going.set()
                asyncio.run(double.engine.close())


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("SERVERS_KEY", "secret")


class ServedTrainer(Trainer):
    """A trainer whose source is the servers, and who can be stopped before a state is saved."""

    until = None

    def make_source(self):
        self.source = super().make_source()
        return self.source

    def _save(self, source):
        if self.step == self.until:
            raise KeyboardInterrupt
        super()._save(source)


def recipe_of(model, table, folder, *, rollout=None, **tables):
    tables = {"train": {"steps": 4}, "evaluation": {"every": 100, "tasks": 1}, **tables}
    server = {**table, "weights": str(folder / "weights")}
    return small_recipe(
        model, rollout={"max_tokens": 4, "server": server, **(rollout or {})}, **tables
    )


def trained(folder, recipe, until=None):
    run = RlRun.create(folder / "run", recipe, "test")
    done = ServedTrainer(run)
    done.until = until
    try:
        done.train()
    except KeyboardInterrupt:
        assert until is not None
    return run, done


def has_weights_of(double, trainer):
    weights = double.weights()
    return all(torch.equal(weights[n], t) for n, t in trainer.model.state_dict().items())


def steps_of(run):
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [line for line in lines if line["kind"] == "step"]


@pytest.mark.parametrize(("kind", "steps"), [("vllm", 8), ("sglang", 3)])
def test_a_run_over_servers_learns_and_its_weights_reach_them(tmp_path, model, kind, steps):
    """Synchronous, so that sampler and trainer have the same weights: any difference of ids,
    weights or routing would be in the gap."""
    with doubles(kind, model, 2) as (found, table):
        train = {"steps": steps, "learning_rate": 1e-2}
        recipe = recipe_of(model, {**table, "routing": True}, tmp_path, train=train)
        run, done = trained(tmp_path, recipe)
        records = steps_of(run)
        assert max(record["gap"]["max"] for record in records) < 1e-3
        assert all(record["routing_agreement"] > 0.9 for record in records)  # told, and the same
        assert all(record["staleness"]["max"] == 0 for record in records)
        assert all(record["groups"]["stale"] == 0 for record in records)  # it waits for the loads
        if steps > 7:
            scores = [record["score"] for record in records]
            assert sum(scores[-4:]) / 4 > sum(scores[:4]) / 4 + 0.1, scores
        for double in found:
            assert has_weights_of(double, done)
            loads = [post for post in double.posts if post.startswith("version")]
            assert loads == [f"version-{n:06d}" for n in range(steps + 1)]
            cycle = ["pause", loads[-1], *(["reset"] if kind == "vllm" else []), "resume"]
            assert double.posts[-len(cycle) :] == cycle
        shares = [double.samples for double in found]
        assert min(shares) > 0.3 * sum(shares), shares
        assert not found[0].prompts & found[1].prompts  # a group stays on one server
    kept = sorted(path.name for path in (tmp_path / "weights").iterdir())
    assert kept == [f"version-{n:06d}" for n in (steps - 1, steps)]


def test_weights_that_do_not_arrive_show_in_the_gap(tmp_path, model):
    """The fault that the test above would miss if its gap were always small."""
    with doubles("vllm", model) as ([double], table):
        double.deaf = True
        run, _ = trained(tmp_path, recipe_of(model, table, tmp_path, train={"steps": 1}))
        assert steps_of(run)[0]["gap"]["mean"] > 0.01


def test_staleness_keeps_its_bound_and_a_killed_run_goes_on(tmp_path, model):
    with doubles("sglang", model, 2) as (_, table):
        rollout = {"staleness": 2, "groups": 2}
        recipe = recipe_of(model, table, tmp_path, rollout=rollout, train={"steps": 5})
        run, _ = trained(tmp_path, recipe, until=3)
        _, about = load_tensors(run.state)
        assert about["step"] == 2 and about["waiting"]["ready"] + about["waiting"]["under_way"]
        run, _ = trained(tmp_path, recipe)
        steps = steps_of(run)
        assert [step["step"] for step in steps] == list(range(1, 6))
        ages = [step["staleness"]["max"] for step in steps]
        assert 0 < max(ages) <= 2, ages
        assert all(step["groups"]["kept"] == 2 for step in steps)


def test_a_server_that_goes_away_costs_its_attempts_and_comes_back(tmp_path, model, monkeypatch):
    monkeypatch.setattr(servers, "_FIRST_WAIT_S", 0.1)  # so that the run does not end before
    with doubles("vllm", model, 2) as ([stays, goes], table):
        goes.crash_at = 12
        rollout = {"groups": 2}
        recipe = recipe_of(model, table, tmp_path, rollout=rollout, train={"steps": 12})
        run, done = trained(tmp_path, recipe)
        steps = steps_of(run)
        assert len(steps) == 12
        assert 0 < sum(step["failures"]["sampler"] for step in steps) < 0.5 * stays.samples
        assert goes.samples > 20  # it came back, and was used again
        assert has_weights_of(goes, done)
        assert max(step["gap"]["max"] for step in steps) < 1e-3  # nothing was by other weights


def test_without_any_server_the_run_ends_and_keeps_its_state(tmp_path, model):
    with doubles("sglang", model) as (_, table):
        recipe = recipe_of(model, table, tmp_path, rollout={"groups": 2}, train={"steps": 9})
        run, _ = trained(tmp_path, recipe, until=2)
    with pytest.raises(TrainingError, match=r"3 steps in a row.*is away: .*cannot be had.*goes on"):
        trained(tmp_path, recipe)
    assert load_tensors(run.state)[1]["step"] == 4  # two of the three, and the one before


@contextmanager
def fleet_of(kind, model, folder):
    """(fleet, double) for coroutines; the weights are of version 3."""
    with doubles(kind, model) as ([double], table):
        recipe = recipe_of(model, table, folder)
        tokenizer, loaded = load_tokenizer(model), load_model(model)
        newest = (3, WeightFolder(folder / "weights").write(loaded, tokenizer, 3))
        yield lambda: Fleet(recipe, tokenizer, loaded.config, "secret", newest), double


PARAMS = SamplingParams(max_tokens=4, seed=1, stop_ids=(0,))


def test_a_server_that_was_restarted_is_given_the_weights_again(tmp_path, model):
    """SGLang tells by which weights it sampled."""

    async def ask(fleet):
        with fleet.group():
            first = await fleet.sample([5, 6, 7], PARAMS)
            double.version = "default"
            with pytest.raises(SamplerError, match="weights 'default' and not 3"):
                await fleet.sample([5, 6, 7], PARAMS)
            again = await fleet.sample([5, 6, 7], PARAMS)
        await fleet.close()
        return first, again

    with fleet_of("sglang", model, tmp_path) as (fleet, double):
        first, again = asyncio.run(run_with(fleet, ask))
        assert first.ids == again.ids and again.versions == [3] * len(again.ids)
        assert double.posts.count("version-000003") == 2


def test_a_server_that_does_not_answer_is_away_until_it_has_the_weights(tmp_path, model):
    async def ask(fleet):
        with fleet.group():
            await fleet.sample([5, 6, 7], PARAMS)
            double.back = time.monotonic() + 0.5
            with pytest.raises(SamplerError, match="did not answer"):
                await fleet.sample([5, 6, 7], PARAMS)
            with pytest.raises(SamplerError, match=r"is away: .*engine dead"):
                await fleet.sample([5, 6, 7], PARAMS)
            while fleet.members[0].version is None:
                await asyncio.sleep(0.01)
            await fleet.sample([5, 6, 7], PARAMS)
        await fleet.close()

    with fleet_of("vllm", model, tmp_path) as (fleet, double):
        asyncio.run(run_with(fleet, ask))
        assert double.posts.count("version-000003") == 2


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_load_that_fails_spoils_what_was_under_way_and_is_tried_again(tmp_path, model, kind):
    async def ask(fleet):
        with fleet.group():
            await fleet.sample([5, 6, 7], PARAMS)  # it is there
            double.refusals = 1
            double.slow.clear()
            under_way = asyncio.create_task(fleet.sample([5, 6, 8], PARAMS))
            while double.samples < 2:
                await asyncio.sleep(0.005)
            await fleet.update(4, folder.write(load_model(model), load_tokenizer(model), 4))
            with pytest.raises(SamplerError, match="nobody knows the weights"):
                await under_way
            after = await fleet.sample([5, 6, 7], PARAMS)
        await fleet.close()
        return after

    folder = WeightFolder(tmp_path / "weights")
    with fleet_of(kind, model, tmp_path) as (fleet, double):
        after = asyncio.run(run_with(fleet, ask))
        assert after.versions == [4] * len(after.ids)
        failed = ["pause", "version-000004", "resume"]  # it goes on also where the load failed
        assert [post for post in double.posts if post != "reset"][-6:] == 2 * failed


async def run_with(fleet, ask):
    return await ask(fleet())


def test_what_servers_cannot_do_is_refused_or_said(tmp_path, model, caplog, monkeypatch):
    table = {"kind": "vllm", "urls": ["http://a"]}
    with pytest.raises(
        ConfigError, match=r"top_p = 0\.9 .*keep_sampling_mask needs: set top_p = 1"
    ):
        check(recipe_of(model, table, tmp_path, rollout={"top_p": 0.9}))
    off = {"objective": {"keep_sampling_mask": False}}
    with caplog.at_level(logging.WARNING):
        assert check(recipe_of(model, table, tmp_path, rollout={"top_p": 0.9}, **off)) is None
    assert "keep_routing has no effect" in caplog.text
    with pytest.raises(ConfigError, match="names a server twice"):
        check(recipe_of(model, {**table, "urls": ["http://a", "http://a"]}, tmp_path))
    with pytest.raises(ConfigError, match="variable SERVERS_NONE"):
        check(recipe_of(model, {**table, "key_env": "SERVERS_NONE"}, tmp_path))


def test_the_cluster_recipe_parses():
    recipe = read_recipe("cluster", ["store=tasks"])
    assert 2 <= recipe.rollout.staleness <= 4 and recipe.rollout.window >= 32768
    assert recipe.rollout.server.urls and check(recipe) is None
    assert {"rubric"} & {
        name for d in recipe.domains.values() for name in d.rewards.model_fields_set
    }
    for name in recipe.domains:
        assert draws.cells_of(name, recipe.sources(name))
