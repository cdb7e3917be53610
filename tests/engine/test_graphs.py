"""Recorded steps of decoding against steps that run, by a recorder that needs no GPU: it replays by
running the step again, from the same tensors into the same ones."""

import pytest
import torch

from model.configs import random_model, tiny_config
from speciale import LLM, SamplingParams
from speciale.engine import graphs
from speciale.engine.graphs import DecodeGraphs
from speciale.engine.llm import placed
from speciale.ops import torch_backend

PROMPTS = [[5, 9, 2], [7] * 30, [1, 2, 3, 4] * 20, [8] * 11, [3, 4] * 5]
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def run_again(work):
    out = work()
    return out, lambda: out.copy_(work())


def make(monkeypatch, recording, **options):
    monkeypatch.setattr(graphs, "recorded", run_again)
    monkeypatch.setattr(DecodeGraphs, "serve", staticmethod(lambda weight: recording))
    return LLM(random_model(tiny_config(index_topk=16)), cache_bytes=4 << 20, **options)


def texts(llm, prompts=PROMPTS, **more):
    params = SamplingParams(max_tokens=40, seed=3, ignore_eos=True, routing=True, **more)
    outputs = llm.generate(prompts, params)
    return [(c.ids, c.routing.tolist()) for out in outputs for c in out.completions]


def recordings(llm):
    return llm.core.runner._graphs._recordings


@pytest.mark.parametrize("speculate", [False, True])
def test_a_recorded_step_gives_the_same_tokens(monkeypatch, speculate):
    plain = make(monkeypatch, False, speculate=speculate)
    recorded = make(monkeypatch, True, speculate=speculate)
    assert texts(recorded, n=2) == texts(plain, n=2)
    assert texts(recorded, PROMPTS[:1]) == texts(plain, PROMPTS[:1])
    counts, lengths = map(set, zip(*recordings(recorded)))
    assert counts <= {1, 2, 4, 8, 16, 32} and 16 in counts
    assert lengths == {16, 32, 64, 128}  # up to k tokens, and beyond


def test_padding_touches_no_page_of_a_sequence(monkeypatch):
    llm = make(monkeypatch, True, speculate=False)
    spare = llm.core.store.spare
    assert spare == llm.core.store.pages == llm.core.prefix.pool.count
    texts(llm, PROMPTS[:3])  # three rows in a recording of four
    assert llm.core.store.index(0)[spare].any()  # the padding wrote, and there
    assert {count for count, _ in recordings(llm)} == {4}


def test_fewer_rows_than_before_leave_padding_behind(monkeypatch):
    llm = make(monkeypatch, True, speculate=False)
    alone = [texts(make(monkeypatch, False, speculate=False), [prompt]) for prompt in PROMPTS]
    texts(llm)
    assert [texts(llm, [prompt]) for prompt in PROMPTS] == alone


def test_new_weights_reach_what_is_recorded(monkeypatch):
    llm, other = make(monkeypatch, True, speculate=False), random_model(tiny_config(), seed=5)
    before = texts(llm)
    llm.core.update_weights(other.state_dict())
    after = texts(llm)
    assert after != before
    plain = make(monkeypatch, False, speculate=False)
    plain.core.update_weights(other.state_dict())
    assert after == texts(plain)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_grouped_experts_are_the_experts(rows):
    generator = torch.Generator().manual_seed(rows)
    x, gate_up, down = (
        torch.randn(shape, generator=generator) for shape in ((rows, 16), (8, 24, 16), (8, 16, 12))
    )
    ids = torch.rand(rows, 8, generator=generator).topk(3).indices
    weights = torch.rand(rows, 3, generator=generator)
    ours = torch_backend.grouped_expert_mlp(x, ids, weights, gate_up, down)
    assert torch.allclose(ours, torch_backend.expert_mlp(x, ids, weights, gate_up, down), atol=1e-5)


@needs_gpu
def test_on_a_gpu_a_graph_replays_what_the_step_gives():
    llm = LLM(
        placed(random_model(tiny_config(index_topk=16)), "cuda"),
        cache_bytes=4 << 20,
        speculate=False,
    )
    recorded = texts(llm, temperature=0)
    assert recordings(llm)
    llm.core.runner._graphs = None
    plain = texts(llm, temperature=0)
    agree = [a == b for (one, _), (two, _) in zip(recorded, plain) for a, b in zip(one, two)]
    assert sum(agree) > 0.9 * len(agree)  # other shapes round otherwise
