"""Data that does not belong together, or is damaged, is refused before a step is trained."""

import numpy as np
import pytest

from speciale.chat.tokenizer import load_tokenizer, save_tokenizer
from speciale.errors import CheckpointError, ConfigError, DataError
from speciale.train.bpe import train_tokenizer
from speciale.train.prepare import prepare
from speciale.train.run import Run
from speciale.train.stages import train_stage


def swap_tokenizer(run):
    save_tokenizer(train_tokenizer(["another text altogether " * 9], 300), run.data)


def test_another_tokenizer_is_refused_before_training(micro):
    swap_tokenizer(micro)
    with pytest.raises(ConfigError) as caught:
        train_stage(micro, "pretrain")
    text = str(caught.value)
    assert text.startswith(f"{micro.data}/tokenizer.json is not the tokenizer that made train.tok")
    assert f"put the run's own back, or delete {micro.folder} to start anew" in text
    assert not micro.metrics.exists()
    assert list((micro.folder / "stages").iterdir()) == []


@pytest.mark.parametrize("missing", ["chat.npy", "train.tokens", "valid.tokens"])
def test_nothing_is_made_with_another_tokenizer(micro, missing):
    own = load_tokenizer(micro.data)
    before = (micro.data / missing).read_bytes()
    (micro.data / missing).unlink()
    swap_tokenizer(micro)
    with pytest.raises(ConfigError, match="is not the tokenizer that made"):
        prepare(micro)
    assert not (micro.data / missing).exists()
    save_tokenizer(own, micro.data)  # the advice of the message
    prepare(micro)
    assert (micro.data / missing).read_bytes() == before


def test_a_missing_tokenizer_is_made_again_the_same(micro):
    before = (micro.data / "tokenizer.json").read_bytes()
    (micro.data / "tokenizer.json").unlink()
    prepare(micro)
    assert (micro.data / "tokenizer.json").read_bytes() == before


def test_a_broken_tokenizer_is_named(micro):
    (micro.data / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=f"{micro.data}/tokenizer.json is corrupt"):
        prepare(micro)


def sentence(run):
    with pytest.raises(DataError) as caught:
        train_stage(run, "pretrain")
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", ["train.tokens", "valid.tokens"])
def test_cut_token_files_are_named(micro, name):
    path = micro.data / name
    path.write_bytes(path.read_bytes()[:-100])
    assert f"{path} has" in sentence(micro)
    assert "delete it and prepare the data again" in sentence(micro)
    path.unlink()  # the advice of the message
    prepare(micro)


@pytest.mark.parametrize("size", [0, 5, 100, 1000, -1])
def test_cut_conversations_are_named(micro, size):
    path = micro.data / "chat.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    text = sentence(micro)
    assert f"the packed conversations {path} are corrupt or cut off (" in text
    assert "delete the file and run the same command again" in text
    path.unlink()
    prepare(micro)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "rows, why",
    [
        (np.zeros((4, 3, 65), np.int64), "int64"),
        (np.zeros((4, 2, 65), np.int32), r"\[4, 2, 65\]"),
        (np.zeros(9, np.int32), r"\[9\]"),
        (np.zeros((0, 3, 65), np.int32), r"\[0, 3, 65\]"),
        (np.zeros((4, 3, 33), np.int32), r"rows of 33 tokens, not 64 \+ 1"),
        (np.full((4, 3, 65), 300, np.int32), "outside 0 to 299"),
        (np.full((4, 3, 65), -1, np.int32), "outside 0 to 299"),
        (np.array([{}], object), ""),
    ],
)
def test_conversations_of_another_form_are_refused(micro, rows, why):
    np.save(micro.data / "chat.npy", rows)
    with pytest.raises(DataError, match=f"chat.npy are corrupt or cut off .*{why}"):
        prepare(micro)


def test_too_little_text_for_a_window_is_said_before_training(micro, tmp_path):
    texts = tmp_path / "few"
    texts.mkdir()
    for n in range(2):
        (texts / f"{n}.txt").write_text("one short text")
    data = micro.recipe.data.model_copy(update={"sources": [str(texts)]})
    run = Run.create(tmp_path / "new", micro.recipe.model_copy(update={"data": data}), "test")
    with pytest.raises(DataError, match=r"fewer than one window of 64 \+ 1"):
        prepare(run)


def test_an_empty_source_is_said_and_leaves_no_file(micro, tmp_path):
    (tmp_path / "empty").mkdir()
    data = micro.recipe.data.model_copy(update={"sources": [str(tmp_path / "empty")]})
    run = Run.create(tmp_path / "new", micro.recipe.model_copy(update={"data": data}), "test")
    with pytest.raises(DataError, match=f"no text in the sources .*{tmp_path / 'empty'}"):
        prepare(run)
    assert list(run.data.iterdir()) == []
