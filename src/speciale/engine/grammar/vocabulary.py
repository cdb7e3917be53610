"""A tokenizer as llguidance sees it: what each token spells, and which ones are marks.
Marks (special tokens) match only where a grammar names them. Text can still spell one, token by
token, and would be read as a mark later: `Spellings` says which tokens complete it."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from itertools import product
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from speciale.errors import RequestError

_BARS = ("｜", "‖")
# What chat.patterns reads as a mark, or as a broken one, wherever it stands in text ...
IN_TEXT = (
    *("<think>", "</think>"),
    *(f"<{slash}{bar}" for slash, bar in product(("", "/"), _BARS)),
    *(f"{before}DSML{after}" for before, after in product(_BARS, _BARS)),
)
# ... and what ends or opens a parameter inside the value of another.
IN_CALLS = tuple(
    f"{before}DSML{after}parameter"
    for before, after in product(_BARS, (*_BARS, *map("".join, product(_BARS, _BARS))))
)


def llguidance() -> Any:
    """The library, imported when the first constraint is asked for."""
    try:
        import llguidance
    except ImportError as error:
        raise RequestError(
            "constrained output needs the package llguidance: install `speciale[grammar]`, or ask "
            "without a response format and tools."
        ) from error
    return llguidance


class Vocabulary:
    """The tokens of `tokenizer`; ids from its size up to `vocab_size` are never allowed."""

    def __init__(self, tokenizer: Tokenizer, eos_id: int, vocab_size: int):
        assert vocab_size >= tokenizer.get_vocab_size(), "the model has a row for each token"
        contents = json.loads(tokenizer.to_str())
        contents["padding"] = contents["truncation"] = None
        for token in contents["added_tokens"]:
            # Runs of spaces are added tokens of some vocabularies, and are text.
            token["special"] = len(token["content"].strip()) > 1
        self.tokenizer, self.size = tokenizer, vocab_size
        self.machine = llguidance().LLTokenizer(
            json.dumps(contents), n_vocab=vocab_size, eos_token=eos_id
        )

    @cached_property
    def spelt(self) -> list[bytes]:
        """What each token is as text; nothing for marks."""
        machine = self.machine
        return [
            b"" if machine.is_special_token(id) else machine.decode_bytes([id])
            for id in range(self.size)
        ]

    @cached_property
    def in_text(self) -> Spellings:
        return Spellings(self.spelt, IN_TEXT)

    @cached_property
    def in_calls(self) -> Spellings:
        return Spellings(self.spelt, IN_CALLS)


class Spellings:
    """Texts that must not come to be, however they are cut into tokens."""

    def __init__(self, spelt: list[bytes], texts: Iterable[str]):
        wholes = [text.encode() for text in texts]
        whole = re.compile(b"|".join(map(re.escape, wholes)))
        self._alone = torch.tensor([id for id, text in enumerate(spelt) if whole.search(text)])
        order = sorted(range(len(spelt)), key=spelt.__getitem__)
        texts_in_order = [spelt[id] for id in order]
        completing: dict[bytes, set[int]] = {}
        for spelling in wholes:
            for cut in range(1, len(spelling)):
                rest = spelling[cut:]
                first = bisect_left(texts_in_order, rest)
                last = bisect_left(texts_in_order, rest[:-1] + bytes([rest[-1] + 1]))
                completing.setdefault(spelling[:cut], set()).update(order[first:last])
        self._completing = {
            begun: torch.tensor(sorted(ids)) for begun, ids in completing.items() if ids
        }
        self.longest = max(map(len, wholes))

    def completed_by(self, before: bytes) -> list[Tensor]:
        """The ids of tokens that complete one of the texts, where `before` was said last."""
        ids = [self._alone] if len(self._alone) else []
        for length in range(1, min(len(before), self.longest - 1) + 1):
            found = self._completing.get(before[-length:])
            if found is not None:
                ids.append(found)
        return ids
