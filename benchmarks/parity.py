"""Our model against transformers' DeepseekV32ForCausalLM: largest difference of a logit.

Random weights in the tiny configurations of the parity tests (k above and below the length, 0 to 2
dense layers, groups, YaRN); float32, the whole sequence at once, in chunks, and token by token.

    python benchmarks/parity.py
"""

import sys
import tempfile
from pathlib import Path

import torch

from _results import write
from speciale.model import Cache, Trace, Transformer, save_model

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from model.configs import PARITY, random_model, tiny_config

LENGTH = 41


def in_pieces(model: Transformer, ids: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    cache = Cache(model.config)
    return torch.cat([model(part, cache=cache) for part in ids.split(sizes, 1)], 1)


@torch.no_grad()
def compare(name: str) -> dict:
    from transformers import DeepseekV32ForCausalLM

    config = tiny_config(**PARITY[name])
    ours = random_model(config, seed=len(name))
    with tempfile.TemporaryDirectory() as folder:
        save_model(ours, folder)
        theirs = DeepseekV32ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    chosen = []
    for layer in theirs.model.layers:
        layer.self_attn.indexer.register_forward_hook(lambda *call: chosen.append(call[-1]))
    ids = torch.randint(0, config.vocab_size, (2, LENGTH), generator=torch.manual_seed(1))
    logits = theirs(ids).logits
    trace = Trace()
    whole = ours(ids, trace=trace)
    row = {"configuration": name, "k": config.index_topk, "logit std": float(logits.std())}
    row["whole"] = float((whole - logits).abs().max())
    for label, sizes in (("chunks", [17, 20, 4]), ("token by token", [1] * LENGTH)):
        row[label] = float((in_pieces(ours, ids, sizes) - logits).abs().max())
    row["sets equal"] = str(all(map(same_sets, trace.selected, chosen)))
    return row


def same_sets(mine: torch.Tensor | None, theirs: torch.Tensor) -> bool:
    """Per query, ours [B, T, k] (-1: none; None: all) and theirs, which may name the future."""
    if mine is None:
        return theirs.shape[-1] >= LENGTH
    return all(
        set(mine[b, t].tolist()) - {-1} == {s for s in theirs[b, t].tolist() if s <= t}
        for b in range(len(mine))
        for t in range(LENGTH)
    )


if __name__ == "__main__":
    write("parity", [compare(name) for name in PARITY])
