"""What a token costs, sparse and dense: which positions are measured, and with what."""

import pytest
import torch

from model.configs import random_model, tiny_config
from speciale.engine import bench
from speciale.evals.results import token_cost


@pytest.fixture
def model():
    return random_model(tiny_config(max_position_embeddings=600))


def test_positions_are_powers_of_two_up_to_the_models_last(model):
    threads = torch.get_num_threads()
    found = token_cost(model)
    assert [row["position"] for row in found["rows"]] == [128, 256, 512]
    assert all(row["sparse"] > 0 and row["dense"] > 0 for row in found["rows"])
    assert found["k"] == model.config.index_topk and found["threads"] == 1
    assert torch.get_num_threads() == threads


def test_a_model_without_room_for_the_first_position_has_no_rows():
    assert token_cost(random_model(tiny_config(max_position_embeddings=100)))["rows"] == []


def test_both_forms_decode_in_turns_at_each_position(model, monkeypatch):
    asked = []

    def decode_steps(core, prompts, tokens):
        asked.append((len(prompts[0]) + tokens + 2, core.options.attention))
        return [len(asked) * 1.0 + step for step in range(tokens)]

    monkeypatch.setattr(bench, "decode_steps", decode_steps)
    costs = bench.token_costs(model, (128, 256))
    turn = [(128, "sparse"), (128, "dense"), (256, "sparse"), (256, "dense")]
    assert asked == turn * 6
    # Medians without the first round, and without the first step of each other one.
    assert costs == [(128, 15.5, 16.5), (256, 17.5, 18.5)]
