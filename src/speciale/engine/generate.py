"""Plain cached generation: prefill once, then one token a step through the latent cache.

The model's own caches of latents and index keys make a step cost k tokens of attention
(V3.2-Exp report, 2.1); paging, batching and sampling filters are a serving engine's matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

from speciale.model import Cache, Transformer


def _sample(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """logits [B, V] -> ids [B]; temperature 0 is greedy."""
    if temperature == 0:
        return logits.argmax(-1)
    probs = (logits.float() / temperature).softmax(-1)
    return torch.multinomial(probs, 1, generator=generator).squeeze(1)


@torch.inference_mode()
def stream(
    model: Transformer,
    prompt: list[int],
    max_new_tokens: int,
    stop_id: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Iterator[int]:
    """Yields new token ids one by one; ends before `stop_id`, which is not yielded."""
    cache = Cache(model.config)
    step = torch.tensor([prompt])  # [1, T]
    for _ in range(max_new_tokens):
        hidden = model.hidden(step, cache=cache)[:, -1]  # [1, d]
        token = _sample(model.lm_head(hidden), temperature, generator)
        if token.item() == stop_id:
            return
        yield int(token)
        step = token[:, None]


@torch.inference_mode()
def complete(
    model: Transformer, prompts: list[list[int]], max_new_tokens: int, stop_id: int
) -> Iterator[tuple[int, list[int]]]:
    """Greedy completions of many prompts, those of equal length as one batch.

    Yields (index of the prompt, its new ids without `stop_id`) as they finish.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        by_length[len(prompt)].append(index)
    for indices in by_length.values():
        cache = Cache(model.config)
        step = torch.tensor([prompts[i] for i in indices])  # [B, T]
        new: dict[int, list[int]] = {i: [] for i in indices}
        alive = list(indices)
        for _ in range(max_new_tokens):
            tokens = _sample(model.lm_head(model.hidden(step, cache=cache)[:, -1]), 0.0, None)
            running = (tokens != stop_id).nonzero().squeeze(1)
            for row, index in enumerate(alive):
                if tokens[row] == stop_id:
                    yield index, new[index]
                else:
                    new[index].append(int(tokens[row]))
            if len(running) < len(alive):
                alive = [alive[row] for row in running.tolist()]
                tokens = tokens[running]
                cache.keep_rows(running)
            if not alive:
                break
            step = tokens[:, None]
        for index in alive:
            yield index, new[index]
