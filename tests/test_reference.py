"""The model that comes with the package: commands that are given none use it."""

import sys

import pytest

from serve.small_model import write_model
from speciale import cli, reference


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
