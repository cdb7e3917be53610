"""The data of the micro run is made once for all tests here; each gets its own copy."""

import shutil

import pytest

from micro import write_micro
from speciale.train import stages
from speciale.train.prepare import prepare
from speciale.train.recipe import read_recipe
from speciale.train.run import Run


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("micro")
    run = Run.create(folder / "run", read_recipe(str(write_micro(folder))), "test")
    prepare(run)
    return run


@pytest.fixture
def micro(_prepared, tmp_path, monkeypatch):
    """A micro run with its data, and with nothing trained."""
    monkeypatch.setattr(stages, "measure_peak_gflops", lambda *_: 1.0)
    folder = tmp_path / "run"
    shutil.copytree(_prepared.folder, folder)
    return Run(folder, _prepared.recipe)
