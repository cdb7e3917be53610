import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from speciale.chat.markers import BOS, EOS, PAD, SPECIAL_TOKENS, USER
from speciale.chat.tokenizer import fingerprint, load_tokenizer, save_tokenizer
from speciale.errors import CheckpointError, ConfigError
from speciale.train.bpe import SMALLEST_VOCAB, train_tokenizer

TEXTS = [
    "def add(self, other):\n    return self.value + other.value  # 2024 12345\n" * 20,
    "The quick brown fox said: 你好，世界。こんにちは 2,024 times.\n\n" * 20,
    f"{USER}the marks <think>think</think> in a text{EOS}" * 20,
]
TOKENIZER = train_tokenizer(TEXTS, 350)


def pieces(text):
    return [TOKENIZER.decode([i]) for i in TOKENIZER.encode(text).ids]


def decoded(ids):
    return TOKENIZER.decode(ids, skip_special_tokens=False)


ANY_TEXT = st.lists(st.text() | st.sampled_from(SPECIAL_TOKENS)).map("".join)


@given(ANY_TEXT)
def test_any_text_survives(text):
    assert decoded(TOKENIZER.encode(text).ids) == text


@given(st.text("0123456789 \n\t.,=+-_<>|｜▁ĠĊé你\u0301🙂\u200dazAZ" + "".join(SPECIAL_TOKENS)))
def test_texts_near_the_marks_and_splits_survive(text):
    assert decoded(TOKENIZER.encode(text).ids) == text


@given(st.text("<>/think｜▁abc 1"), st.sampled_from(SPECIAL_TOKENS), st.text("<>/think｜▁abc 1"))
def test_marks_are_one_token_in_any_text(before, mark, after):
    ids = TOKENIZER.encode(before + mark + after).ids
    assert SPECIAL_TOKENS.index(mark) in ids
    assert decoded(ids) == before + mark + after


def test_marks_have_the_first_ids_in_order_and_split_what_is_around_them():
    assert TOKENIZER.encode("".join(SPECIAL_TOKENS)).ids == list(range(len(SPECIAL_TOKENS)))
    for id, mark in enumerate(SPECIAL_TOKENS):
        ids = TOKENIZER.encode(f"the{mark}the").ids
        the = TOKENIZER.encode("the").ids
        assert ids == [*the, id, *the]


def test_only_bos_eos_and_pad_are_dropped_with_the_special_tokens():
    text = f"{BOS}{USER}a<think>b</think>c{EOS}{PAD}"
    ids = TOKENIZER.encode(text).ids
    assert TOKENIZER.decode(ids) == f"{USER}a<think>b</think>c"


def test_no_token_is_spent_on_the_letters_of_marks():
    texts = [f"{mark}" * 100 for mark in SPECIAL_TOKENS]
    assert train_tokenizer(texts, 1000).get_vocab_size() == SMALLEST_VOCAB


def test_every_digit_is_its_own_token_and_words_keep_their_space():
    assert pieces("x 2024+12345") == ["x", " ", *"2024", "+", *"12345"]
    long = train_tokenizer([("1234567890 return self.value\n" * 50)], 2000)
    words = [long.decode([i]) for i in long.encode("12 return self.value\n").ids]
    assert words == ["1", "2", " return", " self", ".value", "\n"]


def test_vocabulary_has_the_size_asked_for_and_fewer_where_texts_are_short():
    assert train_tokenizer(TEXTS, 300).get_vocab_size() == 300
    assert train_tokenizer(["ab"], 5000).get_vocab_size() == SMALLEST_VOCAB


@pytest.mark.parametrize("size", [SMALLEST_VOCAB - 1, 0, -5])
def test_impossible_vocabulary_is_refused(size):
    with pytest.raises(ConfigError, match=f"at least {SMALLEST_VOCAB}"):
        train_tokenizer(TEXTS, size)
    assert train_tokenizer(TEXTS, SMALLEST_VOCAB).get_vocab_size() == SMALLEST_VOCAB


def test_training_is_deterministic_in_another_process_too():
    code = (
        "import sys, json; from speciale.train.bpe import train_tokenizer;"
        "sys.stdout.buffer.write(train_tokenizer(json.load(sys.stdin), 350).to_str().encode())"
    )
    other = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(TEXTS).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    assert other.stdout.decode() == TOKENIZER.to_str()
    assert train_tokenizer(iter(TEXTS), 350).to_str() == TOKENIZER.to_str()


def test_fingerprint_is_of_what_decides_the_ids():
    assert len(fingerprint(TOKENIZER)) == 16
    copy = Tokenizer.from_str(TOKENIZER.to_str())
    copy.enable_padding()
    copy.enable_truncation(8)
    assert fingerprint(copy) == fingerprint(TOKENIZER)
    assert fingerprint(train_tokenizer(TEXTS, 340)) != fingerprint(TOKENIZER)
    copy.add_tokens(["other"])
    assert fingerprint(copy) != fingerprint(TOKENIZER)


def test_saved_tokenizer_is_loaded_unchanged(tmp_path):
    save_tokenizer(TOKENIZER, tmp_path / "run")
    loaded = load_tokenizer(tmp_path / "run")
    assert loaded.to_str() == TOKENIZER.to_str()
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_transformers_loads_the_folder(tmp_path):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    save_tokenizer(TOKENIZER, tmp_path)
    text = f"{BOS}{USER}  a , b . 12 don't 你好🙂 <think> x</think>\r\n\t{EOS}"
    for kind in (AutoTokenizer, PreTrainedTokenizerFast):
        theirs = kind.from_pretrained(str(tmp_path))
        assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (0, 1, 2)
        assert theirs.clean_up_tokenization_spaces is False
        assert len(theirs) == TOKENIZER.get_vocab_size()
        ids = theirs(text)["input_ids"]
        assert ids == TOKENIZER.encode(text).ids
        assert theirs.decode(ids) == text
        assert theirs.decode(ids, skip_special_tokens=True) == TOKENIZER.decode(ids)


def test_missing_and_corrupt_tokenizers_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no readable tokenizer at .*tokenizer\.json"):
        load_tokenizer(tmp_path)
    path = tmp_path / "tokenizer.json"
    whole = TOKENIZER.to_str()
    broken = json.loads(whole)
    broken["model"]["merges"].append(["no such", "pair"])
    for content in ("", "[]", "{}", whole[:-100], json.dumps(broken), b"\xff\xfe"):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(CheckpointError, match="is corrupt"):
            load_tokenizer(tmp_path)
