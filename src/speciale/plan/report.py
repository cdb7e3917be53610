"""A plan as tables on the terminal."""

from __future__ import annotations

from speciale.plan.choice import memory_of
from speciale.plan.hardware import GB, Hardware
from speciale.plan.serving import cache_form, contexts_of_node, weight_bytes
from speciale.plan.training import Job, Parameters, step_time, traffic
from speciale.terminal import print_table


def print_plan(name: str, job: Job, hardware: Hardware, serve_context: int) -> None:
    """name: of the recipe; serve_context: tokens of a request that a node serves."""
    config, layout, parameters = job.config, job.layout, Parameters.of(job.config)
    print(
        f"{name}, {job.stage}: {parameters.total / 1e9:.4g} billion parameters, "
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
