"""The kernels for pages against PyTorch's operations, and these against the plain formula."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from speciale import ops
from speciale.ops import cpu_backend, cpu_build, paged_torch, torch_backend
from speciale.ops.paged_torch import PAGE

needs_kernels = pytest.mark.skipif(
    cpu_build.library() is None, reason="no C++ compiler: PyTorch's operations are used"
)


def problem(seed, queries, index_heads, index_dim, heads, width, longest):
    """Requests with scattered pages, several queries each, lengths in ascending order."""
    draw = torch.Generator().manual_seed(seed)
    requests = min(3, queries)
    most = -(-longest // PAGE)
    pages = torch.randperm(requests * most + 2, generator=draw).int()
    rows = torch.randint(requests, (queries,), generator=draw).sort().values.int()

    def normal(*shape):
        return torch.randn(*shape, generator=draw)

    return dict(
        q=normal(queries, index_heads, index_dim),
        w=normal(queries, index_heads),
        index=normal(len(pages), index_dim, PAGE),
        attention_q=normal(queries, heads, width),
        latents=normal(len(pages) * PAGE, width),
        tables=pages[: requests * most].view(requests, most).contiguous(),
        rows=rows,
        lengths=torch.randint(1, longest + 1, (queries,), generator=draw).int(),
    )


SHAPES = st.tuples(
    st.integers(0, 10**6),
    st.sampled_from([1, 2, 3, 17]),
    st.integers(1, 9),
    st.sampled_from([8, 20, 64]),
    st.sampled_from([1, 3, 8, 37, 80]),
    st.sampled_from([24, 40, 160]),
    st.sampled_from([1, 63, 64, 65, 700, 5000]),
    st.sampled_from([1, 7, 64, 300]),
)


@needs_kernels
@given(SHAPES)
@settings(max_examples=60)
def test_kernels_equal_pytorch(shape):
    *dims, topk = shape
    p = problem(*dims)
    where = p["tables"], p["rows"], p["lengths"]
    mine = cpu_backend.index_topk(p["q"], p["w"], p["index"], *where, topk)
    theirs = paged_torch.index_topk(p["q"], p["w"], p["index"], *where, topk)
    same_choice(p, mine, theirs)
    for backend in (cpu_backend.sparse_attention, paged_torch.sparse_attention):
        out = backend(p["attention_q"], p["latents"], theirs, 0.2, 16)
        assert torch.allclose(out, gathered(p, theirs), atol=1e-5)
    dense = [
        b.dense_attention(p["attention_q"], p["latents"], *where, 0.2, 16)
        for b in (cpu_backend, paged_torch)
    ]
    assert torch.allclose(*dense, atol=1e-5)


def same_choice(p, mine, theirs):
    """The same slots in the same order, or others of exactly equal score (a ReLU's zeros)."""
    for row in (mine != theirs).any(1).nonzero().squeeze(1).tolist():
        scores = []
        for slots in (mine[row], theirs[row]):
            slots = slots[slots >= 0].long()
            keys = p["index"][slots // PAGE, :, slots % PAGE]  # [k, Di]
            scores.append((F.relu(p["q"][row] @ keys.T) * p["w"][row, :, None]).sum(0).sort()[0])
        assert torch.allclose(*scores, atol=1e-5), row


def gathered(p, slots):
    """Softmax attention over each row's slots, in float64."""
    out = []
    for q, chosen in zip(p["attention_q"].double(), slots):
        kv = p["latents"][chosen[chosen >= 0].long()].double()
        out.append(((q @ kv.T) * 0.2).softmax(-1) @ kv[:, :16])
    return torch.stack(out).float()


def test_pytorch_selection_is_the_formula():
    p = problem(1, 5, 4, 8, 2, 24, 300)
    found = paged_torch.index_topk(
        p["q"], p["w"], p["index"], p["tables"], p["rows"], p["lengths"], 10
    )
    for n in range(5):
        table = p["tables"][p["rows"][n]].tolist()
        scores = {}
        for s in range(int(p["lengths"][n])):
            key = p["index"][table[s // PAGE], :, s % PAGE]
            slot = table[s // PAGE] * PAGE + s % PAGE
            scores[slot] = float((F.relu(p["q"][n] @ key) * p["w"][n]).sum())
        best = sorted(scores, key=scores.get)[-10:]
        assert set(found[n].tolist()) - {-1} == set(best)


def test_all_visible_selected_equals_dense():
    p = problem(2, 6, 4, 8, 3, 24, 200)
    where = p["tables"], p["rows"], p["lengths"]
    kernels = ops.paged(p["q"], 16)
    slots = kernels.index_topk(p["q"], p["w"], p["index"], *where, 256)
    sparse = kernels.sparse_attention(p["attention_q"], p["latents"], slots, 0.2, 16)
    dense = kernels.dense_attention(p["attention_q"], p["latents"], *where, 0.2, 16)
    assert torch.allclose(sparse, dense, atol=1e-6)


@needs_kernels
def test_unwritten_numbers_behind_a_length_are_never_read():
    p = problem(3, 4, 4, 8, 3, 24, 100)
    p["lengths"] = torch.full((4,), 70, dtype=torch.int32)
    where = p["tables"], p["rows"], p["lengths"]

    def run():
        slots = cpu_backend.index_topk(p["q"], p["w"], p["index"], *where, 20)
        sparse = cpu_backend.sparse_attention(p["attention_q"], p["latents"], slots, 0.2, 16)
        return sparse, cpu_backend.dense_attention(p["attention_q"], p["latents"], *where, 0.2, 16)

    clean = run()
    for table in p["tables"].tolist():
        p["index"][table[1], :, 6:] = float("nan")
        p["latents"][table[1] * PAGE + 6 : (table[1] + 1) * PAGE] = float("nan")
    assert all(torch.equal(a, b) for a, b in zip(clean, run()))


@needs_kernels
def test_extreme_scores_and_nan_stay_in_their_row():
    p = problem(4, 3, 2, 8, 3, 24, 130)
    p["attention_q"][0] *= 1e4
    p["attention_q"][1, 0, 0] = float("nan")
    out = cpu_backend.dense_attention(
        p["attention_q"], p["latents"], p["tables"], p["rows"], p["lengths"], 1.0, 16
    )
    assert out[1, 0].isnan().all() and out[[0, 2]].isfinite().all()
    p["q"][1] = float("nan")
    slots = cpu_backend.index_topk(
        p["q"], p["w"], p["index"], p["tables"], p["rows"], p["lengths"], 9
    )
    assert slots.max() < len(p["latents"])


@needs_kernels
@given(st.integers(1, 70), st.integers(1, 100), st.integers(1, 90))
def test_linear_equals_blas(rows, dim, outputs):
    x, weight = torch.randn(rows, dim), torch.randn(outputs, dim)
    assert torch.allclose(cpu_backend.linear(x, weight), F.linear(x, weight), atol=1e-4)


@needs_kernels
@given(st.integers(1, 20), st.integers(1, 4), st.sampled_from([3, 16, 40]))
def test_experts_equal_the_training_form(rows, copies, inner):
    ids = torch.stack([torch.randperm(6)[:copies] for _ in range(rows)])
    given_ = (torch.randn(rows, 24), ids, torch.rand(rows, copies))
    weights = torch.randn(6, 2 * inner, 24) / 5, torch.randn(6, 24, inner) / 5
    mine = cpu_backend.expert_mlp(*given_, *weights)
    assert torch.allclose(mine, torch_backend.expert_mlp(*given_, *weights), atol=1e-4)


def test_gradients_flow_where_they_are_asked_for():
    x, weight = torch.randn(2, 5, requires_grad=True), torch.randn(4, 5, requires_grad=True)
    ops.linear(x, weight).sum().backward()
    assert torch.allclose(weight.grad, x.detach().sum(0).expand(4, 5))
