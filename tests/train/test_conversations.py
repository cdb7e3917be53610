"""What the supervised stage learns: assistant tokens only, samples apart from each other."""

from itertools import islice

import numpy as np
import pytest
import torch

from speciale.chat import EOS, THINK_CLOSE, THINK_OPEN
from speciale.train.bpe import train_tokenizer
from speciale.train.conversations import (
    PackedConversations,
    conversations,
    pack_conversations,
    tokenise,
)
from speciale.train.recipe import Data

DATA = Data(families={"chain_sum": 1, "gcd": 1}, context=128, conversations=60)


@pytest.fixture(scope="module")
def tokenizer():
    texts = [m["content"] for c, _ in islice(conversations(DATA, 1), 200) for m in c]
    return train_tokenizer(texts, 500)


def learnt(tokenizer, messages, mode):
    ids, learn = tokenise(tokenizer, messages, mode)
    pieces, run = [], []
    for token, taught in zip([*ids, 0], [*learn, False], strict=True):
        if taught:
            run.append(token)
        elif run:
            pieces.append(tokenizer.decode(run, skip_special_tokens=False))
            run = []
    return pieces


USER = {"role": "user", "content": "1 + 1 ="}
ANSWER = {"role": "assistant", "content": "2", "reasoning_content": "1+1=2"}


def test_only_the_assistant_is_learnt(tokenizer):
    assert learnt(tokenizer, [USER, ANSWER], "chat") == [f"2{EOS}"]
    assert learnt(tokenizer, [USER, ANSWER], "thinking") == [f"1+1=2{THINK_CLOSE}2{EOS}"]


def test_earlier_answers_are_learnt_only_where_they_were_served_so(tokenizer):
    twice = [{"role": "system", "content": "Be brief."}, USER, ANSWER, USER, ANSWER]
    assert learnt(tokenizer, twice, "chat") == [f"2{EOS}", f"2{EOS}"]
    # thinking mode rewrites the first opener to </think>: that prompt was never served
    assert learnt(tokenizer, twice, "thinking") == [f"1+1=2{THINK_CLOSE}2{EOS}"]


def test_the_mix_has_both_modes_system_prompts_and_two_turns():
    some = list(islice(conversations(DATA, 0), 300))
    modes = [mode for _, mode in some]
    assert 60 < modes.count("thinking") < 240
    assert any(m[0]["role"] == "system" for m, _ in some)
    assert any(sum(x["role"] == "user" for x in m) == 2 for m, _ in some)
    assert all(m[-1]["role"] == "assistant" for m, _ in some)
    assert any(q["content"].startswith("What ") for m, _ in some for q in m)
    assert str(some) == str(list(islice(conversations(DATA, 0), 300)))


def test_a_share_of_the_solutions_with_thinking_is_hasty():
    data = Data(families={"gcd": 1}, docstring_share=0, hasty_share=0.5)
    thoughts = [
        message["reasoning_content"]
        for messages, mode in islice(conversations(data, 0), 300)
        for message in messages
        if mode == "thinking" and message["role"] == "assistant"
    ]
    hasty = [each for each in thoughts if "%" not in each]
    assert all(each.isdigit() for each in hasty)
    assert 0.35 < len(hasty) / len(thoughts) < 0.65


def test_rows_are_whole_samples_and_batches_cover_them(tokenizer, tmp_path):
    path = tmp_path / "chat.npy"
    pack_conversations(path, tokenizer, DATA, seed=0)
    rows = np.load(path)
    assert rows.shape[1:] == (3, 129)
    for ids, samples, learn in rows:
        for sample in range(1, samples.max() + 1):
            text = tokenizer.decode(ids[samples == sample], skip_special_tokens=False)
            assert text.startswith("<｜begin▁of▁sentence｜>") and text.endswith(EOS)
            assert THINK_OPEN in text or THINK_CLOSE in text
        assert not learn[samples == 0].any()
        assert 0 < learn.sum() < (samples > 0).sum()
    packed = PackedConversations(path)
    seen = torch.cat([packed.batch(step, 1, seed=3).ids for step in range(len(rows))])
    assert sorted(map(tuple, seen.tolist())) == sorted(map(tuple, rows[:, 0].tolist()))
    assert torch.equal(packed.batch(5, 2, seed=3).ids, packed.batch(5, 2, seed=3).ids)
