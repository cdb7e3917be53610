"""The forms of sparse attention agree, and each op agrees with the plain formula."""

import pytest
import torch
import torch.nn.functional as F

from speciale import ops
from speciale.model.context import Visibility
from speciale.ops import torch_backend

B, T, S, H, K = 2, 7, 23, 3, 5


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator)


def test_index_scores_is_the_formula(draw):
    q, k, w = draw(B, T, 4, 8), draw(B, S, 8), draw(B, T, 4)
    expected = torch.zeros(B, T, S)
    for b in range(B):
        for t in range(T):
            for s in range(S):
                expected[b, t, s] = sum(w[b, t, j] * F.relu(q[b, t, j] @ k[b, s]) for j in range(4))
    assert torch.allclose(ops.index_scores(q, k, w), expected, atol=1e-5)


@pytest.mark.parametrize("block_floats", [1, 1 << 21])
def test_select_topk_takes_the_best_visible_keys(draw, monkeypatch, block_floats):
    monkeypatch.setattr(torch_backend, "_BLOCK_FLOATS", block_floats)
    q, k, w = draw(B, S, 16, 8), draw(B, S, 8), draw(B, S, 16)
    visible = Visibility(S, S, q.device)
    ids = ops.select_topk(q, k, w, K, visible.rows)
    scores = ops.index_scores(q, k, w)
    for b in range(B):
        for t in range(S):
            best = scores[b, t, : t + 1].topk(min(K, t + 1)).indices.tolist()
            assert sorted(i for i in ids[b, t].tolist() if i >= 0) == sorted(best)


def latent_problem(draw):
    """The same attention as expanded heads (MHA) and as shared latents (MQA)."""
    rank, dr, dn, dv = 6, 4, 5, 3
    c, k_rope = draw(B, S, rank), draw(B, S, dr)
    w_uk, w_uv = draw(H, dn, rank), draw(H, dv, rank)
    q_nope, q_rope = draw(B, T, H, dn), draw(B, T, H, dr)
    k = torch.cat(
        (
            torch.einsum("bsr,hnr->bhsn", c, w_uk),
            k_rope[:, None].expand(-1, H, -1, -1),
        ),
        -1,
    )
    v = torch.einsum("bsr,hvr->bhsv", c, w_uv)
    q = torch.cat((q_nope, q_rope), -1).transpose(1, 2)
    q_absorbed = torch.cat((torch.einsum("bthn,hnr->bthr", q_nope, w_uk), q_rope), -1)
    return q, k, v, q_absorbed, torch.cat((c, k_rope), -1), w_uv, rank


@pytest.mark.parametrize("block_floats", [1, 1 << 21])
def test_masked_and_gathered_attention_agree(draw, monkeypatch, block_floats):
    monkeypatch.setattr(torch_backend, "_BLOCK_FLOATS", block_floats)
    q, k, v, q_absorbed, latents, w_uv, rank = latent_problem(draw)
    visible = Visibility(T, S, q.device)
    order = torch.rand(B, T, S, generator=torch.manual_seed(3))
    order = order.masked_fill(~visible.all, -1)
    best = order.topk(K + 15, dim=-1)  # more than early queries see: some are -1
    ids = best.indices.masked_fill(best.values < 0, -1)
    assert (ids < 0).any()
    mask = torch.zeros(B, T, S + 1, dtype=torch.bool)
    mask = mask.scatter_(-1, torch.where(ids < 0, S, ids), True)[..., :-1]
    masked = ops.full_attention(q, k, v, 0.3, mask).transpose(1, 2)  # [B, T, H, Dv]
    gathered = ops.gathered_attention(q_absorbed, latents, ids, 0.3, rank)  # [B, T, H, R]
    gathered = torch.einsum("bthr,hvr->bthv", gathered, w_uv)
    assert torch.allclose(masked, gathered, atol=1e-5)


def test_all_selected_equals_dense(draw):
    q, k, v, q_absorbed, latents, w_uv, rank = latent_problem(draw)
    visible = Visibility(T, S, q.device)
    dense = ops.full_attention(q, k, v, 0.3, visible.all).transpose(1, 2)
    ids = torch.where(visible.all, torch.arange(S), -1).expand(B, T, S)
    gathered = ops.gathered_attention(q_absorbed, latents, ids, 0.3, rank)
    assert torch.allclose(dense, torch.einsum("bthr,hvr->bthv", gathered, w_uv), atol=1e-5)


def test_expert_mlp_and_its_gradients_are_the_sum_over_chosen_experts(draw):
    n, d, m, experts, copies = 11, 6, 4, 5, 2
    leaves = [draw(n, d), draw(n, copies), draw(experts, 2 * m, d), draw(experts, d, m)]
    ids = torch.stack(
        [torch.randperm(experts - 1, generator=torch.manual_seed(i))[:copies] for i in range(n)]
    )  # the last expert gets no token

    def plain(x, weights, gate_up, down):
        rows = []
        for i in range(n):
            total = 0
            for c in range(copies):
                gate, up = (gate_up[ids[i, c]] @ x[i]).chunk(2)
                total = total + weights[i, c] * (down[ids[i, c]] @ (F.silu(gate) * up))
            rows.append(total)
        return torch.stack(rows)

    ours = [leaf.clone().requires_grad_() for leaf in leaves]
    theirs = [leaf.clone().requires_grad_() for leaf in leaves]
    x, weights, gate_up, down = ours
    out, expected = ops.expert_mlp(x, ids, weights, gate_up, down), plain(*theirs)
    assert torch.allclose(out, expected, atol=1e-5)
    upstream = draw(n, d)
    out.backward(upstream)
    expected.backward(upstream)
    for mine, reference in zip(ours, theirs, strict=True):
        assert torch.allclose(mine.grad, reference.grad, atol=1e-4)
