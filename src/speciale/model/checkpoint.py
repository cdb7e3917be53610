"""HF-layout folders: `config.json` and safetensors, read and written in both layouts of experts.

released: every expert's matrices one by one, layer `num_hidden_layers` is the MTP layer with copies
of embedding and head (as in deepseek-ai/DeepSeek-V3.2); packed: as transformers 5 holds them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from speciale.errors import CheckpointError
from speciale.files import atomic, make_folder, write_atomic
from speciale.model.config import ModelConfig
from speciale.model.transformer import Transformer

Layout = Literal["released", "packed"]

_SHARD_BYTES = 4 << 30
_EXPERT = re.compile(r"(.*\.mlp\.experts)\.(\d+)\.(gate_proj|up_proj|down_proj)\.weight")
_SHARED_COPY = re.compile(r"layers\.(\d+)\.(embed_tokens|shared_head\.head)\.weight")


def load_model(folder: str | Path) -> Transformer:
    """Loads a model in float32, ready to run: an HF-layout folder, or a run (its `model/`).

    Raises CheckpointError with the file, what is wrong with it and what to do.
    """
    folder = Path(folder)
    if not (folder / "config.json").exists() and (folder / "model" / "config.json").exists():
        folder = folder / "model"
    if not folder.exists():
        raise CheckpointError(f"{folder} does not exist: give a model folder or a finished run")
    if (folder / "recipe.toml").exists():
        raise CheckpointError(
            f"the run {folder} is not finished, so it holds no model yet: run its command again"
        )
    config = ModelConfig.read(folder)
    model = Transformer(config)
    load_state(model, _packed(_read_tensors(folder), folder), where=str(folder))
    return model.eval()


def save_model(model: Transformer, folder: str | Path, layout: Layout = "released") -> None:
    """Writes `config.json` and the weights; sharded with an index above 4 GB.

    transformers loads both layouts; the packed one omits the MTP layer, which it does not know.
    """
    folder = make_folder(Path(folder))
    tensors = _released(model) if layout == "released" else _transformers(model)
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        if size + tensor.nbytes > _SHARD_BYTES and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.contiguous()
        size += tensor.nbytes
    if len(shards) == 1:
        _save(shards[0], folder / "model.safetensors")
    else:
        weight_map = {}
        for n, shard in enumerate(shards, 1):
            file = f"model-{n:05d}-of-{len(shards):05d}.safetensors"
            _save(shard, folder / file)
            weight_map |= dict.fromkeys(shard, file)
        total = sum(tensor.nbytes for tensor in tensors.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        write_atomic(folder / "model.safetensors.index.json", json.dumps(index, indent=2))
    config = model.config
    if layout == "packed":
        config = config.model_copy(update={"num_nextn_predict_layers": 0})
    config.write(folder)


def load_state(
    model: Transformer,
    tensors: dict[str, Tensor],
    where: str,
    advice: str = "copy the weights and config.json again from one place",
) -> None:
    """Copies tensors (our names) into the model; CheckpointError names what does not fit, in the
    file or folder `where`, and ends with `advice`."""
    own = model.state_dict()
    mtp_prefix = f"layers.{model.config.num_hidden_layers}."
    if model.mtp is not None and not any(name.startswith(mtp_prefix) for name in tensors):
        # transformers' checkpoints have no MTP layer: drop ours rather than invent weights
        del model.layers[-1]
        model.config = model.config.model_copy(update={"num_nextn_predict_layers": 0})
        own = model.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or unknown:
        what = f"lacks {missing[0]!r}" if missing else f"holds {unknown[0]!r}, which it should not"
        raise CheckpointError(
            f"{where} {what} ({len(missing)} weights missing, {len(unknown)} unknown) by the "
            f"model's configuration: {advice}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise CheckpointError(
                f"{where}: {name} has shape {list(tensor.shape)}, the model's configuration asks "
                f"for {list(own[name].shape)}: {advice}"
            )
    model.load_state_dict(tensors)


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    index = folder / "model.safetensors.index.json"
    if index.exists():
        try:
            files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError):
            raise CheckpointError(f"{index} is not a weight index: copy it again") from None
    else:
        files = ["model.safetensors"]
    tensors: dict[str, Tensor] = {}
    for file in files:
        path = folder / file
        if not path.exists():
            raise CheckpointError(f"{path} is missing: copy the whole model folder")
        try:
            with safe_open(path, "pt") as shard:
                tensors |= {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path} is corrupt or truncated ({error}): copy it again, or run the stage that "
                "wrote it again"
            ) from None
    return tensors


def _packed(tensors: dict[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Either layout -> our names: no `model.` prefix, experts packed, no copies, float32."""
    result: dict[str, Tensor] = {}
    experts: dict[str, dict[str, dict[int, Tensor]]] = {}
    for full_name, tensor in tensors.items():
        if full_name.endswith("weight_scale_inv"):
            raise CheckpointError(
                f"{folder} holds FP8 weights ({full_name}): dequantise them to bfloat16 first"
            )
        name = full_name.removeprefix("model.")
        if _SHARED_COPY.fullmatch(name):
            continue
        tensor = tensor.float()
        if match := _EXPERT.fullmatch(name):
            prefix, expert, kind = match.groups()
            experts.setdefault(prefix, {}).setdefault(kind, {})[int(expert)] = tensor
        else:
            result[name] = tensor
    for prefix, kinds in experts.items():
        stacks = {}
        for kind in ("gate_proj", "up_proj", "down_proj"):
            found = kinds.get(kind, {})
            if sorted(found) != list(range(max(len(k) for k in kinds.values()))):
                raise CheckpointError(
                    f"{folder}: {prefix} lacks some {kind} weights: copy it again"
                )
            stacks[kind] = torch.stack([found[e] for e in range(len(found))])  # [E, ., .]
        result[f"{prefix}.gate_up_proj"] = torch.cat((stacks["gate_proj"], stacks["up_proj"]), 1)
        result[f"{prefix}.down_proj"] = stacks["down_proj"]
    return result


def _transformers(model: Transformer) -> dict[str, Tensor]:
    """Names and packing of transformers' DeepseekV32ForCausalLM."""
    skipped = f"layers.{model.config.num_hidden_layers}."
    return {
        name if name.startswith("lm_head") else f"model.{name}": tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith(skipped)
    }


def _released(model: Transformer) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        name = name if name.startswith("lm_head") else f"model.{name}"
        if name.endswith("experts.gate_up_proj"):
            for e, (gate, up) in enumerate(t.chunk(2) for t in tensor):
                prefix = name.replace("gate_up_proj", str(e))
                tensors[f"{prefix}.gate_proj.weight"] = gate
                tensors[f"{prefix}.up_proj.weight"] = up
        elif name.endswith("experts.down_proj"):
            for e, down in enumerate(tensor):
                tensors[f"{name.replace('down_proj', str(e))}.down_proj.weight"] = down
        else:
            tensors[name] = tensor
    if model.mtp is not None:
        layer = f"model.layers.{model.config.num_hidden_layers}"
        # clones: safetensors refuses two names for one storage
        tensors[f"{layer}.embed_tokens.weight"] = model.embed_tokens.weight.detach().clone()
        tensors[f"{layer}.shared_head.head.weight"] = model.lm_head.weight.detach().clone()
    return tensors
