import io
import sys

import pytest
import torch

from model.configs import random_model, tiny_config
from speciale import cli
from speciale.chat.markers import EOS
from speciale.chat.tokenizer import save_tokenizer
from speciale.model import save_model
from speciale.train.bpe import train_tokenizer


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


TOKENIZER = train_tokenizer(['{"name": "What is two plus two?"}\n' * 20], 320)
CONTEXT = 256


def write_model(folder, context):
    """A random model that never ends by itself; returns its folder."""
    config = tiny_config(
        vocab_size=TOKENIZER.get_vocab_size(), index_topk=10, max_position_embeddings=context
    )
    model = random_model(config)
    with torch.no_grad():
        model.lm_head.weight[TOKENIZER.token_to_id(EOS)] = 0
    save_model(model, folder)
    save_tokenizer(TOKENIZER, folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"), CONTEXT)
