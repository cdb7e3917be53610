"""A speedrun that makes its own tasks with tools and ends with RL over them, at its smallest."""

import json
import shutil

import pytest

from micro import write_long_texts, write_micro
from speciale import speedrun
from speciale.errors import ConfigError
from speciale.train.recipe import read_recipe

RL = """\
name = "rl-micro"
model = "none"

[rollout]
groups = 2
group_size = 2
max_tokens = 8
window = 4096
turns = 2
dynamic_sampling = false

[train]
steps = 2
learning_rate = 1e-4

[evaluation]
every = 10
tasks = 1
samples = 1

[domains]
reasoning = { sources = ["problems/chain_sum@1"] }
agents = { sources = ["synth:{store}#starter-chain"], thinking = "on" }
"""


def recipe(folder, rl):
    changes = [
        f'data.sources=["{write_long_texts(folder)}"]',
        "data.agents={tasks = 12, share = 0.5, turns = 1}",
        "data.context=4000", "data.conversations=12", "data.text_megabytes=1",
        "model.max_position_embeddings=4096", "pretrain.context=64", "warmup.context=64",
        "sparse.context=64", f'rl="{rl}"',
    ]  # fmt: skip
    micro = write_micro(folder, pretrain=2, warmup=1, sparse=1, sft=1)
    return read_recipe(str(micro), changes)


def test_what_rl_lacks_is_told_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(speedrun, "make_tasks", lambda run: pytest.fail("work has begun"))
    with pytest.raises(ConfigError, match="no-such-recipe"):
        speedrun.speedrun(tmp_path / "run", recipe(tmp_path, "no-such-recipe"), "test")


@pytest.mark.slow
def test_tasks_stages_and_rl(tmp_path):
    (tmp_path / "rl.toml").write_text(RL)
    given, out = recipe(tmp_path, tmp_path / "rl.toml"), tmp_path / "run"
    speedrun.speedrun(out, given, "test")
    store = json.loads((out / "tasks" / "store.json").read_bytes())
    assert store and len(list((out / "tasks" / "families").iterdir())) >= 1
    lines = [json.loads(line) for line in (out / "rl" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["kind"] == "step"] == [1, 2]
    (first, last) = [line["rows"] for line in lines if line["kind"] == "eval"]
    assert {row["domain"] for row in first} == {row["domain"] for row in last}
    assert {row["domain"] for row in first} == {"reasoning", "agents"}
    assert (out / "rl" / "report.html").exists()
    page = (out / "report.html").read_text()
    assert "rl-micro (rl)" in page and "No RL from this model" not in page

    # Finished, it does nothing again; without the RL model, RL alone.
    before = (out / "model" / "model.safetensors").stat().st_mtime_ns
    (out / "rl" / "metrics.jsonl").unlink()
    speedrun.speedrun(out, given, "test")
    assert not (out / "rl" / "metrics.jsonl").exists()
    shutil.rmtree(out / "rl")
    speedrun.speedrun(out, given, "test")
    assert (out / "rl" / "model" / "config.json").exists()
    assert (out / "model" / "model.safetensors").stat().st_mtime_ns == before
