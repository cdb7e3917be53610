"""Loading a checkpoint of 6 GB: how much memory at most, and how fast beside the bare disk.

    python benchmarks/checkpoint_streaming.py                  # makes it under build/, about 6 GB
    python benchmarks/checkpoint_streaming.py --gigabytes 1 --rounds 1

Rounds alternate between reading the files' bytes and loading the model in a process of its own,
both with nothing of them in the system's cache. "over" is the peak memory of the process, without
what an empty one takes, over the model and the largest file together. FP8 is loaded as bfloat16:
twice its size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from _results import Row, write
from speciale.model.checkpoint import load_model
from speciale.model.checkpoint.fp8 import FP8
from speciale.model.checkpoint.saving import groups_of, plan_shards, save_shard, write_index
from speciale.model.config import ModelConfig
from speciale.train.machine import peak_memory_mb

DTYPES = {"bfloat16": torch.bfloat16, "fp8": FP8}
CHUNK = 16 << 20
SHARD = 1 << 30


def shape(gigabytes: float, dtype: str) -> ModelConfig:
    """Layers of 403 million parameters of experts, as many as it takes."""
    layers = max(2, round(gigabytes * 1e9 / DTYPES[dtype].itemsize / 0.42e9))
    return ModelConfig(
        vocab_size=16384, hidden_size=2048, intermediate_size=4096, moe_intermediate_size=1024,
        num_hidden_layers=layers, first_k_dense_replace=1, num_nextn_predict_layers=0,
        num_attention_heads=16, num_key_value_heads=16, q_lora_rank=512, kv_lora_rank=256,
        n_routed_experts=64, index_n_heads=16,
    )  # fmt: skip


def make(folder: Path, config: ModelConfig, dtype: str) -> None:
    """A checkpoint of random bytes, in files of 1 GiB."""
    if (folder / "config.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    noise = torch.randint(0, 120, (1 << 26,), dtype=torch.uint8)  # no byte makes an FP8 NaN
    shards = plan_shards(groups_of(config, "released", DTYPES[dtype]), SHARD)

    def random(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        size = torch.Size(shape).numel() * dtype.itemsize
        return noise.repeat(-(-size // len(noise)))[:size].clone().view(dtype).view(shape)

    for file, groups in shards.items():
        tensors = {}
        for group in groups:
            tensors[group.name] = random(group.shape, group.dtype)
            for scale in group.names[1:]:
                sides = [-(-side // 128) for side in group.shape]
                tensors[scale] = torch.full(sides, 2.0**-10)
        save_shard(folder / file, tensors)
    write_index(folder, shards)
    config.write(folder)


def forget(folder: Path) -> None:
    """Takes the files out of the system's cache."""
    for path in folder.glob("*.safetensors"):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def read(folder: Path) -> float:
    """Seconds for the bare bytes."""
    buffer = bytearray(CHUNK)
    start = time.perf_counter()
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - start


def load(folder: Path) -> dict[str, float]:
    """In this process: seconds, and bytes of the model and of memory."""
    load_model_imports = peak_memory_mb()
    start = time.perf_counter()
    model = load_model(folder, torch.bfloat16)
    seconds = time.perf_counter() - start
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    return {
        "seconds": seconds,
        "model": size,
        "peak": (peak_memory_mb() - load_model_imports) * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("build/checkpoints"))
    parser.add_argument("--load", type=Path, help="load this and print figures as JSON")
    options = parser.parse_args()
    if options.load:
        print(json.dumps(load(options.load)))
        return
    rows: list[Row] = []
    for dtype in DTYPES:
        folder = options.folder / f"{dtype}-{options.gigabytes:g}"
        make(folder, shape(options.gigabytes, dtype), dtype)
        files = [path.stat().st_size for path in folder.glob("*.safetensors")]
        bare, loads = [], []
        for _ in range(options.rounds):
            forget(folder)
            bare.append(read(folder))
            forget(folder)
            command = [sys.executable, __file__, "--load", str(folder)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            loads.append(json.loads(done.stdout.splitlines()[-1]))
        seconds = statistics.median(each["seconds"] for each in loads)
        peak = max(each["peak"] for each in loads)
        disk = statistics.median(bare)
        rows.append(
            {
                "checkpoint": dtype, "GB": sum(files) / 1e9, "files": len(files),
                "model, GB": loads[0]["model"] / 1e9, "peak, GB": peak / 1e9,
                "over": peak / (loads[0]["model"] + max(files)),
                "disk, GB/s": sum(files) / disk / 1e9, "load, GB/s": sum(files) / seconds / 1e9,
                "load / disk": disk / seconds,
            }
        )  # fmt: skip
    write("checkpoint_streaming", rows)


if __name__ == "__main__":
    main()
