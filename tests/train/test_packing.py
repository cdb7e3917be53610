import json
import os

import numpy as np
import pytest

from speciale.errors import ConfigError, DataError
from speciale.train.bpe import train_tokenizer
from speciale.train.packing import PackedTokens, document_tokens, write_tokens


def packed(path, count, vocab_size=1000):
    write_tokens(path, [np.arange(count)], vocab_size, "abc")
    return PackedTokens(path)


def test_documents_are_joined_end_to_end_with_their_marks(tmp_path):
    tokenizer = train_tokenizer(["ab"], 300)
    texts = [f"text {i}" for i in range(150)]
    count = write_tokens(tmp_path / "t", document_tokens(iter(texts), tokenizer), 300, "abc")
    tokens = PackedTokens(tmp_path / "t")
    assert tokens.count == count == sum(len(t) + 2 for t in texts)
    ring = tokens.batch(0, 1, count - 1, seed=0)[0]
    text = tokenizer.decode(np.roll(ring, -list(ring).index(0)), skip_special_tokens=False)
    start = texts.index(text.split("<")[1].split("▁sentence｜>")[1])
    expected = [*texts[start:], *texts[:start]]
    bos, eos = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
    assert text == "".join(f"{bos}{t}{eos}" for t in expected)


@pytest.mark.parametrize("vocab_size, width", [(2**16, 2), (2**16 + 1, 4)])
def test_ids_take_two_bytes_where_they_fit(tmp_path, vocab_size, width):
    chunks = [[0, 1], np.array([], dtype=np.uint16), [], np.array([vocab_size - 1])]
    assert write_tokens(tmp_path / "t", chunks, vocab_size, "abc") == 3
    tokens = PackedTokens(str(tmp_path / "t"))
    assert (tokens.count, tokens.vocab_size, tokens.fingerprint) == (3, vocab_size, "abc")
    assert os.path.getsize(tmp_path / "t") == 256 + 3 * width
    batch = tokens.batch(0, 1, 2, seed=0)
    assert batch.dtype == np.int64
    assert sorted(batch[0]) == [0, 1, vocab_size - 1]


@pytest.mark.parametrize("id", [-1, 1000])
def test_an_id_outside_the_vocabulary_keeps_the_old_file(tmp_path, id):
    packed(tmp_path / "t", 5)
    with pytest.raises(DataError, match=rf"token id {id} does not fit .* 1000"):
        write_tokens(tmp_path / "t", [[1], [2, id, 3]], 1000, "abc")
    assert PackedTokens(tmp_path / "t").count == 5
    assert os.listdir(tmp_path) == ["t"]


def test_no_tokens_at_all_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no tokens"):
        write_tokens(tmp_path / "t", [[]], 1000, "abc")
    assert os.listdir(tmp_path) == []


def test_rows_are_consecutive_tokens_of_the_ring(tmp_path):
    tokens = packed(tmp_path / "t", 103)
    for step in range(30):
        batch = tokens.batch(step, 4, 10, seed=3)
        assert batch.shape == (4, 11)
        assert (np.diff(batch, axis=1) % 103 == 1).all()


@pytest.mark.parametrize("count, length, batch_size", [(100, 10, 5), (103, 10, 4), (103, 10, 23)])
def test_an_epoch_predicts_every_token_once(tmp_path, count, length, batch_size):
    tokens = packed(tmp_path / "t", count)
    windows = count // length
    # As many steps as end where an epoch ends: batches may span epochs.
    rows = np.concatenate([tokens.batch(s, batch_size, length, seed=1) for s in range(windows)])
    missed = []
    for epoch in rows.reshape(batch_size, windows, length + 1):
        targets = epoch[:, 1:].ravel()
        assert len(set(targets)) == len(targets) == windows * length
        missed.append(frozenset(range(count)) - set(targets))
    assert all(len(m) == count % length for m in missed)
    assert count % length == 0 or len(set(missed)) > 1


def test_every_epoch_has_its_own_grid_and_order(tmp_path):
    tokens = packed(tmp_path / "t", 1000)
    epochs = [tokens.batch(e, 100, 10, seed=1)[:, 0] for e in range(6)]
    assert len({int(starts[0]) % 10 for starts in epochs}) > 1
    orders = [tuple((starts - starts.min()) // 10) for starts in epochs]
    assert len(set(orders)) == 6
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert all(list(order) != sorted(order) for order in orders)


def test_batch_is_a_function_of_seed_and_step_alone(tmp_path):
    tokens = packed(tmp_path / "t", 500)
    in_order = [tokens.batch(s, 8, 16, seed=7) for s in range(40)]
    fresh = PackedTokens(tmp_path / "t")
    for step in (39, 3, 17, 0):
        assert (fresh.batch(step, 8, 16, seed=7) == in_order[step]).all()
    assert (fresh.batch(0, 8, 16, seed=8) != in_order[0]).any()
    # The stream of windows does not depend on how it is cut into batches.
    assert (fresh.batch(1, 16, 16, seed=7) == np.concatenate(in_order[2:4])).all()


def test_the_order_is_fixed_for_ever(tmp_path):
    """A run of an older version must go on with the batches that it would have seen."""
    starts = packed(tmp_path / "t", 100).batch(0, 6, 10, seed=1)[:, 0]
    assert starts.tolist() == [7, 37, 57, 87, 67, 97]


def test_file_shorter_than_a_window_is_refused(tmp_path):
    tokens = packed(tmp_path / "t", 10)
    assert sorted(tokens.batch(0, 1, 9, seed=0)[0]) == list(range(10))
    with pytest.raises(DataError, match=r"holds 10 tokens, fewer than one window of 10 \+ 1"):
        tokens.batch(0, 1, 10, seed=0)


@pytest.mark.parametrize("wrong", [(-1, 1, 2, 0), (0, 0, 2, 0), (0, 1, 0, 0), (0, 1, 2, -1)])
def test_impossible_batches_are_refused(tmp_path, wrong):
    with pytest.raises(ConfigError, match="There is no batch for"):
        packed(tmp_path / "t", 10).batch(*wrong)


def test_missing_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "t"
    with pytest.raises(DataError, match=rf"{path} cannot be read"):
        PackedTokens(path)
    other = {"format": "other", "dtype": "<u2", "count": 1, "vocab_size": 9, "fingerprint": ""}
    for content in (b"", b"\xff" * 300, b"[]", b"{}", json.dumps(other).encode()):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is no token file or its header is corrupt"):
            PackedTokens(path)


def test_cut_and_overlong_files_are_refused(tmp_path):
    path = tmp_path / "t"
    packed(path, 100)
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:-2], whole + b"\0\0"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="its header promises 456"):
            PackedTokens(path)


def test_corrupt_ids_are_found_when_read(tmp_path):
    path = tmp_path / "t"
    packed(path, 100)
    whole = path.read_bytes()
    path.write_bytes(whole[:-2] + b"\xff\xff")
    with pytest.raises(DataError, match=r"holds the id 65535.* 1000 tokens"):
        PackedTokens(path).batch(0, 10, 10, seed=0)
