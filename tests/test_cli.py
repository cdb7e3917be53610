"""The command line's mistakes: exit code 1 and one sentence on standard error, no traceback."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from micro import write_micro
from speciale import cli
from speciale import speedrun as whole
from speciale.chat.tokenizer import save_tokenizer
from speciale.model import Transformer, save_model
from speciale.train import loop, stages
from speciale.train.bpe import train_tokenizer
from speciale.train.recipe import read_recipe
from speciale.train.run import Run


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs a command line in tmp_path; returns its exit code and what it wrote to stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "measure_peak_gflops", lambda *_: 1.0)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["speciale", *arguments])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code or 0, capsys.readouterr().err
        return 0, capsys.readouterr().err

    return run


@pytest.fixture
def refused(command):
    """The sentence that a command ends with."""

    def run(*arguments):
        code, text = command(*arguments)
        assert code == 1
        assert text.startswith("error: ")
        assert text.count("\n") == 1, text
        return text.removeprefix("error: ").rstrip()

    return run


@pytest.fixture
def recipe(tmp_path):
    return str(write_micro(tmp_path / "source"))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_mistake_is_one_line_in_a_real_process(tmp_path):
    command = [sys.executable, "-m", "speciale.cli", "report", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        f"error: There is no run folder at '{tmp_path}/nowhere'; "
        "give the folder that a training run wrote.\n"
    )


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("nowhere", "nowhere does not exist: give a model folder or a finished run"),
        ("source", "source holds no config.json: is it a model folder?"),
        ("source/micro.toml", "source/micro.toml holds no config.json: is it a model folder?"),
    ],
)
def test_chat_without_a_model(refused, recipe, name, sentence):
    assert refused("chat", name) == sentence


def test_chat_with_damaged_weights(refused, tmp_path, recipe):
    run = Run.create(tmp_path / "run", read_recipe(recipe), "test")
    assert "the run run is not finished" in refused("chat", "run")
    save_model(Transformer(run.config), run.model)
    save_tokenizer(train_tokenizer(["text"], 300), run.model)
    path = run.model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert refused("chat", "run").startswith("run/model/model.safetensors is corrupt or truncated")
    path.unlink()
    assert refused("chat", "run") == (
        "run/model/model.safetensors is missing: copy the whole model folder"
    )
    for content in ("[]", "{", '{"rope_scaling": 3}', '{"hidden_size": "wide"}'):
        (run.model / "config.json").write_text(content)
        assert "run/model/config.json" in refused("chat", "run")


def test_a_recipe_that_is_not_there(refused):
    sentence = "there is no recipe 'huge': give a TOML file or one of "
    for arguments in (["speedrun"], ["train", "pretrain"]):
        assert refused(*arguments, "--recipe", "huge", "--out", "out").startswith(sentence)
    assert not os.path.exists("out")


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("sft.stes=1", "unknown key 'sft.stes' (set to 1)"),
        ("model.index_topk=64", "index_topk 64 is not below the training context of 64"),
        ("model.num_experts_per_tok=5", "num_experts_per_tok is 5"),
        ("steps", "--set 'steps' is not of the form key=value"),
        ("data.families={sums=1}", "There is no problem family 'sums'"),
    ],
)
def test_a_mistake_in_a_recipe_makes_no_folder(refused, recipe, override, sentence):
    assert sentence in refused("speedrun", "--recipe", recipe, "--out", "out", "--set", override)
    assert not os.path.exists("out")


def test_a_folder_that_is_not_this_run_s(refused, tmp_path, recipe):
    Run.create(tmp_path / "out", read_recipe(recipe, ["seed=7"]), "test")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"x")
    before = files(tmp_path)
    for out, sentence in (
        ("out", "out holds a run of another recipe (see out/recipe.toml): choose another --out"),
        ("photos", "photos is not empty and holds no run: choose another --out"),
        ("photos/a.jpg", "photos/a.jpg cannot be a run folder (Not a directory)"),
        ("photos/a.jpg/out", "Could not write photos/a.jpg/out/recipe.toml (Not a directory)"),
    ):
        assert refused("speedrun", "--recipe", recipe, "--out", out).startswith(sentence)
    assert files(tmp_path) == before


def test_sources_that_are_not_there_or_empty(refused, tmp_path, recipe):
    (tmp_path / "empty").mkdir()
    for source, sentence in (
        ("nowhere", "The text source 'nowhere' does not exist or may not be read"),
        ("empty", "There is no text in the sources ['empty']"),
    ):
        override = f"data.sources=['{source}']"
        options = ["--recipe", recipe, "--out", f"{source}-out", "--set", override]
        assert refused("speedrun", *options).startswith(sentence)
        assert files(tmp_path / f"{source}-out") == [".lock", "recipe.toml", "run.json"]


def test_a_stage_out_of_order(refused, recipe):
    for stage, before in (("warmup", "pretrain"), ("sparse", "warmup"), ("sft", "sparse")):
        assert refused("train", stage, "--recipe", recipe, "--out", "out") == (
            f"stage '{stage}' continues '{before}', which out has not finished: "
            f"run `speciale train {before}` first"
        )


def test_an_unknown_stage_is_a_usage_error(command, recipe):
    code, text = command("train", "rl", "--recipe", recipe)
    assert code == 2
    assert "'rl' is not one of 'pretrain', 'warmup', 'sparse', 'sft'" in text
    assert "Traceback" not in text


@pytest.mark.slow
def test_training_that_fails_ends_in_a_sentence_and_goes_on_when_it_can(
    command, refused, recipe, tmp_path, monkeypatch
):
    """No room for a checkpoint (a limit on the size of files stands in for the disk), a damaged
    checkpoint, and then the rest of the run in a folder with an odd name."""
    monkeypatch.setattr(loop, "_CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr(whole, "evaluate", lambda run, model: None)
    out = tmp_path / "größer 'run' ☃"
    arguments = ["speedrun", "--recipe", recipe, "--out", str(out)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    try:
        sentence = refused(*arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    checkpoint = out / "stages" / "pretrain.part.safetensors"
    assert sentence.startswith(f"Could not write {checkpoint} (")
    assert os.strerror(errno.EFBIG) in sentence
    assert files(out / "stages") == []
    assert "chat.npy" in files(out / "data")

    checkpoint.write_bytes(b"damaged")
    assert f"checkpoint {checkpoint} is corrupt or cut off" in refused(*arguments)
    checkpoint.unlink()  # the advice of the sentence
    assert command(*arguments) == (0, "")
    assert "config.json" in files(out / "model")
    assert command("report", str(out)) == (0, "")

    other = [*arguments[:-1], str(tmp_path / "nan"), "--set", "pretrain.learning_rate=1e30"]
    assert refused(*other).endswith(
        "in stage 'pretrain' at step 2: lower pretrain.learning_rate (now 1e+30) in the recipe and "
        "start a new run; the last good checkpoint was kept"
    )


def test_ctrl_c_says_how_to_go_on(command, recipe, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(whole, "speedrun", stopped)
    assert command("speedrun", "--recipe", recipe) == (
        130,
        "\nstopped; the same command continues from here\n",
    )


def test_a_full_standard_output_is_a_sentence(refused, recipe, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(whole, "speedrun", full)
    assert "No space left on device" in refused("speedrun", "--recipe", recipe)
