"""The files of a checkpoint folder: which holds what, checked before a weight is read.

`model.safetensors.index.json` names the file of each tensor; each file's own header names its
tensors again. Where the two disagree, files were swapped, renamed or left out, and that is told
with the file before hours of reading are lost. Tensors are read, not mapped: what has been read is
then the caller's, the rest costs no memory, and the disk is told what comes next.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from speciale.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
DTYPES = {  # safetensors' names of what can be read
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
}
_AHEAD = 32 << 20  # bytes that the disk may fetch before they are asked for


@dataclass(frozen=True)
class Entry:
    """A tensor in a file."""

    file: str
    start: int  # its first byte there
    dtype: str  # safetensors' name, as in DTYPES
    shape: tuple[int, ...]


class Shards:
    """Tensors of a folder by name; `entries` is in the order in which they lie on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self._files: dict[str, FileIO] = {}
        index = _index(folder)
        for file in sorted(set(index.values())) if index is not None else [SINGLE]:
            self._read_header(file)
        for name, file in (index or {}).items():
            self._check(name, file)

    def get(self, name: str) -> Tensor:
        """A whole tensor. Any number of threads may ask."""
        entry = self.entries[name]
        out = torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
        self.read(name, out)
        return out

    def read(self, name: str, out: Tensor, skip: int = 0) -> None:
        """Fills `out`, contiguous, on the CPU and of the tensor's dtype, from the tensor's number
        `skip` on."""
        entry = self.entries[name]
        buffer = memoryview(out.view(-1).view(torch.uint8).numpy())
        at = entry.start + skip * out.element_size()
        try:
            file = self._files[entry.file].fileno()
            if hasattr(os, "posix_fadvise"):  # macOS has none
                os.posix_fadvise(file, at + len(buffer), _AHEAD, os.POSIX_FADV_WILLNEED)
            while buffer:
                count = os.preadv(file, [buffer], at)
                if not count:
                    raise OSError("it ends too early")
                buffer, at = buffer[count:], at + count
        except OSError as error:
            raise self._broken(entry.file, error) from None

    def _read_header(self, name: str) -> None:
        path = self.folder / name
        if not path.exists():
            raise CheckpointError(f"{path} is missing: copy the whole model folder")
        try:
            with safe_open(path, "pt"):  # checks that header and length are right
                pass
            self._files[name] = file = FileIO(path)
            data = 8 + int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(data - 8))
        except (SafetensorError, OSError) as error:
            raise self._broken(name, error) from None
        header.pop("__metadata__", None)
        for key, about in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            if key in self.entries:
                raise CheckpointError(
                    f"{path} holds {key}, as {self.entries[key].file} does: one of them is a copy "
                    "under another's name; copy both again"
                )
            start = data + about["data_offsets"][0]
            self.entries[key] = Entry(name, start, about["dtype"], tuple(about["shape"]))

    def _check(self, name: str, file: str) -> None:
        """That the index tells the truth about one tensor."""
        entry = self.entries.get(name)
        path = self.folder / file
        if entry is None:
            raise CheckpointError(
                f"{path} lacks {name}, which {INDEX} says it holds: the file is another's under "
                "this name; copy it again"
            )
        if entry.file != file:
            raise CheckpointError(
                f"{name} lies in {entry.file}, not in {file} as {INDEX} says: the files are "
                "swapped or renamed; copy them again"
            )

    def _broken(self, name: str, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"{self.folder / name} is corrupt or truncated ({error}): copy it again, or run again "
            "what wrote it"
        )


def _index(folder: Path) -> dict[str, str] | None:
    """File by tensor; None where there is but one file."""
    path = folder / INDEX
    if not path.exists():
        return None
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        if not weight_map or not all(
            isinstance(file, str) and Path(file).name == file for file in weight_map.values()
        ):
            raise ValueError
        return dict(weight_map)
    except (ValueError, KeyError, AttributeError, TypeError):
        raise CheckpointError(f"{path} is not a weight index: copy it again") from None
