"""Do vLLM and SGLang read the configuration of what we export? Their own parsers say.

    python benchmarks/engine_configs.py runs/laptop/model
    python benchmarks/engine_configs.py served --keep build/engines

Fetches the two source archives from PyPI (50 and 20 MB) and runs their configuration classes in a
process each, without the engines' compiled parts, which need GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

from _results import Row, write

ENGINES = {"vllm": "0.33.0", "sglang": "0.5.9"}
# What their configuration modules import, and we do not have.
NEEDED = {
    "vllm": ["cbor2", "openai-harmony", "cachetools", "cloudpickle"],
    "sglang": [
        "pybase64",
        "orjson",
        "torchvision==0.28.0",
        "partial-json-parser",
        "dill",
        "sentencepiece",
        "compressed-tensors",
        "loguru",
    ],
}
READS = {
    "vllm": """
from vllm.transformers_utils.config import get_config
c = get_config(FOLDER, trust_remote_code=False)
print(json.dumps([c.architectures[0], c.index_topk, c.n_routed_experts, c.kv_lora_rank]))
""",
    # torchvision's compiled part is CUDA's; two of its operators are looked up at its import.
    "sglang": """
import torch
for operator in ("nms", "qnms"):
    torch.library.define(
        f"torchvision::{operator}",
        "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    )
from sglang.srt.configs.model_config import ModelConfig, get_nsa_index_topk, is_deepseek_nsa
m = ModelConfig(FOLDER)
c = m.hf_config
assert is_deepseek_nsa(c)
print(json.dumps([c.architectures[0], get_nsa_index_topk(c), c.n_routed_experts, m.kv_lora_rank]))
""",
}


def sources(name: str, version: str, folder: Path) -> Path:
    """The unpacked source archive."""
    place = folder / f"{name}-{version}"
    if not place.exists():
        index = urllib.request.urlopen(f"https://pypi.org/simple/{name}/").read().decode()
        [url] = re.findall(rf'href="([^"#]*/{name}-{version}\.tar\.gz)', index)
        folder.mkdir(parents=True, exist_ok=True)
        archive = folder / f"{name}.tar.gz"
        urllib.request.urlretrieve(url, archive)
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        archive.unlink()
    return place


def extras(name: str, folder: Path) -> Path:
    place = folder / f"{name}-needs"
    if not place.exists():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
        subprocess.run([*command, str(place), *NEEDED[name]], check=True)
    return place


def _judged(found: list | None, expected: list) -> str:
    if found is None:
        return "could not be run"
    return "yes" if found == expected else "otherwise"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?", default=Path("runs/laptop/model"))
    parser.add_argument("--keep", type=Path, default=Path("build/engines"))
    options = parser.parse_args()
    wanted = json.loads((options.model / "config.json").read_text())
    keys = ("index_topk", "n_routed_experts", "kv_lora_rank")
    expected = [wanted["architectures"][0], *(wanted[key] for key in keys)]
    rows: list[Row] = []
    for name, version in ENGINES.items():
        path = [str(sources(name, version, options.keep)), str(extras(name, options.keep))]
        code = f"import json\nFOLDER = {str(options.model)!r}\n{READS[name]}"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        )  # fmt: skip
        said = re.findall(r"^\[.*\]$", done.stdout, re.M)
        found = json.loads(said[-1]) if said else None
        why = "" if found else done.stderr.strip().splitlines()[-1]
        rows.append(
            {"engine": f"{name} {version}", "reads it": _judged(found, expected),
             "what": str(found or why)}
        )  # fmt: skip
    write("engine_configs", rows)


if __name__ == "__main__":
    main()
