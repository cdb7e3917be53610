"""The files of a checkpoint folder: which holds what, checked before a weight is read.

`model.safetensors.index.json` names the file of each tensor; each file's own header names its
tensors again. Where the two disagree, files were swapped, renamed or left out, and that is told
with the file before hours of reading are lost.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from speciale.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_OPEN_FILES = 2  # what is read of them stays mapped, and counts as memory


@dataclass(frozen=True)
class Entry:
    """A tensor in a file."""

    file: str
    place: int  # in the file, by its bytes
    dtype: str  # safetensors' name: F32, BF16, F8_E4M3
    shape: tuple[int, ...]


class Shards:
    """Tensors of a folder by name; `entries` is in the order in which they lie on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self._open: OrderedDict[str, safe_open] = OrderedDict()
        index = _index(folder)
        for file in sorted(set(index.values())) if index is not None else [SINGLE]:
            self._read_header(file)
        for name, file in (index or {}).items():
            self._check(name, file)

    def get(self, name: str) -> Tensor:
        """A whole tensor, mapped from the file: copy what must outlive the next few calls."""
        entry = self.entries[name]
        return self._tried(entry.file, lambda file: file.get_tensor(name))

    def rows(self, name: str, first: int, start: int, stop: int) -> Tensor:
        """tensor[first, start:stop], without reading the rest."""
        entry = self.entries[name]
        return self._tried(
            entry.file, lambda file: file.get_slice(name)[first : first + 1, start:stop][0]
        )

    def _tried(self, name: str, read):
        try:
            return read(self._file(name))
        except (SafetensorError, OSError) as error:
            raise self._broken(name, error) from None

    def _file(self, name: str) -> safe_open:
        if name not in self._open:
            self._open[name] = safe_open(self.folder / name, "pt")
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
        self._open.move_to_end(name)
        return self._open[name]

    def _read_header(self, name: str) -> None:
        path = self.folder / name
        if not path.exists():
            raise CheckpointError(f"{path} is missing: copy the whole model folder")
        try:
            with safe_open(path, "pt") as file:
                for place, key in enumerate(file.offset_keys()):
                    if key in self.entries:
                        raise CheckpointError(
                            f"{path} holds {key}, as {self.entries[key].file} does: one of them "
                            "is a copy under another's name; copy both again"
                        )
                    part = file.get_slice(key)
                    shape = tuple(part.get_shape())
                    self.entries[key] = Entry(name, place, str(part.get_dtype()), shape)
        except (SafetensorError, OSError) as error:
            raise self._broken(name, error) from None

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
