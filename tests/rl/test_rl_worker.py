"""Our engine as rollout servers, real processes: what they answer, whom they refuse, and RL that
goes on when one is killed."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import httpx
import pytest
import torch

from rl.small import letter_tasks, small_model, small_recipe
from speciale.agents import http
from speciale.agents.scripted import byte_tokenizer
from speciale.agents.server import ServerSampler
from speciale.cli import app
from speciale.engine.llm import LLM
from speciale.engine.params import SamplingParams
from speciale.model import load_model
from speciale.rl import draws, servers, trainer
from speciale.rl.run import RlRun
from speciale.rl.servers import WeightFolder
from speciale.rl.trainer import Trainer

KEY = "a key of the workers"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("model"))


@contextmanager
def worker(model, port=0):
    """(process, URL)."""
    command = [sys.executable, "-m", "speciale", "rl-worker", str(model), "--port", str(port)]
    environment = {**os.environ, "SPECIALE_WORKERS": KEY}
    process = subprocess.Popen(
        [*command, "--key-env", "SPECIALE_WORKERS"], env=environment, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        assert " on http://127.0.0.1:" in line, line
        yield process, line.split(" on ")[1].strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def running(model):
    with worker(model) as (_, url):
        yield url


async def sampled(url, prompt, **settings):
    async with ServerSampler(
        url, tokenizer=byte_tokenizer(), kind="sglang", window=256, api_key=KEY
    ) as sampler:
        return await sampler.sample(prompt, SamplingParams(**settings))


@pytest.mark.anyio
async def test_it_samples_what_the_engine_samples(model, running):
    prompt, settings = [5, 6, 7, 8], dict(max_tokens=12, seed=3)
    ours = await sampled(running, prompt, **settings)
    [theirs] = LLM(model).generate([prompt], SamplingParams(**settings))[0].completions
    assert ours.ids == theirs.ids
    assert torch.allclose(torch.tensor(ours.logprobs), torch.tensor(theirs.logprobs), atol=1e-4)


@pytest.mark.anyio
async def test_new_weights_are_loaded_and_bad_ones_leave_the_old(model, running, tmp_path):
    def update(folder):
        body = {"model_path": str(folder), "weight_version": "7", "flush_cache": True}
        headers = {"authorization": f"Bearer {KEY}"}
        return httpx.post(f"{running}/update_weights_from_disk", json=body, headers=headers).json()

    settings = dict(max_tokens=8, temperature=0.0)
    before = await sampled(running, [1, 2, 3], **settings)
    assert "does not exist" in update(tmp_path / "nowhere")["message"]
    assert (await sampled(running, [1, 2, 3], **settings)).ids == before.ids
    changed = load_model(model)
    with torch.no_grad():
        changed.lm_head.weight.neg_()
    folder = WeightFolder(tmp_path).write(changed, byte_tokenizer(), 7)
    assert update(folder)["success"]
    after = await sampled(running, [1, 2, 3], **settings)
    assert after.ids != before.ids and set(after.versions) == {"7"}
    assert update(model)["success"]


def test_what_it_refuses(running):
    headers = {"authorization": f"Bearer {KEY}"}
    body = {"input_ids": [1], "sampling_params": {"max_new_tokens": 2}}
    for given in ({}, {"authorization": "Bearer another"}):
        assert httpx.post(f"{running}/generate", json=body, headers=given).status_code == 401
    for bad in ({}, {"input_ids": "text"}, {**body, "input_ids": [10**6]}, [1],
                {**body, "sampling_params": {"max_new_tokens": -1}}):  # fmt: skip
        answer = httpx.post(f"{running}/generate", json=bad, headers=headers)
        assert answer.status_code == 400 and answer.json()["error"], bad
    assert httpx.post(f"{running}/generate", json=body, headers=headers).status_code == 200


def test_a_worker_that_others_reach_needs_a_key(model, capsys, monkeypatch):
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, ["rl-worker", str(model), "--host", "0.0.0.0"])
    assert "open to others" in str(result.exception)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    result = CliRunner().invoke(app, ["rl-worker", str(model), "--key-env", "NO_SUCH_KEY"])
    assert "NO_SUCH_KEY" in str(result.exception)


class WatchedTrainer(Trainer):
    """Notes what was learnt from, and calls `after(step)` behind each step."""

    def __init__(self, run, after):
        super().__init__(run)
        self.after, self.learnt = after, []

    def _learn(self, batch):
        self.learnt.append(batch.kept)
        return super()._learn(batch)

    def _save(self, source):
        super()._save(source)
        self.after(self.step)


@pytest.mark.slow
def test_rl_goes_on_when_a_worker_is_killed_and_takes_it_back(model, tmp_path, monkeypatch):
    monkeypatch.setattr(draws, "load_tasks", letter_tasks)
    monkeypatch.setattr(http, "_WAIT_S", 0.001)
    monkeypatch.setattr(trainer, "write_report", lambda _: None)
    monkeypatch.setattr(servers, "_FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(servers, "_MOST_WAIT_S", 0.2)
    monkeypatch.setenv("SERVERS_KEY", KEY)
    with worker(model) as (_, stays), worker(model) as (goes, url):
        server = {"kind": "sglang", "urls": [stays, url], "key_env": "SERVERS_KEY",
                  "routing": True, "weights": str(tmp_path / "weights")}  # fmt: skip
        recipe = small_recipe(
            model, rollout={"max_tokens": 4, "staleness": 1, "server": server},
            train={"steps": 8}, evaluation={"every": 100, "tasks": 1},
        )  # fmt: skip
        run = RlRun.create(tmp_path / "run", recipe, "test")
        revived = []

        def after(step):
            if step == 2:
                goes.send_signal(signal.SIGKILL)
                goes.wait()
            elif step == 5:
                entered = worker(model, int(url.rsplit(":", 1)[1]))
                revived.append((entered, entered.__enter__()))

        watched = WatchedTrainer(run, after)
        try:
            watched.train()
            headers = {"authorization": f"Bearer {KEY}"}
            body = {"input_ids": [1], "sampling_params": {"max_new_tokens": 1}}
            told = httpx.post(f"{url}/generate", json=body, headers=headers).json()
            assert told["meta_info"]["weight_version"] == "8"  # it has the newest weights
        finally:
            for entered, _ in revived:
                entered.__exit__(None, None, None)
    steps = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    steps = [line for line in steps if line["kind"] == "step"]
    assert len(steps) == 8 and all(step["groups"]["kept"] >= 3 for step in steps)
    assert sum(step["failures"]["sampler"] for step in steps) > 0  # the kill was felt
    numbers = [group.number for groups in watched.learnt for group in groups]
    assert len(numbers) == len(set(numbers))  # no group, so no sample, twice
    rollouts = [id(r) for groups in watched.learnt for group in groups for r in group.rollouts]
    assert len(rollouts) == len(set(rollouts))
