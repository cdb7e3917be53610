"""The package as a whole: what commands import, what the wheel holds, what the texts promise."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import speciale
from speciale.train.recipe import read_recipe
from speciale.train.tables import built_in

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "speciale"
MODULES = sorted(SOURCES.rglob("*.py"))
PYTHON_FILES = [p for top in ("src", "tests", "benchmarks") for p in (ROOT / top).rglob("*.py")]


def short(path):
    return path.relative_to(ROOT).as_posix()


# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option, shown", [("--help", "speedrun"), ("--version", speciale.__version__)]
)
def test_a_quick_command_imports_nothing_heavy(option, shown):
    script = Path(sysconfig.get_path("scripts")) / "speciale"
    command = [sys.executable, "-X", "importtime", str(script), option]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
    # importtime writes "import time: own | cumulative |   package.module" for each module
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "speciale.cli" in imported
    assert imported & {"torch", "tokenizers", "numpy", "matplotlib"} == set()


# --- the sources ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=short)
def test_module_says_what_it_is_and_imports(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), f"{short(path)} has no docstring"
    parts = path.relative_to(SOURCES.parent).with_suffix("").parts
    importlib.import_module(".".join(parts).removesuffix(".__init__"))
    # Imports inside functions too, which would fail only when a user gets there.
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("speciale"):
            module = importlib.import_module(node.module)
            for name in node.names:
                if not hasattr(module, name.name):
                    importlib.import_module(f"{node.module}.{name.name}")


@pytest.mark.parametrize("path", PYTHON_FILES, ids=short)
def test_file_is_short(path):
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= 500, f"{short(path)} has {lines} lines: it holds more than one idea, split it"


# --- the wheel ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory):
    """The names in a wheel built from a copy of what the wheel is made of."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY_NOTICES"):
        shutil.copy(ROOT / name, folder)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignore)
    build = "from setuptools.build_meta import build_wheel; build_wheel('out')"
    done = subprocess.run([sys.executable, "-c", build], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (folder / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_every_module_and_recipe(wheel_files):
    recipes = sorted((SOURCES / "recipes").glob("*.toml"))
    ours = {path.relative_to(SOURCES.parent).as_posix() for path in [*MODULES, *recipes]}
    assert recipes and ours <= wheel_files


def test_wheel_holds_the_licences_and_nothing_foreign(wheel_files):
    about = f"speciale-{speciale.__version__}.dist-info"
    assert {f"{about}/licenses/{n}" for n in ("LICENSE", "THIRD_PARTY_NOTICES")} <= wheel_files
    assert {name.split("/")[0] for name in wheel_files} == {"speciale", about}


def test_every_packaged_recipe_is_valid():
    names = built_in("speciale.recipes")
    assert {"tiny", "laptop"} <= set(names)
    assert [read_recipe(name).name for name in names] == names


# --- the texts ------------------------------------------------------------------------------------


def make_commands(name):
    """The targets of the `make x` commands in a text: in `code` or at the start of a code line."""
    text = (ROOT / name).read_text("utf-8")
    return set(re.findall(r"(?:^[ $]*|`)make ([a-z][a-z-]*)", text, re.MULTILINE))


@pytest.mark.parametrize(
    "name, promised",
    [
        ("README.md", {"speedrun", "test"}),
        ("CONTRIBUTING.md", {"setup", "lint", "test", "test-all", "bench"}),
    ],
)
def test_make_commands_in_the_texts_exist(name, promised):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = make_commands(name)
    assert promised <= named
    assert named <= set(targets)
