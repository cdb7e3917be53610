"""Random requests through the engine, each answer held against one plain forward pass.

Requests share prefixes, come while others run, are read in chunks, lose their pages and are
cancelled. Where the indexer's k-th and next score are equal to rounding, either token may be
selected ("ties aside"): such answers are counted, not compared.
"""

from __future__ import annotations

import random
from collections import Counter

import torch

from speciale import ops
from speciale.engine.core import Core, EngineOptions
from speciale.engine.params import SamplingParams
from speciale.engine.request import Completion
from speciale.engine.store import page_bytes
from speciale.model import Trace, Transformer
from speciale.model.config import Attention

_TIE = 2e-6  # relative to the spread of a query's scores


def check(model: Transformer, requests: int, seed: int, pages: int = 12, **options) -> Counter:
    """Runs and checks; returns what happened. AssertionError where an answer is not exact."""
    draw = random.Random(seed)
    attention = options.get("attention", "sparse")
    mtp = model.mtp is not None and options.get("speculate") is not False
    budget = pages * page_bytes(model.config, mtp)
    core = Core(
        model,
        None,
        EngineOptions(cache_bytes=budget, max_batch_tokens=48, max_sequences=16, **options),
    )
    vocab = model.config.vocab_size
    stems = [[draw.randrange(vocab) for _ in range(draw.randrange(20, 140))] for _ in range(5)]
    counts: Counter = Counter()
    prompts: dict[int, list[int]] = {}
    left = requests
    while left or not core.idle:
        while left and len(core.requests) < 24 and draw.random() < 0.6:
            stem = draw.choice(stems)[: draw.randrange(140)] if draw.random() < 0.6 else []
            prompt = stem + [draw.randrange(vocab) for _ in range(draw.randrange(1, 40))]
            length = draw.randrange(1, 40)
            params = SamplingParams(
                temperature=0, max_tokens=length, priority=draw.randrange(3), ignore_eos=True
            )
            [number] = core.add(prompt, params)
            prompts[number] = prompt
            left -= 1
        if core.requests and draw.random() < 0.02:
            request = core.requests[draw.choice(list(core.requests))]
            counts["preempted"] += request.sequence.preemptions > 0
            verify(model, prompts[request.sequence.id], request.completion, counts, attention)
            core.cancel(request.sequence.id)
            counts["cancelled"] += 1
        before = {n: request.sequence.preemptions for n, request in core.requests.items()}
        for update in core.step():
            if update.completion is not None:
                assert update.completion.finish_reason == "length", update.completion.error
                verify(model, prompts[update.request], update.completion, counts, attention)
                counts["hits"] += update.completion.cached_tokens > 0
                counts["preempted"] += before[update.request] > 0
        core.scheduler.check()
    core.prefix.clear()
    assert core.prefix.pool.free == core.prefix.pool.count
    counts["drafts accepted"] = core.policy.accepted
    return counts


@torch.no_grad()
def verify(
    model: Transformer,
    prompt: list[int],
    done: Completion,
    counts: Counter,
    attention: Attention = "sparse",
) -> None:
    """Every id is the plain pass's most likely one, its log-prob within 1e-4."""
    counts["checked"] += 1
    if not done.ids:
        return
    trace = Trace()
    ids = torch.tensor([prompt + done.ids])
    logits = model(ids, attention=attention, trace=trace)[0, len(prompt) - 1 : -1]  # [T, V]
    expected = logits.log_softmax(-1)
    right = logits.argmax(-1).tolist() == done.ids
    found = torch.tensor(done.model_logprobs)
    gap = (expected[range(len(done.ids)), done.ids] - found).abs().max()
    if right and gap < 1e-4:
        counts["exact"] += 1
        counts["tokens"] += len(done.ids)
        return
    assert attention == "sparse" and tied(model, ids), (
        f"ids equal: {right}, log-probs differ by {gap}"
    )
    counts["ties"] += 1


def tied(model: Transformer, ids: torch.Tensor) -> bool:
    """Whether some query's k-th and next index score, or two of a router's choices, are equal to
    rounding, so that the plain pass itself stands on a knife's edge."""
    edges: list[float] = []
    topk = model.config.index_topk
    score = ops.index_scores

    def watch(mla, arguments, _output):
        h, rope = arguments[0], arguments[1]
        q_latent = mla.project(h, rope).q_latent
        q, w = mla.indexer.queries(h, q_latent, rope)
        scores = score(q, mla.indexer.keys(h, rope), w)[0]  # [T, S]
        for t in range(topk, scores.shape[0]):
            seen = scores[t, : t + 1].sort(descending=True).values
            spread = (seen[0] - seen[-1]).clamp(min=1e-9)
            edges.append(float((seen[topk - 1] - seen[topk]) / spread))

    hooks = [layer.self_attn.register_forward_hook(watch) for layer in model.main_layers]
    model(ids)
    for hook in hooks:
        hook.remove()
    return min(edges, default=1.0) < _TIE
