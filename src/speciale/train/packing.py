"""Packed tokens: documents end to end in one file, cut into windows that ignore their edges.
DeepSeek-V3 report (arXiv:2412.19437), section 4.1: document packing, no cross-sample mask."""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from speciale.chat.markers import BOS, EOS
from speciale.errors import ConfigError, DataError
from speciale.files import open_atomic

# The file: a header of this many bytes (JSON, filled up with spaces), then the token ids.
_HEADER_BYTES = 256
_FORMAT = "speciale-tokens-1"
_TEXTS_AT_ONCE = 64


def document_tokens(texts: Iterable[str], tokenizer: Tokenizer) -> Iterator[list[int]]:
    """Yield one document at a time as ids: BOS, the text, EOS."""
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    texts = iter(texts)
    # Several at once, since `tokenizers` encodes a list on all cores.
    while some := list(islice(texts, _TEXTS_AT_ONCE)):
        for encoding in tokenizer.encode_batch_fast(some, add_special_tokens=False):
            yield [bos, *encoding.ids, eos]


def write_tokens(
    path: str | Path,
    chunks: Iterable[np.ndarray | list[int]],
    vocab_size: int,
    fingerprint: str,
) -> int:
    """Write the ids of all `chunks` (each [any length]) end to end to `path`; return how many.

    An id takes two bytes where `vocab_size` allows it, else four. `fingerprint` is that of the
    tokenizer that made the ids. The file appears whole or not at all. Raises DataError for an
    id outside [0, vocab_size) and where there are no ids.
    """
    dtype = np.dtype("<u2" if vocab_size <= 2**16 else "<u4")
    count = 0
    with open_atomic(path) as file:
        file.seek(_HEADER_BYTES)
        for chunk in chunks:
            ids = np.asarray(chunk, dtype=np.int64)
            if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
                wrong = ids.min() if ids.min() < 0 else ids.max()
                raise DataError(
                    f"The token id {wrong} does not fit the vocabulary of {vocab_size} tokens: "
                    "encode the text with the tokenizer of this run."
                )
            file.write(ids.astype(dtype).tobytes())
            count += ids.size
        if count == 0:
            raise DataError(f"There are no tokens to write to {path}: its texts are empty.")
        file.seek(0)
        file.write(_header(dtype, count, vocab_size, fingerprint))
    return count


def _header(dtype: np.dtype, count: int, vocab_size: int, fingerprint: str) -> bytes:
    fields = {
        "format": _FORMAT,
        "dtype": dtype.str,
        "count": count,
        "vocab_size": vocab_size,
        "fingerprint": fingerprint,
    }
    return json.dumps(fields).encode().ljust(_HEADER_BYTES - 1) + b"\n"


class PackedTokens:
    """A token file, memory-mapped: only the windows that a batch needs are read from disk.

    `count` tokens, ids below `vocab_size`, made by the tokenizer with `fingerprint`. Raises
    DataError where the file is missing, truncated or no token file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            size = self.path.stat().st_size
            with open(self.path, "rb") as file:
                header = json.loads(file.read(_HEADER_BYTES))
            if header["format"] != _FORMAT:
                raise ValueError(f"format {header['format']!r}")
            dtype = np.dtype(header["dtype"])
            self.count: int = header["count"]
            self.vocab_size: int = header["vocab_size"]
            self.fingerprint: str = header["fingerprint"]
        except OSError as error:
            raise DataError(
                f"The token file {path} cannot be read ({error.strerror}): prepare the data first."
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is no token file or its header is corrupt ({error}): "
                "delete it and prepare the data again."
            ) from error
        expected = _HEADER_BYTES + self.count * dtype.itemsize
        if size != expected:
            raise DataError(
                f"The token file {path} has {size} bytes where its header promises {expected}: "
                "it was cut or changed; delete it and prepare the data again."
            )
        self._tokens = np.memmap(self.path, dtype, mode="r", offset=_HEADER_BYTES)

    def batch(self, step: int, batch_size: int, length: int, seed: int) -> np.ndarray:
        """The batch of `step` (from 0): int64 [batch_size, length + 1], inputs and targets in one.

        A pure function of its arguments, so a resumed run needs no state of the reader. The file
        is a ring; an epoch cuts it into count // length windows from an offset that is new each
        time, and visits each once, in an order that is new each time. A token is thus predicted
        once an epoch; fewer than `length` tokens, elsewhere each time, are left out. Raises
        DataError where the file is shorter than one window or an id in it is corrupt.
        """
        if min(step, seed) < 0 or min(batch_size, length) < 1:
            raise ConfigError(
                f"There is no batch for {step=}, {batch_size=}, {length=}, {seed=}: step and seed "
                "must be at least 0, batch_size and length at least 1."
            )
        if self.count < length + 1:
            raise DataError(
                f"The token file {self.path} holds {self.count} tokens, fewer than one window of "
                f"{length} + 1: add text or train on shorter sequences."
            )
        windows = self.count // length
        starts = np.empty(batch_size, dtype=np.int64)
        for row in range(batch_size):
            epoch, place = divmod(step * batch_size + row, windows)
            offset, order = _epoch_plan(seed, epoch, self.count, windows)
            starts[row] = offset + order[place] * length
        tokens = self._tokens[(starts[:, None] + np.arange(length + 1)) % self.count]
        if tokens.max() >= self.vocab_size:
            raise DataError(
                f"The token file {self.path} holds the id {tokens.max()}, but its vocabulary has "
                f"{self.vocab_size} tokens: it is corrupt; delete it and prepare the data again."
            )
        return tokens.astype(np.int64)


@lru_cache(maxsize=4)  # the current epoch, and the next, of the training and the validation file
def _epoch_plan(seed: int, epoch: int, count: int, windows: int) -> tuple[int, np.ndarray]:
    """The offset in [0, count) of an epoch's first window and the order [windows] of its windows.

    From the raw bits of PCG64, which NumPy keeps the same for ever; the methods that draw or
    shuffle may change with a NumPy version, and a resumed run would see other batches.
    """
    bits = np.random.PCG64([seed, epoch]).random_raw(windows + 1)
    return int(bits[0]) % count, np.argsort(bits[1:], kind="stable")
