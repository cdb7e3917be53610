"""A model whose every parameter is cut over all ranks, by FSDP2 and, for experts, by expert too.

`fully_shard` (arXiv 2304.11277; ZeRO-3) gathers a block's weights when it runs and adds up its
gradients when they come. Losses are parts of the batch's (objective.Share), so gradients are added
and not averaged.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import nn
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, Shard
from torch.utils.checkpoint import checkpoint

from speciale.errors import ConfigError
from speciale.model import ModelConfig, Transformer
from speciale.model.checkpoint import load_state
from speciale.model.moe import Experts, Moe
from speciale.model.parts import held
from speciale.train.parallel.experts import AllToAll
from speciale.train.parallel.ranks import Ranks

# Nobody changes in place what the experts return.
warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")


def sharded(
    config: ModelConfig, ranks: Ranks, trained: Callable[[str], bool] = lambda _name: True
) -> Transformer:
    """A model that holds this rank's part of each parameter, empty; `place` fills it.

    trained: whether the parameter of a name gets gradients. On GPUs blocks compute in bfloat16
    from float32 masters, and gradients are added in float32.
    """
    with torch.device("meta"):
        model = Transformer(config)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained(name))
    half = torch.bfloat16 if ranks.device.type == "cuda" else None
    # Inputs are not cast: ids are no floats, and what follows is as the embedding is.
    policy = MixedPrecisionPolicy(half, half and torch.float32, cast_forward_inputs=False)
    if ranks.layout.fp8:
        _multiply_in_fp8(model)
    for block in model.layers:
        if ranks.layout.recompute:
            # An attribute of its own, so that the names of the weights stay.
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
        if isinstance(block.mlp, Moe):
            _share_experts(block.mlp.experts, ranks)
            fully_shard(
                block.mlp.experts,
                mesh=ranks.experts["copies"],
                mp_policy=policy,
                # another dimension than that of the experts, where ranks share these already
                shard_placement_fn=None if ranks.layout.experts == 1 else lambda _p: Shard(1),
            )
    for part in (*model.layers, model.embed_tokens, model.lm_head, model):  # the whole comes last
        fully_shard(part, mesh=ranks.all, mp_policy=policy)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no other
    for method in ("hidden", "mtp_hidden"):
        register_fsdp_forward_method(model, method)
    if model.mtp is not None:
        register_fsdp_forward_method(model.mtp, "predict")
    model.to_empty(device=ranks.device)
    model.reset_rope()
    return model


def copy_of(model: Transformer, ranks: Ranks, trained: Callable[[str], bool]) -> Transformer:
    """A second model with the same weights; on many ranks each holds its part."""
    if ranks.world > 1:
        copy = sharded(model.config, ranks, trained)
    else:
        copy = Transformer(model.config)
        for name, parameter in copy.named_parameters():
            parameter.requires_grad_(trained(name))
    load_state(copy, model.state_dict(), "the model to copy")
    return copy


def _share_experts(experts: Experts, ranks: Ranks) -> None:
    """Leaves this rank its E / ranks experts."""
    count = ranks.layout.experts
    if count == 1:
        return
    mesh = ranks.experts["experts"]
    for name, parameter in list(experts.named_parameters()):
        local = torch.empty(len(parameter) // count, *parameter.shape[1:], device="meta")
        whole = DTensor.from_local(local, mesh, [Shard(0)], run_check=False)
        setattr(experts, name, nn.Parameter(whole, requires_grad=parameter.requires_grad))
    experts.dispatch = AllToAll(mesh.get_group())


def _multiply_in_fp8(model: Transformer) -> None:
    """Linear layers of blocks in FP8, scales a row, by torchao (V3 report, 3.3, has finer ones).

    Router, head and what the indexer's weights come from stay as they are.
    """
    try:
        from torchao.float8 import Float8LinearConfig, convert_to_float8_training
    except ImportError:
        raise ConfigError("--fp8 needs torchao: pip install torchao") from None

    def wanted(module: nn.Module, name: str) -> bool:
        sides = (module.in_features, module.out_features)
        kept = ("lm_head", "weights_proj", "eh_proj")
        return all(side % 16 == 0 for side in sides) and not name.endswith(kept)

    config = Float8LinearConfig.from_recipe_name("rowwise")
    convert_to_float8_training(model, config=config, module_filter_fn=wanted)


def clip_gradients(parameters: list[nn.Parameter], limit: float, ranks: Ranks) -> float:
    """Scales the gradients to a norm of at most `limit`, over all ranks; returns what it was."""
    if ranks.world == 1:
        return float(nn.utils.clip_grad_norm_(parameters, limit))
    grads = [held(p.grad)[0] for p in parameters if p.grad is not None]
    squares = torch.zeros((), device=ranks.device)
    for grad in grads:
        squares += grad.square().sum()
    ranks.total(squares)  # every rank holds another part of every parameter
    norm = float(squares.sqrt())
    scale = limit / (norm + 1e-6)
    if scale < 1:
        for grad in grads:
            grad.mul_(scale)
    return norm
