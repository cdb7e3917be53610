"""A run's folder: whose it is, who works in it, and what a killed process left in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from micro import write_micro
from speciale.errors import CheckpointError, ConfigError, SpecialeError
from speciale.files import write_atomic
from speciale.train.recipe import read_recipe
from speciale.train.run import Run


@pytest.fixture
def recipe(tmp_path):
    return read_recipe(str(write_micro(tmp_path / "source")))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["run", "a b/c", "größer ☃", "-x", "a\nb", "50% 'q' \"d\" $HOME"])
def test_a_run_is_opened_again_by_the_same_recipe(tmp_path, recipe, name):
    folder = tmp_path / name
    Run.create(folder, recipe, "speciale speedrun")
    facts = Run.create(folder, recipe, "another command").facts()
    assert facts["command"] == "speciale speedrun"
    assert Run.open(folder).recipe == recipe


def test_the_run_of_another_recipe_is_left_as_it_is(tmp_path, recipe):
    Run.create(tmp_path / "run", recipe, "test")
    before = (tmp_path / "run" / "run.json").read_bytes()
    other = recipe.model_copy(update={"seed": 9})
    with pytest.raises(ConfigError) as caught:
        Run.create(tmp_path / "run", other, "test")
    assert str(caught.value) == (
        f"{tmp_path / 'run'} holds a run of another recipe (see {tmp_path / 'run'}/recipe.toml): "
        "choose another --out, or delete that folder to start anew"
    )
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_a_folder_with_other_files_is_not_written_into(tmp_path, recipe):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ConfigError, match="is not empty and holds no run: choose another --out"):
        Run.create(tmp_path, recipe, "test")
    assert not (tmp_path / "recipe.toml").exists()
    (tmp_path / "empty").mkdir()
    Run.create(tmp_path / "empty", recipe, "test")


def test_a_file_in_the_folder_s_place_is_named(tmp_path, recipe):
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        (tmp_path / "file").write_text("")
        with pytest.raises(SpecialeError, match=f"{out}.*(Not a directory|File exists)"):
            Run.create(out, recipe, "test")


def test_a_path_that_is_not_utf8_is_refused_before_any_work(tmp_path, recipe):
    folder = Path(os.fsdecode(bytes(tmp_path / "latin") + b"\xe9"))
    with pytest.raises(ConfigError, match=r"latin\\udce9' of the run is not UTF-8"):
        Run.create(folder, recipe, "test")
    assert not folder.exists()


def test_a_run_killed_while_it_was_made_is_known_again(tmp_path, recipe, monkeypatch):
    """Whatever file was the last one written, the same command goes on."""
    whole = files(Run.create(tmp_path / "whole", recipe, "test").folder)
    replace = os.replace
    for kept in range(len(whole)):
        folder, left = tmp_path / f"run{kept}", kept

        def dies(source, target):
            nonlocal left
            left -= 1
            if left < 0:
                os.link(source, Path(source).parent / f".{'0' * 16}.tmp")  # as kill -9 leaves it
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(os, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            Run.create(folder, recipe, "test")
        monkeypatch.undo()
        assert len(files(folder)) == kept + 1
        run = Run.create(folder, recipe, "test")
        with run.locked():
            assert files(folder) == sorted([*whole, ".lock"])
        assert run.facts()["command"] == "test"


def test_what_a_killed_process_left_is_deleted_and_nothing_else(tmp_path, recipe):
    run = Run.create(tmp_path / "run", recipe, "test")
    kept = ["data/.hidden", "data/x.tmp", "notes.txt", "stages/sft.part.safetensors"]
    gone = [
        f".{'a' * 16}.tmp",
        f"data/.{'1' * 16}.tmp",
        f"model/.{'b' * 16}.tmp",
        "stages/pretrain.part.safetensors",  # pretrain.safetensors is there
    ]
    for name in [*kept, *gone, "stages/pretrain.safetensors"]:
        write_atomic(run.folder / name, "x")
    with run.locked():
        left = files(run.folder)
    assert not set(gone) & set(left)
    assert {*kept, "stages/pretrain.safetensors", "recipe.toml", "run.json"} < set(left)


HOLD = """
import sys
from pathlib import Path
from speciale.train.run import Run
with Run.open(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_cannot_work_on_one_run(tmp_path, recipe):
    run = Run.create(tmp_path / "run", recipe, "test")
    command = [sys.executable, "-c", HOLD, str(run.folder)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError) as caught, run.locked():
            pass
        assert str(caught.value) == (
            f"another process works on {run.folder}: wait for it, stop it, or choose another --out"
        )
        other.kill()  # a killed process holds nothing
        other.wait()
        with run.locked():
            pass


def test_a_lock_that_cannot_be_written_is_one_sentence(tmp_path, recipe):
    run = Run.create(tmp_path / "run", recipe, "test")
    (run.folder / ".lock").mkdir()
    refusal = rf"Could not write {run.folder}/.lock \(Is a directory\)"
    with pytest.raises(SpecialeError, match=refusal), run.locked():
        pass


def test_metrics_that_cannot_be_written_are_one_sentence(tmp_path, recipe):
    run = Run.create(tmp_path / "run", recipe, "test")
    os.symlink("/dev/full", run.metrics)
    with pytest.raises(SpecialeError, match=f"full while writing {run.metrics}: free some space"):
        run.log(kind="train", step=1)


def test_forgetting_drops_later_steps_and_broken_lines(tmp_path, recipe):
    run = Run.create(tmp_path / "run", recipe, "test")
    run.forget("sft", after_step=0)  # nothing there yet
    for stage in ("pretrain", "sft"):
        for step in (5, 10, 15):
            run.log(kind="train", stage=stage, step=step)
        run.log(kind="stage", stage=stage, seconds=1.0)
    with open(run.metrics, "ab") as file:
        file.write(b'{"kind": "train", "stage": "s\xff\0')
    run.forget("sft", after_step=10)
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    kept = [(line["stage"], line.get("step")) for line in lines]
    assert kept == [*[("pretrain", s) for s in (5, 10, 15, None)], ("sft", 5), ("sft", 10)]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no recipe.toml: give the folder of a run"):
        Run.open(tmp_path)


@pytest.mark.parametrize("content", ["", "{", None])
def test_broken_facts_are_named(tmp_path, recipe, content):
    run = Run.create(tmp_path / "run", recipe, "test")
    path = run.folder / "run.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CheckpointError, match=f"{path} cannot be read .* delete it and run"):
        run.facts()
    path.unlink(missing_ok=True)
    assert Run.create(run.folder, recipe, "test").facts()["name"] == "micro"
