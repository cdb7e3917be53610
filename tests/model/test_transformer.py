"""Properties of the model that the parity oracle does not cover."""

import pytest
import torch

from model.configs import random_model, tiny_config
from speciale.errors import CheckpointError
from speciale.model import Trace, Transformer, load_model, save_model


def ids_for(model, length=30, batch=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, model.config.vocab_size, (batch, length), generator=generator)


@pytest.fixture(scope="module")
def model():
    return random_model(tiny_config())


@torch.no_grad()
def test_sparse_differs_from_dense_and_window_and_k_above_length_does_not(model):
    ids = ids_for(model)
    sparse, dense, window = (model(ids, attention=a) for a in ("sparse", "dense", "window"))
    k = model.config.index_topk
    assert torch.allclose(sparse[:, :k], dense[:, :k], atol=1e-5)
    assert torch.allclose(window[:, :k], dense[:, :k], atol=1e-5)
    for other in (dense, window):
        assert (sparse[:, k:] - other[:, k:]).abs().max() > 0.1
    wide = Transformer(tiny_config(index_topk=64))
    wide.load_state_dict(model.state_dict())
    assert torch.allclose(wide(ids), dense, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sparse", "dense", "window"])
def test_no_form_of_attention_sees_the_future(model, attention):
    ids = ids_for(model)
    changed = ids.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % model.config.vocab_size
    a, b = model(ids, attention=attention), model(changed, attention=attention)
    assert torch.allclose(a[:, :20], b[:, :20], atol=1e-5)
    assert (a[:, 20:] - b[:, 20:]).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("attention", ["sparse", "dense", "window"])
def test_packed_documents_do_not_see_each_other(model, attention):
    """A document's logits do not depend on what is packed before it, at the same positions."""
    ids = ids_for(model)
    documents = (torch.arange(30) >= 12).long().expand(2, -1)
    other = ids.clone()
    other[:, :12] = (other[:, :12] + 5) % model.config.vocab_size
    a = model(ids, attention=attention, documents=documents)
    b = model(other, attention=attention, documents=documents)
    assert torch.allclose(a[:, 12:], b[:, 12:], atol=1e-5)
    assert (a[:, :12] - b[:, :12]).abs().max() > 0.1


@torch.no_grad()
def test_replayed_routing_is_used_and_reproduces_the_logits(model):
    ids = ids_for(model)
    trace = Trace()
    logits = model(ids, trace=trace)
    assert [r.shape for r in trace.routing] == [(2, 30, 2)] * 2
    assert torch.allclose(model(ids, replay=trace.routing), logits, atol=1e-6)
    shifted = [(r + 1) % model.config.n_routed_experts for r in trace.routing]
    again = Trace()
    assert (model(ids, replay=shifted, trace=again) - logits).abs().max() > 0.1
    assert all(torch.equal(a, b) for a, b in zip(again.routing, shifted, strict=True))


def test_the_bias_moves_choice_but_not_weights(model):
    router = model.layers[1].mlp.gate
    h = torch.randn(400, model.config.hidden_size, generator=torch.manual_seed(0))
    ids, weights = router(h)
    load = ids.flatten().bincount(minlength=8).float()
    favourite = int(load.argmax())
    before = router.e_score_correction_bias.clone()
    for _ in range(200):
        router.rebalance(ids.flatten().bincount(minlength=8).float(), speed=0.01)
        ids, weights = router(h)
    balanced = ids.flatten().bincount(minlength=8).float()
    assert balanced.max() / balanced.mean() < 1.3 < load.max() / load.mean()
    assert router.e_score_correction_bias[favourite] < before[favourite]
    scores = torch.nn.functional.linear(h, router.weight).sigmoid().gather(1, ids)
    expected = scores / scores.sum(-1, keepdim=True) * model.config.routed_scaling_factor
    assert torch.allclose(weights, expected, atol=1e-6)
    router.e_score_correction_bias.copy_(before)


def test_group_limit_keeps_choices_in_the_best_groups(model):
    router = model.layers[1].mlp.gate
    h = torch.randn(200, model.config.hidden_size, generator=torch.manual_seed(0))
    ids, _ = router(h)
    choice = torch.nn.functional.linear(h, router.weight).sigmoid()
    choice = choice + router.e_score_correction_bias
    for row, chosen in zip(choice, ids, strict=True):
        ranks = [sum(sorted(row[2 * g : 2 * g + 2].tolist())) for g in range(4)]
        allowed = sorted(range(4), key=lambda g: -ranks[g])[:2]
        assert {int(e) // 2 for e in chosen} <= set(allowed)


@torch.no_grad()
def test_mtp_predicts_from_the_past_and_the_next_token_only(model):
    ids = ids_for(model, length=31)
    hidden = model.hidden(ids[:, :-1])
    out = model.mtp_hidden(hidden, ids[:, 1:])
    changed = ids.clone()
    changed[:, 21:] = (changed[:, 21:] + 1) % model.config.vocab_size
    again = model.mtp_hidden(model.hidden(changed[:, :-1]), changed[:, 1:])
    # position t reads tokens up to t + 1
    assert torch.allclose(out[:, :20], again[:, :20], atol=1e-5)
    assert (out[:, 20] - again[:, 20]).abs().max() > 0.01


def test_both_layouts_round_trip_bit_for_bit(model, tmp_path):
    from safetensors import safe_open

    for layout, mtp in (("released", 1), ("packed", 0)):
        save_model(model, tmp_path / layout, layout=layout)
        again = load_model(tmp_path / layout)
        assert again.config.num_nextn_predict_layers == mtp
        state = again.state_dict()
        assert state.keys() <= model.state_dict().keys()
        assert all(torch.equal(model.state_dict()[name], state[name]) for name in state)
    with safe_open(tmp_path / "released" / "model.safetensors", "pt") as file:
        names = set(file.keys())
    for name in (
        "model.embed_tokens.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.1.mlp.experts.7.down_proj.weight",
        "model.layers.1.mlp.gate.e_score_correction_bias",
        "model.layers.2.self_attn.indexer.wq_b.weight",
        "model.layers.2.self_attn.indexer.k_norm.bias",
        "model.layers.2.self_attn.kv_a_proj_with_mqa.weight",
        "model.layers.3.eh_proj.weight",
        "model.layers.3.enorm.weight",
        "model.layers.3.shared_head.head.weight",
        "lm_head.weight",
    ):
        assert name in names, name


def test_shards_with_an_index(model, tmp_path, monkeypatch):
    monkeypatch.setattr("speciale.model.checkpoint.saving.SHARD_BYTES", 20_000)
    save_model(model, tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 3
    ids = ids_for(model)
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path)(ids), model(ids))
    next(tmp_path.glob("model-00002-*")).unlink()
    with pytest.raises(CheckpointError, match=r"model-00002-.* is missing"):
        load_model(tmp_path)


def test_weights_of_another_configuration_are_refused(model, tmp_path):
    save_model(model, tmp_path)
    tiny_config(hidden_size=32).write(tmp_path)
    with pytest.raises(CheckpointError, match=r"has shape .* configuration asks for"):
        load_model(tmp_path)
