"""`speciale plan`: what a job would take, before it is started."""

from __future__ import annotations

from typing import Annotated

import typer


def plan(
    recipe: Annotated[str, typer.Option(help="Built-in recipe or a TOML file.")] = "cluster",
    stage: Annotated[str, typer.Option(help="pretrain, warmup, sparse or sft.")] = "sparse",
    gpus: Annotated[int, typer.Option(min=1, help="GPUs of the job.")] = 512,
    context_ranks: Annotated[
        int | None,
        typer.Option(min=1, help="GPUs that share each sequence; else as fits."),
    ] = None,
    expert_ranks: Annotated[
        int | None, typer.Option(min=1, help="GPUs that hold the experts together; else as fits.")
    ] = None,
    micro_batch: Annotated[int, typer.Option(min=1, help="Rows that a GPU computes at once.")] = 1,
    recompute: Annotated[bool, typer.Option(help="Activations in the backward pass.")] = True,
    memory_gb: Annotated[float, typer.Option(help="Of a GPU.")] = 141.0,
    tflops: Annotated[float, typer.Option(help="Of a GPU, dense bfloat16.")] = 989.0,
    efficiency: Annotated[float, typer.Option(help="Of that, reached.")] = 0.35,
    link_gbs: Annotated[float, typer.Option(help="Between GPUs of a node, GB/s.")] = 450.0,
    network_gbs: Annotated[float, typer.Option(help="Of a GPU to other nodes, GB/s.")] = 50.0,
    serve_context: Annotated[int, typer.Option(help="Tokens of a served request.")] = 131072,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override of a recipe value.")
    ] = None,
) -> None:
    """Print memory, traffic and time of a training step, and how many contexts a node carries.

    From shapes and stated speeds alone: nothing is run. docs/scaling.md says how far that holds.

    \b
    Examples:
      speciale plan --recipe cluster --gpus 512        # in a layout that fits
      speciale plan --gpus 2048 --context-ranks 64 --expert-ranks 64
      speciale plan --stage warmup --gpus 512
      speciale plan --recipe laptop --gpus 4 --context-ranks 1 --no-recompute --memory-gb 24
    """
    from speciale.plan.choice import job_of
    from speciale.plan.hardware import Hardware
    from speciale.plan.report import print_plan
    from speciale.train.recipe import read_recipe

    hardware = Hardware(
        gpus, memory_gb=memory_gb, tflops=tflops, efficiency=efficiency, link_gbs=link_gbs,
        network_gbs=network_gbs,
    )  # fmt: skip
    made = read_recipe(recipe, overrides)
    job = job_of(made, stage, hardware, context_ranks, expert_ranks, micro_batch, recompute)
    print_plan(made.name, job, hardware, serve_context)
