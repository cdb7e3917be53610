"""`speciale anatomy`: variants that lack a stage, what they share, and the table."""

import errno
import json
import os

import pytest

from micro import write_micro
from speciale.anatomy import run as anatomy_run
from speciale.anatomy.recipe import Anatomy, Variant, read_anatomy
from speciale.anatomy.run import MEASURES, run_anatomy
from speciale.anatomy.sharing import stage_key, take_over
from speciale.anatomy.table import markdown
from speciale.errors import ConfigError, NoSignalError
from speciale.model import ModelConfig
from speciale.train.recipe import STAGES, read_recipe
from speciale.train.run import Run

RL = """\
name = "rl-micro"
model = "none"

[rollout]
groups = 2
group_size = 2
max_tokens = 8
window = 256
dynamic_sampling = false

[train]
steps = 1
learning_rate = 1e-4

[evaluation]
every = 10
tasks = 1
samples = 1

[domains]
reasoning = { sources = ["problems/chain_sum@1"] }
more = { sources = ["problems/gcd@1"] }
"""


def micro_anatomy(folder, *variants):
    folder.mkdir(exist_ok=True)
    base = write_micro(folder / "source", pretrain=2, warmup=1, sparse=1, sft=1)
    (folder / "rl.toml").write_text(RL)
    return Anatomy(
        name="micro", base=str(base), rl=str(folder / "rl.toml"), tasks=2, samples=2,
        max_tokens=8, variants=list(variants),
    )  # fmt: skip


def test_each_variant_of_ours_shares_the_stages_before_the_one_that_it_lacks():
    anatomy = read_anatomy("anatomy")
    recipes = {variant.name: anatomy.train_recipe(variant) for variant in anatomy.variants}
    whole = recipes["all stages"]
    shared = {
        name: [s for s in STAGES if stage_key(recipe, s) == stage_key(whole, s)]
        for name, recipe in recipes.items()
    }
    base = read_recipe("laptop-agents")  # so `--share` takes all of a finished speedrun
    assert all(stage_key(base, s) == stage_key(whole, s) for s in STAGES)
    assert shared["no RL"] == shared["reasoning-only RL"] == list(STAGES)
    assert shared["no SFT"] == shared["no synthesis"] == list(STAGES[:3])
    for name in ("no warm-up", "dense only", "window in place of DSA"):
        assert shared[name] == ["pretrain"], name


def test_a_variant_beside_one_that_is_not_there(tmp_path):
    whole = Variant(name="whole")
    less = Variant(name="less", beside="whole")
    with pytest.raises(ValueError, match="stands beside 'whole', which does not come before"):
        micro_anatomy(tmp_path / "order", less, whole)
    with pytest.raises(ValueError, match="two variants 'whole'"):
        micro_anatomy(tmp_path / "twice", whole, whole)
    found = micro_anatomy(tmp_path / "domain", Variant(name="more", domains=["reasoning", "tools"]))
    with pytest.raises(ConfigError, match="has no domain 'tools', only reasoning, more"):
        found.rl_recipe(found.variants[0], "m", None)


def test_nothing_of_another_recipe_is_taken_over(tmp_path):
    found = micro_anatomy(
        tmp_path, Variant(name="whole"), Variant(name="dense", changes=["model.attention=dense"])
    )
    first, second = (
        Run.create(tmp_path / v.name, found.train_recipe(v), "test") for v in found.variants
    )
    for stage in STAGES:
        first.finished(stage).write_bytes(stage.encode())
        first.log(stage=stage, kind="stage")
    take_over(second, [first])
    assert [stage for stage in STAGES if second.finished(stage).exists()] == ["pretrain"]
    assert [json.loads(line)["stage"] for line in second.metrics.open()] == ["pretrain"]
    take_over(second, [first])  # again: nothing twice
    assert len(second.metrics.read_text().splitlines()) == 1


def test_a_run_made_elsewhere_is_shared_where_it_is_alike(tmp_path, monkeypatch):
    agents = ["data.agents.tasks=3"]
    found = micro_anatomy(
        tmp_path,
        Variant(name="whole", changes=agents),
        Variant(name="less", changes=["data.agents.tasks=3", "data.agents.share=0.1"]),
        Variant(name="other", changes=["data.agents.tasks=4"]),
    )
    runs = {
        v.name: Run.create(tmp_path / "there" / v.name, found.train_recipe(v), "test")
        for v in found.variants
    }
    whole = runs["whole"]
    (whole.folder / "tasks").mkdir()
    (whole.data / "train.tokens").write_text("tokens")
    (whole.data / "chat.npy").write_text("conversations")

    def on_another_disk(source, target):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", on_another_disk)
    for name in ("less", "other"):
        take_over(runs[name], [whole])
    assert (runs["less"].folder / "tasks").resolve() == (whole.folder / "tasks").resolve()
    assert [path.name for path in runs["less"].data.iterdir()] == ["train.tokens"]
    assert (runs["less"].data / "train.tokens").read_text() == "tokens"
    assert not (runs["other"].folder / "tasks").exists()
    assert list(runs["other"].data.iterdir()) == []


def test_another_attention_is_kept_with_the_model_and_sparse_is_not_told():
    shape = {"num_hidden_layers": 1, "first_k_dense_replace": 1}
    window = ModelConfig.from_dict({**shape, "attention": "window"})
    assert ModelConfig.from_dict(window.to_dict()).attention == "window"
    assert "attention" not in ModelConfig.from_dict(shape).to_dict()
    with pytest.raises(ConfigError, match="attention"):
        ModelConfig.from_dict({**shape, "attention": "linear"})


def test_the_table_has_a_star_only_where_chance_would_hardly_do_so():
    row = {"variant": "whole", "beside": None, "claim": "", "loss": 2.0, "recall": 0.9}
    scored = {"pass1": 0.5, "interval": [0.4, 0.6]}
    changed = {"difference": -0.2, "significant": True}
    less = {**row, "variant": "less", "beside": "whole", "claim": "it helps", "recall": None,
            "reasoning": scored, "reasoning change": changed}  # fmt: skip
    table = markdown([{**row, "reasoning": scored}, less])
    assert "| less | whole | 2.000 | – | 50.0% (40 to 60) | -20.0* | it helps |" in table
    less["reasoning change"]["significant"] = False
    less["reasoning"] = {"pass1": None, "interval": None}
    assert "| not measured | -20.0 |" in markdown([row, less])


def test_rl_that_finds_nothing_to_learn_from_is_a_finding(tmp_path, monkeypatch):
    """The variant is asked as RL left it, and the table says so; again, nothing is tried."""
    whole = Variant(name="whole")
    found = micro_anatomy(tmp_path, whole)
    run = Run.create(tmp_path / "run", found.train_recipe(whole), "test")
    tried = []

    class Empty:
        def __init__(self, rl):
            self.model = rl.model
            tried.append(rl.folder)

        def train(self):
            raise NoSignalError("of the last 4 groups 0 were all right and the others all wrong")

        def finish(self):
            self.model.mkdir()
            (self.model / "config.json").write_text("{}")

    monkeypatch.setattr(anatomy_run, "Trainer", Empty)
    for _ in range(2):
        place, stopped = anatomy_run._reinforced(found, whole, run, None, "test")
        assert place == run.folder / "rl" and stopped.startswith("of the last 4 groups")
    assert tried == [run.folder / "rl"]
    row = {"variant": "whole", "beside": None, "claim": "", "loss": 2.0, "recall": None}
    table = markdown([{**row, "RL stopped": stopped}])
    assert "| whole; RL ended early, with nothing to learn from |" in table


@pytest.mark.slow
def test_variants_are_trained_asked_and_compared(tmp_path):
    anatomy = micro_anatomy(
        tmp_path,
        Variant(name="whole"),
        Variant(name="no RL", beside="whole", rl=False),
        Variant(name="less RL", beside="whole", domains=["more"]),
        Variant(name="window", beside="no RL", rl=False,
                changes=["model.attention=window", "warmup.steps=0"]),
        Variant(name="no SFT", beside="no RL", rl=False, changes=["sft.steps=0"]),
    )  # fmt: skip
    out = tmp_path / "out"
    rows = run_anatomy(anatomy, out, "test")
    assert [row["variant"] for row in rows] == ["whole", "no RL", "less RL", "window", "no SFT"]
    by_name = {row["variant"]: row for row in rows}
    assert by_name["window"]["recall"] is None and by_name["whole"]["recall"] is not None
    assert by_name["no RL"]["loss"] == by_name["whole"]["loss"] != by_name["window"]["loss"]
    for row in rows[1:]:
        assert row["reasoning"]["tasks"] == 2 and "reasoning change" in row
        assert "agent" in MEASURES and "agent" not in row  # this recipe has none

    def weights(name, stage):
        return (out / name / "stages" / f"{stage}.safetensors").stat()

    assert {weights(name, "pretrain").st_ino for name in by_name} == {
        weights("whole", "pretrain").st_ino
    }
    assert weights("no SFT", "sparse").st_ino == weights("whole", "sparse").st_ino
    assert weights("window", "sparse").st_ino != weights("whole", "sparse").st_ino
    assert json.loads((out / "anatomy.json").read_text()) == json.loads(json.dumps(rows))

    again = run_anatomy(anatomy, tmp_path / "again", "test", share=out / "whole")
    assert [row["loss"] for row in again] == [row["loss"] for row in rows]
    taken = tmp_path / "again" / "no SFT" / "stages" / "sparse.safetensors"
    assert taken.stat().st_ino == weights("whole", "sparse").st_ino

    before = weights("window", "sft").st_mtime_ns
    assert json.loads(json.dumps(run_anatomy(anatomy, out, "test"))) == json.loads(json.dumps(rows))
    assert weights("window", "sft").st_mtime_ns == before
