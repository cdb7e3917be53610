"""The layout of a planned job: as given, or the one with the fewest ranks a sequence that fits."""

from __future__ import annotations

import math

from speciale.errors import ConfigError
from speciale.plan.hardware import GB, Hardware
from speciale.plan.training import (
    Job,
    Parameters,
    block_bytes,
    gathered_bytes,
    kept_bytes,
    state_bytes,
)
from speciale.train.parallel.ranks import Layout
from speciale.train.recipe import STAGES, Recipe

_MOST_EXPERT_RANKS = 64  # V3's (report, 3.1)


def memory_of(job: Job, parameters: Parameters) -> dict[str, float]:
    """Bytes of a GPU, by what they are for."""
    live = block_bytes(job) * job.tokens_at_once if job.layout.recompute else 0.0
    return {
        "weights, gradients, moments": state_bytes(job, parameters),
        "two blocks, gathered": gathered_bytes(job, parameters),
        "activations kept": kept_bytes(job),
        "activations of the block that is recomputed": live,
    }


def job_of(
    recipe: Recipe,
    stage: str,
    hardware: Hardware,
    context: int | None,
    experts: int | None,
    micro_batch: int,
    recompute: bool,
) -> Job:
    """context, experts: ranks that share a sequence and the experts; None: as fits. Where nothing
    fits, the smallest. ConfigError for a stage that there is not, or GPUs that cannot share it."""
    if stage not in STAGES:
        raise ConfigError(f"there is no stage {stage!r}: give one of {', '.join(STAGES)}")
    config, settings = recipe.model_config_checked(), recipe.stage(stage)
    mtp = stage == "warmup" or settings.mtp_weight > 0
    gpus = hardware.gpus
    if experts is None:
        experts = math.gcd(gpus, config.n_routed_experts, _MOST_EXPERT_RANKS)

    def job(context: int) -> Job:
        layout = Layout(context, experts, micro_batch, recompute)
        shape = (config, stage, settings.batch_size, recipe.context(stage), gpus)
        return Job(*shape, layout, mtp=mtp)

    if context is not None:
        return job(context)
    divisors = [size for size in range(1, gpus + 1) if gpus % size == 0]
    jobs = [job(size) for size in divisors if settings.batch_size % (gpus // size) == 0]
    # Never empty: all GPUs may share each sequence.
    parameters, room = Parameters.of(config), hardware.memory_gb * GB
    fitting = (one for one in jobs if sum(memory_of(one, parameters).values()) <= room)
    return next(fitting, jobs[-1])
