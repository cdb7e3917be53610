"""The indexer's KL: value and gradients, who gets them, and how much memory it takes."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from model.configs import random_model, tiny_config
from speciale.model import Trace
from speciale.model.context import AttentionRecord, Visibility
from speciale.train import indexer_kl as module
from speciale.train.indexer_kl import indexer_kl, indexer_recall
from speciale.train.objective import Batch, language_losses, warmup_loss

K = 8


def record(length=21, batch=2, heads=3, index_heads=4, selected=True, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    visible = Visibility(length, length, torch.device("cpu"))
    mask = None
    if selected:
        mask = (torch.rand(batch, length, length, generator=generator) < 0.5) & visible.all
        mask |= torch.eye(length, dtype=torch.bool)
    index = [
        x.requires_grad_()
        for x in (
            draw(batch, length, index_heads, 6),
            draw(batch, length, 6),
            draw(batch, length, index_heads),
        )
    ]
    q, k = draw(batch, heads, length, 8), draw(batch, heads, length, 8)
    return AttentionRecord(q, k, 0.35, *index, visible, mask)


def plain_kl(r: AttentionRecord) -> torch.Tensor:
    """The definition, whole matrices and torch's own kl_div."""
    mask = r.visible.all if r.selected is None else r.selected
    p = (r.q @ r.k.transpose(2, 3) * r.scale).masked_fill(~mask[:, None], float("-inf")).softmax(-1)
    p = p.sum(1)
    p = p / p.sum(-1, keepdim=True)
    scores = torch.einsum("bthd,bsd->bths", r.index_q, r.index_k).relu()
    scores = torch.einsum("bths,bth->bts", scores, r.index_w).masked_fill(~mask, -1e9)
    kl = torch.nn.functional.kl_div(scores.log_softmax(-1), p, reduction="none").sum(-1)
    return kl.mean()


@pytest.mark.parametrize("selected", [False, True])
@pytest.mark.parametrize("block_floats", [1, 300, 1 << 20])
def test_value_and_gradients_equal_the_definition(selected, block_floats, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_FLOATS", block_floats)
    ours, theirs = record(selected=selected), record(selected=selected)
    loss, expected = indexer_kl(ours), plain_kl(theirs)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5) and loss > 0.1
    (3 * loss).backward()
    (3 * expected).backward()
    for name in ("index_q", "index_k", "index_w"):
        mine, reference = getattr(ours, name).grad, getattr(theirs, name).grad
        assert reference.abs().max() > 1e-3
        assert torch.allclose(mine, reference, atol=1e-6), name


def test_kl_is_zero_where_the_indexer_equals_the_attention():
    """One main head with q.k >= 0 and one index head can hold the same scores."""
    r = record(heads=1, index_heads=1, selected=False)
    q, k = r.q.abs()[:, 0], r.k.abs()[:, 0]
    w = torch.full((*q.shape[:2], 1), r.scale)
    same = AttentionRecord(q[:, None], k[:, None], r.scale, q[:, :, None], k, w, r.visible, None)
    assert abs(indexer_kl(same).item()) < 1e-6
    assert indexer_recall(same, topk=4) == 1.0


def test_recall_of_a_blind_indexer_is_chance():
    r = record(length=200, selected=False)
    assert 0.05 < indexer_recall(r, topk=20) < 0.6


class LargestTensor(TorchDispatchMode):
    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, torch.Tensor) and tensor.ndim:
                self.largest = max(self.largest, tensor.numel())
        return out


def largest_tensor_of_kl(length: int) -> int:
    r = record(length=length, batch=1, selected=False)
    with LargestTensor() as seen:
        indexer_kl(r).backward()
    return seen.largest


@pytest.mark.slow
def test_memory_grows_with_length_not_with_its_square(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_FLOATS", 1 << 12)
    short, long = largest_tensor_of_kl(256), largest_tensor_of_kl(1024)
    assert long <= 4 * short
    monkeypatch.setattr(module, "_BLOCK_FLOATS", 1 << 40)  # one block: the test can fail
    assert largest_tensor_of_kl(1024) > 10 * largest_tensor_of_kl(256)


@pytest.fixture
def model():
    return random_model(tiny_config(index_topk=K))


@pytest.fixture
def batch(model):
    ids = torch.randint(0, model.config.vocab_size, (2, 34), generator=torch.manual_seed(2))
    return Batch(ids).share()


def has_gradient(model, indexer: bool) -> list[bool]:
    return [
        p.grad is not None and bool(p.grad.abs().sum() > 0)
        for name, p in model.named_parameters()
        if (".indexer." in name) == indexer
    ]


def test_language_loss_alone_leaves_the_indexer_without_gradient(model, batch):
    language_losses(model, batch, "sparse", mtp_weight=0.3, kl=False).total.backward()
    assert not any(has_gradient(model, indexer=True))
    assert sum(has_gradient(model, indexer=False)) > 40


def test_kl_alone_leaves_the_model_without_gradient(model, batch):
    trace = Trace(indexer_kl)
    hidden = model.hidden(batch.ids, attention="sparse", trace=trace)
    model.mtp_hidden(hidden, batch.next_ids, "sparse", trace=trace)
    sum(trace.measured).backward()
    assert all(has_gradient(model, indexer=True))
    assert not any(has_gradient(model, indexer=False))


def test_the_joint_loss_gives_each_part_the_gradient_of_its_own_loss(model, batch):
    language_losses(model, batch, "sparse", mtp_weight=0.3, kl=False).total.backward()
    alone = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    language_losses(model, batch, "sparse", mtp_weight=0.3, kl=True).total.backward()
    for name, gradient in alone.items():
        assert torch.equal(model.get_parameter(name).grad, gradient), name


def test_warmup_trains_every_indexer_and_nothing_else(model, batch):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".indexer." in name)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    before = {name: p.clone() for name, p in model.named_parameters()}
    first = None
    for _ in range(40):
        loss = warmup_loss(model, batch)
        first = first or loss.parts["indexer_kl"]
        loss.total.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert loss.parts["indexer_kl"] < 0.8 * first
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (".indexer." not in name), name
