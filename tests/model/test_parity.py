"""Our model against transformers' DeepseekV32ForCausalLM: same weights, same logits, same sets."""

import pytest
import torch

from model.configs import PARITY, random_model, tiny_config
from speciale.model import Cache, Trace, load_model, save_model

LENGTH = 41


@pytest.fixture(scope="module", params=PARITY)
def pair(request, tmp_path_factory):
    from transformers import DeepseekV32ForCausalLM

    config = tiny_config(**PARITY[request.param])
    ours = random_model(config, seed=len(request.param))
    folder = tmp_path_factory.mktemp(request.param)
    save_model(ours, folder)
    theirs = DeepseekV32ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.randint(0, config.vocab_size, (2, LENGTH), generator=torch.manual_seed(1))
    selected = []

    def note(_module, _inputs, output):
        selected.append(output)

    for layer in theirs.model.layers:
        layer.self_attn.indexer.register_forward_hook(note)
    with torch.no_grad():
        logits = theirs.eval()(ids).logits
    return ours, theirs, ids, logits, selected


def in_chunks(model, ids, sizes):
    cache = Cache(model.config)
    with torch.no_grad():
        return torch.cat([model(part, cache=cache) for part in ids.split(sizes, 1)], 1)


@torch.no_grad()
def test_whole(pair):
    ours, _, ids, logits, _ = pair
    assert logits.std() > 0.5
    assert (ours(ids) - logits).abs().max() <= 1e-4


@pytest.mark.parametrize("sizes", [[17, 20, 4], [1] * LENGTH, [30, 3, 1, 1, 6]], ids=str)
def test_chunked_and_token_by_token(pair, sizes):
    ours, _, ids, logits, _ = pair
    assert (in_chunks(ours, ids, sizes) - logits).abs().max() <= 1e-4


@torch.no_grad()
@pytest.mark.parametrize("absorbed", [False, True])
def test_both_attention_modes(pair, absorbed, monkeypatch):
    ours, _, ids, logits, _ = pair
    monkeypatch.setattr("speciale.model.attention.Mla._absorb", lambda *_: absorbed)
    assert (in_chunks(ours, ids, [20, 21]) - logits).abs().max() <= 1e-4


@torch.no_grad()
def test_selected_sets(pair):
    ours, _, ids, _, theirs = pair
    trace = Trace()
    ours(ids, trace=trace)
    k = ours.config.index_topk
    if k >= LENGTH:
        assert trace.selected == [None] * len(theirs)  # all are selected: no selection is made
        return
    for mine, reference in zip(trace.selected, theirs, strict=True):
        for row in range(ids.shape[0]):
            for t in range(LENGTH):
                chosen = set(mine[row, t].tolist()) - {-1}
                assert chosen == {s for s in reference[row, t].tolist() if s <= t}
                assert len(chosen) == min(k, t + 1)


def test_transformers_greedy_continuation(pair):
    """Their generate against our cached decode, token by token."""
    ours, theirs, ids, _, _ = pair
    prompt = ids[:1, :12]
    expected = theirs.generate(prompt, max_new_tokens=12, do_sample=False, eos_token_id=None)
    cache, step, out = Cache(ours.config), prompt, [prompt]
    with torch.no_grad():
        for _ in range(12):
            step = ours(step, cache=cache)[:, -1:].argmax(-1)
            out.append(step)
    assert torch.equal(torch.cat(out, 1), expected)


def test_packed_layout_loads_in_both(pair, tmp_path):
    from transformers import DeepseekV32ForCausalLM

    ours, _, ids, logits, _ = pair
    save_model(ours, tmp_path, layout="packed")
    theirs = DeepseekV32ForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with torch.no_grad():
        assert (theirs(ids).logits - logits).abs().max() <= 1e-5
        assert (load_model(tmp_path)(ids) - logits).abs().max() <= 1e-4
