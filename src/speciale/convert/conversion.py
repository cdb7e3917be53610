"""One checkpoint made into another, file by file: memory stays near one file of the result.

Each file is written whole, so a conversion that was killed or ran out of space goes on at the
next. At the end everything is read back and compared; config.json comes last and says that all is
there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from speciale.convert.serving import check_tokenizer, write_serving_files
from speciale.errors import CheckpointError, ConfigError, SpecialeError
from speciale.files import make_folder, write_atomic
from speciale.model.checkpoint.fp8 import FP8, dequantise, quantise
from speciale.model.checkpoint.pieces import Piece
from speciale.model.checkpoint.saving import (
    Group,
    Layout,
    groups_of,
    packed,
    plan_shards,
    save_shard,
    stored_type,
    write_index,
    written_config,
)
from speciale.model.checkpoint.shards import Shards
from speciale.model.checkpoint.weights import Weights
from speciale.model.config import ModelConfig
from speciale.train.progress import task

DTYPES = {"fp8": FP8, "bfloat16": torch.bfloat16, "float32": torch.float32}
_NOTES = "convert.json"
_QUANTISED = {
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "quant_method": "fp8",
    "scale_fmt": "ue8m0",
    "weight_block_size": [128, 128],
}


class Source(Protocol):
    """Weights to convert: a checkpoint (Weights), or one that is given more (WithIndexers)."""

    folder: Path
    config: ModelConfig
    shards: Shards
    pieces: dict[str, Piece]

    def get(self, piece: Piece) -> Tensor: ...

    def quantised(self, piece: Piece) -> tuple[Tensor, Tensor] | None: ...


@dataclass(frozen=True)
class Form:
    """What the result shall be."""

    layout: Layout
    dtype: str  # of DTYPES
    shard_bytes: int
    seed: int | None = None  # of the indexers that are drawn, if some are


@dataclass(frozen=True)
class Converted:
    files: int
    bytes: int
    # of the source's weights and the result's, as float32; equal where no value was rounded
    hashes: tuple[str, str] | None


def convert(source: Source, out: Path, form: Form, verify: bool = True) -> Converted:
    """Writes `source` to `out` in another form, or goes on where it stopped.

    Raises SpecialeError where space, source or destination are not as they must be; what was
    finished stays.
    """
    if form.layout == "packed" and form.dtype == "fp8":
        raise ConfigError(
            "packed experts have no FP8 form: use --layout released, or --dtype bfloat16"
        )
    check_tokenizer(source.folder, source.config)
    conversion = _Conversion(source, out, form)
    conversion.write_files()
    hashes = conversion.verify() if verify else None
    return Converted(len(conversion.shards), conversion.finish(), hashes)


class _Conversion:
    def __init__(self, source: Source, out: Path, form: Form) -> None:
        self.source, self.out, self.form = source, out, form
        self.dtype = DTYPES[form.dtype]
        self.config = _config(source.config, form)
        groups = groups_of(source.config, form.layout, self.dtype)
        self.shards = plan_shards(groups, form.shard_bytes)

    def write_files(self) -> None:
        """Writes what an earlier try has not."""
        self._enter()
        left = {f: groups for f, groups in self.shards.items() if not (self.out / f).exists()}
        need = sum(group.nbytes for groups in left.values() for group in groups)
        free = shutil.disk_usage(self.out).free
        if need > free:
            raise SpecialeError(
                f"{self.out} needs {need / 1e9:.1f} GB more and its disk has {free / 1e9:.1f} GB "
                "free: free some space, or give a folder on another disk"
            )
        total = len(self.shards)
        with task("convert", total, total - len(left)) as progress:
            for file, groups in left.items():
                tensors: dict[str, Tensor] = {}
                for group in groups:
                    tensors |= self._make(group)
                save_shard(self.out / file, tensors)
                progress.advance(1, file)
        write_index(self.out, self.shards)

    def _enter(self) -> None:
        """Takes the folder: a new one, or that of the same conversion."""
        notes = self.out / _NOTES
        about = {"source": _identity(self.source), **asdict(self.form)}
        if notes.exists():
            if json.loads(notes.read_text()) != about:
                raise ConfigError(
                    f"{self.out} holds an unfinished conversion of another source or to another "
                    "form: delete it, or give another folder"
                )
        elif self.out.exists() and any(self.out.iterdir()):
            raise ConfigError(f"{self.out} is not empty: give a new folder")
        else:
            make_folder(self.out)
            write_atomic(notes, json.dumps(about, indent=2) + "\n")

    def _make(self, group: Group) -> dict[str, Tensor]:
        if group.dtype == FP8:
            (piece,) = group.pieces
            return dict(zip(group.names, self._quantised(piece)))
        origins = (self.source.pieces[piece.origin] for piece in group.pieces)
        return {group.name: packed(group, map(self.source.get, origins))}

    def _quantised(self, piece: Piece) -> tuple[Tensor, Tensor]:
        stored = self.source.quantised(piece)
        return stored or quantise(self.source.get(piece), self._power_of_two)

    @property
    def _power_of_two(self) -> bool:
        return self.config.quantization_config.get("scale_fmt") == "ue8m0"

    def verify(self) -> tuple[str, str]:
        """Reads source and result and compares; the hash of each one's weights, as float32.

        CheckpointError where the result does not hold what it must.
        """
        result = Weights(self.out, self.config)
        hashes: list[dict[str, str]] = [{}, {}]
        with task("verify", len(result.pieces)) as progress:
            for piece in result.in_order():
                before, after = self.source.get(piece), result.get(piece).float()
                if not torch.equal(self._rounded(piece, before), after):
                    file = result.shards.entries[result.entry(piece)].file
                    raise CheckpointError(
                        f"{self.out / file}: {piece.name} is not what was written: look after the "
                        "disk, delete the file and run the same command again"
                    )
                for found, values in zip(hashes, (before.float(), after)):
                    flat = values.contiguous().view(-1).view(torch.uint8).numpy()
                    found[piece.name] = hashlib.sha256(flat).hexdigest()
                progress.advance(1, piece.name)
        return _hash(hashes[0]), _hash(hashes[1])

    def _rounded(self, piece: Piece, values: Tensor) -> Tensor:
        """A weight of the source as the result can hold it, in float32."""
        dtype = stored_type(piece, self.dtype)
        if dtype == FP8:
            return dequantise(*self._quantised(piece))
        return values.to(dtype).float()

    def finish(self) -> int:
        """What is beside the weights; the bytes of the weights."""
        write_serving_files(self.source.folder, self.out, self.config)
        self.config.write(self.out)
        (self.out / _NOTES).unlink()
        return sum(group.nbytes for groups in self.shards.values() for group in groups)


def _identity(source: Source) -> str:
    """A hash that two sources share only if they are the same files and give the same shape."""
    facts = {"config": json.dumps(source.config.to_dict(), sort_keys=True)}
    for file in {entry.file for entry in source.shards.entries.values()}:
        about = (source.folder / file).stat()
        facts[file] = f"{about.st_size} {about.st_mtime_ns}"
    return _hash(facts)


def _hash(facts: dict[str, str]) -> str:
    """In any order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _config(config: ModelConfig, form: Form) -> ModelConfig:
    """The result's configuration: as the source's, with the words for its precision."""
    values = config.to_dict()
    quantised = values.pop("quantization_config", None)
    if form.dtype == "fp8":
        values["quantization_config"] = quantised or _QUANTISED
    values["torch_dtype"] = "float32" if form.dtype == "float32" else "bfloat16"
    return written_config(ModelConfig.from_dict(values), form.layout)
