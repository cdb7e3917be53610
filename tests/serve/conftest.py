import io
import sys

import pytest
from small_model import write_model

from speciale import cli


@pytest.fixture
def command(monkeypatch, tmp_path, capfdbinary):
    """Runs the command line; (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, given=b""):
        monkeypatch.setattr(sys, "argv", ["speciale", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code or 0
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


CONTEXT = 256


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"), CONTEXT)
