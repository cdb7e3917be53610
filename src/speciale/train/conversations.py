"""Supervised conversations in the V3.2 chat format, packed into rows that keep samples apart.

Questions are reasoning-gym problems (half with thinking, half without), docstring questions and
agents' tasks with their calls and results; only assistant tokens are learnt. Samples of a row
cannot see each other (V3 report, 5.1). Some solutions may be hasty: RL needs a model that is right
now and then, not always (V3.2 report, 3.2.1).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from speciale.chat import encode
from speciale.errors import DataError
from speciale.files import atomic
from speciale.tasks import Problem, docstring_questions, problems
from speciale.tasks.synthesised.demonstrations import demonstrations, hasty, joined
from speciale.train.objective import Batch
from speciale.train.recipe import Data

SYSTEM_PROMPTS = ("", "You are a helpful assistant.", "Answer briefly and correctly.")
_TWO_TURNS = 0.15  # share of conversations with an earlier exchange


def conversations(
    data: Data, seed: int, store: Path | None = None
) -> Iterator[tuple[list[dict], str]]:
    """Endless (messages, thinking_mode); the last message is the assistant's. store: of the agents'
    tasks, where the data have some."""
    draw = random.Random(seed)
    agents = None
    if data.agents is not None and store is not None:
        agents = agent_conversations(store, data.agents.turns, seed, data.hasty_share)
    posed = problems(data.families, seed, "train") if data.families else None
    asked = cycle(docstring_questions(seed, "train"))
    while True:
        if agents is not None and draw.random() < data.agents.share:
            yield next(agents)
            continue
        about_docs = posed is None or draw.random() < data.docstring_share
        mode = "chat" if about_docs or draw.random() < 0.5 else "thinking"
        messages = []
        if system := draw.choice(SYSTEM_PROMPTS):
            messages.append({"role": "system", "content": system})
        turns = 2 if draw.random() < _TWO_TURNS else 1
        for _ in range(turns):
            if about_docs:
                question, answer = next(asked)
                messages += [_user(question), {"role": "assistant", "content": answer}]
            else:
                problem = next(posed)
                while mode == "thinking" and not problem.thinking:
                    problem = next(posed)
                solution = _solution(problem, mode)
                if mode == "thinking" and draw.random() < data.hasty_share:
                    solution["reasoning_content"] = problem.answer
                messages += [_user(problem.question), solution]
        yield messages, mode


def agent_conversations(
    store: Path, turns: int, seed: int, hasty_share: float = 0
) -> Iterator[tuple[list[dict], str]]:
    """Endless (messages, thinking_mode) of solved tasks with tools: single ones with thinking, and
    several of one environment without, since thinking goes when the user speaks again. DataError
    for a store that holds none."""
    draw = random.Random(seed)
    single = list(demonstrations(store, seed))
    if not single:
        raise DataError(f"the store {store} holds no accepted task with tools to learn from")
    several = list(joined(single, turns))
    while True:
        thinking = draw.random() < 0.5
        chosen = draw.choice(single if thinking else several)
        if thinking and draw.random() < hasty_share:
            chosen = hasty(chosen, draw)
        yield chosen.conversation(), "thinking" if thinking else "chat"


def _user(text: str) -> dict:
    return {"role": "user", "content": text}


def _solution(problem: Problem, mode: str) -> dict:
    message = {"role": "assistant", "content": problem.answer}
    if mode == "thinking":
        message["reasoning_content"] = problem.thinking
    return message


def tokenise(tokenizer: Tokenizer, messages: list[dict], mode: str) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation and which of them the model must produce.

    An answer is learnt where the prompt before it, as served, is a prefix of the whole text: so
    an earlier answer is not where thinking mode rewrites its opener.
    """
    whole = encode(messages, thinking_mode=mode)
    ids: list[int] = []
    learn: list[bool] = []
    at = 0
    for n, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = encode(messages[:n], thinking_mode=mode)
        with_answer = encode(messages[: n + 1], thinking_mode=mode)
        if not whole.startswith(with_answer):
            continue
        for start, stop, learnt in (
            (at, len(prompt), False),
            (len(prompt), len(with_answer), True),
        ):
            piece = tokenizer.encode(whole[start:stop], add_special_tokens=False).ids
            ids += piece
            learn += [learnt] * len(piece)
        at = len(with_answer)
    return ids, learn


def pack_conversations(
    path: Path,
    tokenizer: Tokenizer,
    data: Data,
    seed: int,
    advance=lambda _n: None,
    store: Path | None = None,
) -> None:
    """Writes the rows of a recipe's conversations. DataError if none fits."""
    posed = islice(conversations(data, seed, store), data.conversations)

    def tokenised() -> Iterator[tuple[list[int], list[bool]]]:
        for count, (messages, mode) in enumerate(posed):
            if count % 100 == 99:
                advance(100)
            yield tokenise(tokenizer, messages, mode)

    pack_rows(path, tokenised(), data.context)


def pack_rows(path: Path, samples: Iterable[tuple[list[int], list[bool]]], context: int) -> None:
    """(ids, which to learn) -> rows of context + 1 tokens, int32 [rows, 3, context + 1]: ids,
    sample, learn. What is longer is left out.

    Sample numbers start at 1 in every row; 0 is padding. DataError if nothing fits.
    """
    length = context + 1
    rows: list[np.ndarray] = []
    row, used, sample = np.zeros((3, length), np.int32), 0, 0
    for ids, learn in samples:
        if len(ids) > length:
            continue
        if used + len(ids) > length:
            rows.append(row)
            row, used, sample = np.zeros((3, length), np.int32), 0, 0
        sample += 1
        row[:, used : used + len(ids)] = ids, [sample] * len(ids), learn
        used += len(ids)
    if used:
        rows.append(row)
    if not rows:
        raise DataError(f"no conversation fits the context of {context} tokens: raise data.context")
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.stack(rows))


class PackedConversations:
    """What `pack_conversations` wrote; DataError where it is missing, cut off or no such file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._rows = np.lib.format.open_memmap(path, mode="r")
        except (OSError, ValueError) as error:
            raise self._unreadable(str(error)) from None
        shape = self._rows.shape
        if self._rows.dtype != np.int32 or len(shape) != 3 or shape[1] != 3 or shape[0] == 0:
            raise self._unreadable(f"it holds {self._rows.dtype} {list(shape)}")

    def check(self, context: int, vocab_size: int) -> None:
        """DataError unless every row has context + 1 tokens, with ids below `vocab_size`."""
        if self._rows.shape[2] != context + 1:
            raise self._unreadable(f"rows of {self._rows.shape[2]} tokens, not {context} + 1")
        ids = self._rows[:, 0]
        if ids.min() < 0 or ids.max() >= vocab_size:
            raise self._unreadable(f"a token id is outside 0 to {vocab_size - 1}")

    def _unreadable(self, why: str) -> DataError:
        return DataError(
            f"the packed conversations {self._path} are corrupt or cut off ({why}): delete the "
            "file and run the same command again"
        )

    def batch(self, step: int, batch_size: int, seed: int) -> Batch:
        """Batch number `step`, a pure function of its arguments; an epoch visits every row once."""
        total = len(self._rows)
        places = range(step * batch_size, (step + 1) * batch_size)
        rows = [_shuffled(seed, place // total, total)[place % total] for place in places]
        ids, samples, learn = (
            torch.from_numpy(self._rows[rows, n].astype(np.int64)) for n in range(3)
        )
        return Batch(ids, documents=samples, learn=learn.bool())


_ORDERS: dict[tuple[int, int, int], np.ndarray] = {}


def _shuffled(seed: int, epoch: int, total: int) -> np.ndarray:
    key = (seed, epoch, total)
    if key not in _ORDERS:
        _ORDERS.clear()
        _ORDERS[key] = np.argsort(
            np.random.PCG64([seed, epoch, 1]).random_raw(total), kind="stable"
        )
    return _ORDERS[key]
