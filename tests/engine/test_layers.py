"""A layer in one call against the same layer from the model's modules, over the same pages."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speciale.engine.attention import Span, StepRows
from speciale.engine.layers import Layers
from speciale.engine.store import Store, page_bytes
from speciale.model import ModelConfig, Transformer
from speciale.ops import PAGE, cpu_build

needs_kernels = pytest.mark.skipif(
    cpu_build.library() is None, reason="no C++ compiler: there is one way only"
)


def layer(topk: int, groups: int, normalise: bool, dense: bool, seed: int) -> Transformer:
    config = ModelConfig(
        vocab_size=40, hidden_size=48, intermediate_size=72, moe_intermediate_size=40,
        num_hidden_layers=1, first_k_dense_replace=int(dense), num_nextn_predict_layers=0,
        num_attention_heads=3, num_key_value_heads=3, n_routed_experts=8, n_shared_experts=2,
        num_experts_per_tok=3, n_group=groups, topk_group=max(1, groups // 2), kv_lora_rank=32,
        q_lora_rank=24, qk_rope_head_dim=8, qk_nope_head_dim=12, v_head_dim=20, index_n_heads=5,
        index_head_dim=16, index_topk=topk, norm_topk_prob=normalise,
        max_position_embeddings=4096,
    )  # fmt: skip
    model = Transformer(config)
    model.initialise(seed)
    torch.manual_seed(seed)
    for name, x in [*model.named_parameters(), *model.named_buffers()]:
        if "norm" in name or "bias" in name:  # none of them one or zero, as they begin
            x.data += torch.randn_like(x) / 4
        elif x.ndim > 1:
            x.data *= 8
    return model.eval()


@needs_kernels
@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 30)), min_size=1, max_size=6),
    st.sampled_from([16, 64, 500]),
    st.sampled_from([1, 4]),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=60)
def test_one_call_equals_the_modules(seed, places, topk, groups, normalise, dense):
    model = layer(topk, groups, normalise, dense, seed)
    most = max(-(-(start + size) // PAGE) for start, size in places)
    pages = most * len(places)
    tables = torch.randperm(pages).int().view(len(places), most)
    spans, begin = [], 0
    for table, (start, size) in enumerate(places):
        spans.append(Span(begin, begin + size, start, table, False))
        begin += size
    step = StepRows(spans, tables, topk)
    h = torch.randn(begin, model.config.hidden_size)
    past = Store(model.config, pages * page_bytes(model.config, False), mtp=False)
    past.latents(0).normal_()
    past.index(0).normal_()
    results = []
    for fused in (True, False):
        store = Store(model.config, past.bytes, mtp=False)
        store.latents(0).copy_(past.latents(0))
        store.index(0).copy_(past.index(0))
        layers = Layers(model, topk)
        if not fused:
            layers._fused = None
        given_h = h.clone()
        with torch.inference_mode():
            out, ids = layers.run(0, given_h, model.rope(step.positions), store, step)
        assert torch.equal(given_h, h)
        results.append((out, ids, store.latents(0), store.index(0)))
    (out, ids, latents, index), (out2, ids2, latents2, index2) = results
    assert torch.allclose(latents, latents2, atol=1e-5)
    assert torch.allclose(index, index2, atol=1e-5)
    assert (ids is None) == (ids2 is None) == dense
    # A near tie may choose another key or expert; such rows are few and are left out.
    same = torch.ones(begin, dtype=torch.bool)
    if not dense:
        same = (ids.sort(1)[0] == ids2.sort(1)[0]).all(1)
    close = torch.isclose(out, out2, rtol=1e-4, atol=1e-4).all(1)
    assert (~(same & close)).sum() <= begin // 40, (same, close)


def test_the_store_keeps_its_budget_and_copies_whole_pages():
    config = layer(16, 4, True, False, 0).config
    one = page_bytes(config, False)
    store = Store(config, 5 * one + one // 2, mtp=False)
    assert store.pages == 5 and store.bytes == 5 * one
    slots = torch.arange(2 * PAGE, 3 * PAGE)
    width = config.kv_lora_rank + config.qk_rope_head_dim
    latent, key = torch.randn(PAGE, width), torch.randn(PAGE, config.index_head_dim)
    store.write(0, slots, latent, key)
    store.write_routing(slots, [torch.arange(PAGE * 3).view(PAGE, 3) % 8])
    store.copy([(2, 4), (4, 0)])
    for page in (0, 4):
        assert torch.equal(store.latents(0)[page * PAGE : (page + 1) * PAGE], latent)
        assert torch.equal(store.index(0)[page], key.T)
    assert torch.equal(store.routing([0], 50), store.routing([2], 50))
    assert store.routing([2], 50).shape == (50, 1, 3)
    assert not store.latents(0)[PAGE : 2 * PAGE].any()
