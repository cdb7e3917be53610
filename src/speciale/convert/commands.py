"""`speciale convert`: one checkpoint made into another."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class LayoutChoice(StrEnum):
    released = "released"
    packed = "packed"


class DtypeChoice(StrEnum):
    fp8 = "fp8"
    bfloat16 = "bfloat16"
    float32 = "float32"


def convert(
    source: Annotated[Path, typer.Argument(help="A model folder, or a finished run.")],
    out: Annotated[Path, typer.Argument(help="A new folder, or one where this was stopped.")],
    layout: Annotated[
        LayoutChoice,
        typer.Option(
            help="released: experts one by one, MTP; packed: as transformers 5 holds them."
        ),
    ] = LayoutChoice.released,
    dtype: Annotated[
        DtypeChoice, typer.Option(help="fp8: with scales of 128 x 128 blocks, as released.")
    ] = DtypeChoice.bfloat16,
    add_indexers: Annotated[
        bool, typer.Option("--add-indexers", help="To a dense model (V3, V3.1), for warm-up.")
    ] = False,
    index_heads: Annotated[int | None, typer.Option(help="Of --add-indexers; 64.")] = None,
    index_dim: Annotated[int | None, typer.Option(help="Of --add-indexers; 128.")] = None,
    index_topk: Annotated[int | None, typer.Option(help="Of --add-indexers; 2048.")] = None,
    seed: Annotated[int, typer.Option(help="Of --add-indexers.")] = 0,
    shard_gb: Annotated[float, typer.Option(min=0.001, help="Largest file, GB.")] = 4.3,
    verify: Annotated[bool, typer.Option(help="Read the result back and compare.")] = True,
) -> None:
    """Make one checkpoint into another: layout, precision, indexers for a dense model.

    Reads and writes file by file, so memory stays near one file. Killed or out of space, the same
    command goes on. The result has what transformers, vLLM and SGLang need beside the weights.

    \b
    Examples:
      speciale convert DeepSeek-V3.2 V3.2-bf16                       # 690 GB to 1.4 TB
      speciale convert DeepSeek-V3.2 V3.2-packed --layout packed     # for transformers
      speciale convert runs/laptop served --dtype float32            # what we trained, for vLLM
      speciale convert runs/laptop served-fp8 --dtype fp8
      speciale convert DeepSeek-V3.1 V3.1-sparse --dtype fp8 --add-indexers
    """
    from speciale.convert.conversion import Form
    from speciale.convert.conversion import convert as run
    from speciale.convert.upgrade import WithIndexers
    from speciale.model.checkpoint.loading import model_place
    from speciale.model.checkpoint.weights import Weights

    origin = Weights(model_place(source))
    if add_indexers:
        given = dict(index_n_heads=index_heads, index_head_dim=index_dim, index_topk=index_topk)
        origin = WithIndexers(origin, seed, {k: v for k, v in given.items() if v is not None})
    form = Form(layout.value, dtype.value, int(shard_gb * 1e9), seed if add_indexers else None)
    done = run(origin, out, form, verify)
    print(f"{out}: {done.files} files, {done.bytes / 1e9:.2f} GB")
    if done.hashes is not None:
        before, after = done.hashes
        same = "the same weights" if before == after else f"rounded to {dtype.value}"
        print(f"weights sha256 {after[:16]} ({same}; source {before[:16]})")
