"""The model that comes with the package: commands that are given none use it."""

import asyncio
import json
import re
import sys

import pytest
import torch
from safetensors import safe_open

from serve.small_model import write_model
from speciale import cli, reference
from speciale.engine.core import EngineOptions
from speciale.engine.llm import load_core
from speciale.evals.attempts import Settings
from speciale.evals.card import card
from speciale.evals.evaluation import evaluate, suite_named
from speciale.evals.history import read_history
from speciale.evals.suites.suite import Choice
from speciale.evals.table import rows_of
from speciale.evals.target import model_digest, open_target


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A random model in its place."""
    monkeypatch.setattr(reference, "PLACE", tmp_path / "run")
    return write_model(tmp_path / "run" / "model", 4096)


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["speciale", *arguments])
        capsys.readouterr()
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code or 0, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


def test_generate_without_a_run_is_as_with_its_folder(command, own):
    rest = ("--max-tokens", "7")
    assert (
        command("generate", "What is", *rest)[:2] == command("generate", own, "What is", *rest)[:2]
    )


def test_chat_without_a_run(command, own, monkeypatch):
    lines = iter(["hello", "/quit"])
    monkeypatch.setattr("speciale.serve.screen.Screen.ask", lambda screen: next(lines))
    code, out, _ = command("chat", "--max-new-tokens", "5")
    assert code == 0 and out.strip()


def test_an_evaluation_without_a_target_is_kept_here_and_not_in_the_package(command, own, tmp_path):
    options = ("--suite", "format", "--tasks", "1", "--samples", "1", "--max-tokens", "4")
    code, _, err = command("eval", *options)
    assert code == 0, err
    assert (tmp_path / "evals" / "reference" / "format.json").exists()
    assert not (tmp_path / "run" / "evals").exists()


def test_a_copy_without_one_says_what_to_name(command, tmp_path, monkeypatch):
    monkeypatch.setattr(reference, "PLACE", tmp_path / "nothing")
    for words in (["chat"], ["serve"], ["generate", "hello"], ["agent", "hello"], ["eval"]):
        code, out, err = command(*words)
        assert code == 1 and out == "" and "name a run or a model folder" in err, words


def test_a_run_whose_text_was_forgotten_is_no_text(command, own):
    code, _, err = command("generate", own)
    assert code == 1 and f'{own} is a folder: give a text behind it, {own} "PROMPT"' in err
    code, _, err = command("generate", own, "two", "words")
    assert code == 1 and err.startswith('error: 3 arguments were given: give [RUN] "PROMPT"')


# --- the shipped one ------------------------------------------------------------------------------

SHIPPED = reference.PLACE
CELLS = ("problems/chain_sum@1", "problems/gcd@1")


def test_its_weights_are_bfloat16_of_at_most_12_megabytes():
    path = SHIPPED / "model" / "model.safetensors"
    assert path.stat().st_size <= 12_000_000
    with safe_open(path, "pt") as weights:
        others = {n for n in weights.keys() if weights.get_slice(n).get_dtype() != "BF16"}  # noqa: SIM118
    assert all(name.endswith("e_score_correction_bias") for name in others)


def test_a_processor_computes_with_it_in_float32():
    core = load_core(SHIPPED, EngineOptions())
    assert {p.dtype for p in core.model.parameters()} == {torch.float32}


def test_its_card_is_what_the_records_say_and_names_these_very_weights():
    text = (SHIPPED / "MODEL_CARD.md").read_text()
    assert text == card(read_history(SHIPPED))
    digest = model_digest(SHIPPED)
    assert f"`{digest}`" in text
    kept = [json.loads(path.read_text()) for path in (SHIPPED / "evals").glob("*.json")]
    assert {each["digest"] for each in kept} == {digest}
    assert {each["suite"] for each in kept} == {
        "reasoning", "agent", "longctx", "format", "safety",
    }  # fmt: skip
    assert "`speciale speedrun --recipe laptop-agents --out runs/laptop-agents`, seed 0" in text


def test_asked_again_it_solves_what_the_card_says(tmp_path):
    kept = json.loads((SHIPPED / "evals" / "reasoning.json").read_text())
    asked = Settings(**kept["settings"])

    async def again():
        async with open_target(str(SHIPPED)) as target:
            suite, choice = suite_named("reasoning"), Choice(CELLS, kept["tasks"], asked.seed)
            return await evaluate(target, suite, choice, asked, tmp_path)

    told = {row["cell"]: row["pass1"] for row in kept["rows"]}
    found = {row["cell"]: row["pass1"] for row in rows_of(asyncio.run(again()).records[None])}
    for cell in CELLS:
        # Other batches and processors round otherwise: a few of 200 answers may differ.
        assert found[cell] == pytest.approx(told[cell], abs=0.03), cell


def test_nothing_shipped_tells_of_the_machine_that_made_it():
    texts = [p for p in SHIPPED.rglob("*") if p.is_file() and p.suffix != ".safetensors"]
    assert len(texts) > 10
    for path in texts:
        found = re.search(r"(?<![\w.])/(work|tmp|root|home|usr)/", path.read_text())
        assert found is None, path
