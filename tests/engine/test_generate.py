"""Cached generation against recomputing everything for every token."""

import pytest
import torch

from model.configs import random_model, tiny_config
from speciale.engine.generate import complete, stream


@pytest.fixture(scope="module")
def model():
    return random_model(tiny_config(index_topk=6))


@torch.no_grad()
def recomputed(model, prompt, count, stop_id):
    ids = list(prompt)
    for _ in range(count):
        token = int(model(torch.tensor([ids]))[0, -1].argmax())
        if token == stop_id:
            break
        ids.append(token)
    return ids[len(prompt) :]


PROMPTS = [[5, 9, 2], [7] * 11, [1, 2, 3], [40, 3, 3, 8, 90, 21, 4, 4, 4, 6, 77]]


def test_stream_equals_recomputation_beyond_k(model):
    for prompt in PROMPTS:
        assert list(stream(model, prompt, 20, stop_id=-1)) == recomputed(model, prompt, 20, -1)


def test_complete_equals_stream_and_stops(model):
    free = recomputed(model, PROMPTS[0], 20, -1)
    stop = free[7]
    done = dict(complete(model, PROMPTS, 20, stop_id=stop))
    assert sorted(done) == [0, 1, 2, 3]
    for index, prompt in enumerate(PROMPTS):
        assert done[index] == recomputed(model, prompt, 20, stop)
    assert len(done[0]) < 20


def test_sampling_is_seeded_and_varies(model):
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return list(stream(model, PROMPTS[0], 15, -1, temperature=1.5, generator=generator))

    assert draw(0) == draw(0)
    assert len({tuple(draw(seed)) for seed in range(4)}) > 1
