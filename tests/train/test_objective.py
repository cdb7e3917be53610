"""Targets, the schedule, and the FLOPs that MFU counts."""

import pytest
import torch

from speciale.model import ModelConfig, Transformer
from speciale.train.flops import active_parameters, training_flops
from speciale.train.objective import IGNORED, Batch
from speciale.train.optimiser import learning_rate
from speciale.train.recipe import Stage, read_recipe

IDS = torch.tensor([[10, 11, 12, 13, 14, 15]])


def test_targets_one_and_two_ahead():
    batch = Batch(IDS)
    assert batch.targets(1).tolist() == [[11, 12, 13, 14, 15]]
    assert batch.targets(2).tolist() == [[12, 13, 14, 15, IGNORED]]


def test_targets_stay_inside_a_document_and_what_is_learnt():
    documents = torch.tensor([[1, 1, 1, 2, 2, 2]])
    learn = torch.tensor([[False, True, True, True, True, False]])
    batch = Batch(IDS, documents, learn)
    assert batch.targets(1).tolist() == [[11, 12, IGNORED, 14, IGNORED]]
    assert batch.targets(2).tolist() == [[12, IGNORED, IGNORED, IGNORED, IGNORED]]


def test_schedule_rises_stays_and_falls():
    stage = Stage(steps=100, learning_rate=1.0, warmup_share=0.1, decay_share=0.2, final_share=0.1)
    rates = [learning_rate(stage, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[79] == 1.0
    assert rates[80:] == sorted(set(rates[80:]), reverse=True)
    assert rates[-1] == pytest.approx(0.1 + 0.9 / 20)


@pytest.mark.parametrize("name", ["tiny", "laptop"])
def test_active_parameters_are_those_of_the_matmuls(name):
    """Counted from the modules: all matrices but the embedding, experts by their active share."""
    config = read_recipe(name).model_config_checked()
    total = 0
    for key, parameter in Transformer(config).named_parameters():
        if parameter.ndim < 2 or "embed_tokens" in key or ".indexer." in key:
            continue
        share = config.num_experts_per_tok / config.n_routed_experts if ".experts." in key else 1
        times = 2 if key == "lm_head.weight" else 1  # the MTP block's head is the same one
        total += parameter.numel() * share * times
    assert active_parameters(config) == total


def test_flops_of_the_released_model_are_near_six_times_its_37_billion():
    config = ModelConfig()
    flops = training_flops(config, "pretrain", context=1, mtp=False)
    assert 36e9 < active_parameters(config, mtp=False) < 38e9
    assert flops == pytest.approx(6 * active_parameters(config, mtp=False), rel=0.01)
    short, long = (training_flops(config, "sparse", c, mtp=False) for c in (4096, 131072))
    dense = training_flops(config, "pretrain", 131072, mtp=False)
    assert long < 0.5 * dense and long < 3 * short
