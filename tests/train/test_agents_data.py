"""Agents' solved tasks in a run's data: what of them is learnt, and a store that is not there."""

import asyncio
import json

import pytest

from micro import write_long_texts, write_micro
from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.synth.gates import gates_json, judge
from speciale.synth.gates.gate import Gate, Judged
from speciale.synth.starter import make
from speciale.tasks.synthesised.family import Family, write_family
from speciale.train.conversations import PackedConversations
from speciale.train.prepare import prepare
from speciale.train.recipe import read_recipe
from speciale.train.run import Run

_ASKED = "Here are the functions available"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Tasks of one environment, those that gates accept."""
    root = tmp_path_factory.mktemp("tasks")
    found = make({
        "author": "starter", "key": "starter-chain", "category": "chain", "domain": "staff-a",
        "seed": 0, "index": 0,
    })  # fmt: skip
    trained = [item for item in found.tasks.items() if item[1].about.metadata["split"] == "train"]
    few = Family(found.about, found.files, dict(trained[:4]))
    box = Sandbox()
    judged = {
        number: Judged(one.digest, (*one.gates, Gate(7, True)))
        for number, one in asyncio.run(judge(few, box)).items()
    }
    box.close()
    folder = root / "families" / few.about.id
    folder.mkdir(parents=True)
    write_family(folder, few)
    (folder / "gates.json").write_text(json.dumps(gates_json(judged)))
    return root


def run_of(folder, store, **agents):
    table = {"store": str(store), "share": 0.5, "turns": 2} | agents
    changes = [
        f'data.sources=["{write_long_texts(folder)}"]', "data.text_megabytes=1",
        f"data.agents={json.dumps(table).replace(': ', ' = ')}", "data.context=4000",
        "data.conversations=12", "model.max_position_embeddings=4096",
    ]  # fmt: skip
    return Run.create(folder / "run", read_recipe(str(write_micro(folder)), changes), "test")


def test_only_what_the_agent_says_is_learnt(tmp_path, store):
    run = run_of(tmp_path, store, share=1.0)
    tokenizer = prepare(run)
    batch = PackedConversations(run.data / "chat.npy").batch(0, 1, 0)
    ids, learn = batch.ids[0].tolist(), batch.learn[0].tolist()
    learnt = tokenizer.decode([i for i, yes in zip(ids, learn) if yes], skip_special_tokens=False)
    given = tokenizer.decode([i for i, yes in zip(ids, learn) if not yes])
    assert '<｜DSML｜invoke name="boss">' in learnt and '<｜DSML｜invoke name="age">' in learnt
    assert _ASKED not in learnt and "<result>" not in learnt
    assert _ASKED in given and "<result>" in given


def test_a_store_that_is_missing_is_said(tmp_path):
    with pytest.raises(DataError, match="speciale synth starter"):
        prepare(run_of(tmp_path, tmp_path / "nothing"))
