"""A plan as tables on the terminal."""

from __future__ import annotations

import math

from speciale.errors import ConfigError
from speciale.plan.hardware import GB, Hardware
from speciale.plan.serving import cache_form, contexts_of_node, weight_bytes
from speciale.plan.training import (
    Job,
    Parameters,
    block_bytes,
    gathered_bytes,
    kept_bytes,
    state_bytes,
    step_time,
    traffic,
)
from speciale.terminal import print_table
from speciale.train.parallel.ranks import Layout
from speciale.train.recipe import STAGES, Recipe, StageName

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


def job_of(recipe: Recipe, stage: StageName, hardware: Hardware, layout: Layout | None) -> Job:
    """The job, in the layout with the fewest ranks a sequence that fits where none is given."""
    config, settings = recipe.model_config_checked(), recipe.stage(stage)
    mtp = stage == "warmup" or settings.mtp_weight > 0
    shape = (config, stage, settings.batch_size, recipe.context(stage), hardware.gpus)
    if layout is not None:
        return Job(*shape, layout, mtp=mtp)
    parameters = Parameters.of(config)
    experts = math.gcd(math.gcd(hardware.gpus, config.n_routed_experts), _MOST_EXPERT_RANKS)
    jobs = []
    for context in range(1, hardware.gpus + 1):
        data = hardware.gpus // context
        if hardware.gpus % context == 0 and settings.batch_size % data == 0:
            jobs.append(Job(*shape, Layout(context, experts, 1, True), mtp=mtp))
    room = hardware.memory_gb * GB
    fitting = [job for job in jobs if sum(memory_of(job, parameters).values()) <= room]
    if not jobs:
        raise ConfigError(
            f"{settings.batch_size} sequences a step cannot be shared by {hardware.gpus} GPUs "
            f"alike: change --gpus or {stage}.batch_size"
        )
    return fitting[0] if fitting else jobs[-1]


def print_plan(
    recipe: Recipe, stage: str, hardware: Hardware, layout: Layout | None, serve_context: int
) -> None:
    """layout: None for one that fits. ConfigError for a stage that there is not, or GPUs that
    cannot share it so."""
    if stage not in STAGES:
        raise ConfigError(f"there is no stage {stage!r}: give one of {', '.join(STAGES)}")
    job = job_of(recipe, stage, hardware, layout)
    config, layout, parameters = job.config, job.layout, Parameters.of(job.config)
    print(
        f"{recipe.name}, {stage}: {parameters.total / 1e9:.4g} billion parameters, "
        f"{job.batch_size} x {job.context:,} tokens a step on {job.ranks} GPUs "
        f"({layout.context} share a sequence, {layout.experts} hold the experts, "
        f"{layout.micro_batch or job.rows} rows at once)"
    )
    memory = memory_of(job, parameters)
    total = sum(memory.values())
    memory["together"] = total
    rows = [(name, f"{size / GB:,.2f}") for name, size in memory.items()]
    print_table(("memory of a GPU", "GB"), rows, right={"GB"})
    fits = "fits" if total <= hardware.memory_gb * GB else "DOES NOT FIT"
    print(f"{fits} into {hardware.memory_gb:g} GB\n")

    moved = traffic(job, parameters)
    time = step_time(job, hardware, moved)
    rows = [
        ("weights", f"{moved.weights / GB:,.2f}"), ("gradients", f"{moved.gradients / GB:,.2f}"),
        ("tokens to experts and back", f"{moved.experts / GB:,.2f}"),
        ("latents and index keys", f"{moved.sequence / GB:,.2f}"),
        ("together", f"{moved.total / GB:,.2f}"),
    ]  # fmt: skip
    print_table(("a GPU gets, a step", "GB"), rows, right={"GB"})
    per_second = job.tokens * job.ranks / time.total
    print(
        f"a step: {time.total:.2f} s (compute {time.compute:.2f}, weights and gradients beside it "
        f"{time.sharding:.2f}, waiting {time.exposed:.2f}), {per_second:,.0f} tokens/s\n"
    )

    rows = []
    layers = config.num_hidden_layers + config.num_nextn_predict_layers
    for precision in ("fp8", "bfloat16", "float32"):
        form = cache_form(config, precision)
        count = contexts_of_node(config, hardware, serve_context, precision)
        kilobytes = [f"{layers * part / 1e3:.4g}" for part in (form.latent, form.index, form.total)]
        rows.append((precision, *kilobytes, f"{count:,}"))
    names = ("cache", "latents, kB a token", "index keys", "both", f"contexts of {serve_context:,}")
    print_table(names, rows, right=set(names[1:]))
    print(
        f"a node of {hardware.gpus_per_node} GPUs, 90% of its memory, beside "
        f"{weight_bytes(config) / GB:,.4g} GB of FP8 weights"
    )
