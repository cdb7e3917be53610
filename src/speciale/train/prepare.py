"""From sources to token files: text, tokenizer, packed training and validation tokens, chat rows.

Each piece is made once and skipped when present, so a killed preparation continues. Documents are
split into training and validation by a hash of their name, whatever else is in the sources.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator

from tokenizers import Tokenizer

from speciale.chat import encode
from speciale.chat.tokenizer import fingerprint, load_tokenizer, save_tokenizer
from speciale.errors import ConfigError, DataError
from speciale.tasks import problems
from speciale.train.bpe import train_tokenizer
from speciale.train.conversations import (
    PackedConversations,
    agent_conversations,
    pack_conversations,
)
from speciale.train.packing import PackedTokens, document_tokens, write_tokens
from speciale.train.progress import Task, task
from speciale.train.run import Run
from speciale.train.sources import documents

_TOKENIZER_BYTES = 4_000_000  # text that the tokenizer is trained on, at most
_VALID_ONE_IN = 25  # documents
_LONGEST_TEXT = 50_000  # characters of one document: a few manuals would else be most of the text


def prepare(run: Run) -> Tokenizer:
    """Makes what is missing of the run's `data/`; returns its tokenizer.

    Raises DataError for unreadable or empty sources, ConfigError for a tokenizer of another run.
    """
    wanted = [run.data / name for name in ("tokenizer.json", "train.tokens", "valid.tokens")]
    chat = run.data / "chat.npy"
    seed, data = run.recipe.seed, run.recipe.data
    if not all(path.exists() for path in wanted):
        train, valid = _texts(run)
        if wanted[0].exists():
            tokenizer = load_tokenizer(run.data)
            _check_tokenizer(run, tokenizer)
        else:
            with task("train tokenizer"):
                shown = [*_examples(run, 200_000), *_agents(run, 400_000)]
                samples = [*shown, *_head(train, _TOKENIZER_BYTES)]
                tokenizer = train_tokenizer(samples, run.config.vocab_size)
                save_tokenizer(tokenizer, run.data)
        _write(run, "valid.tokens", valid, tokenizer)
        total = sum(len(text) for text in train)
        share = data.problem_share
        posed = _examples(run, int(total * share / (1 - share))) if data.families else []
        mixed = train + _grouped(posed)
        random.Random(seed).shuffle(mixed)
        _write(run, "train.tokens", mixed, tokenizer)
    tokenizer = load_tokenizer(run.data)
    _check_tokenizer(run, tokenizer)
    if not chat.exists():
        with task("write conversations", data.conversations) as progress:
            pack_conversations(chat, tokenizer, data, seed, progress.advance, run.tasks)
    # What a stage will read, now rather than after an hour.
    for path in wanted[1:]:
        PackedTokens(path).batch(0, 1, data.context, seed)
    PackedConversations(chat).check(data.context, run.config.vocab_size)
    return tokenizer


def _check_tokenizer(run: Run, tokenizer: Tokenizer) -> None:
    """Before anything is made with it: what is there must be of the same tokenizer."""
    mark = fingerprint(tokenizer)
    for name in ("train.tokens", "valid.tokens"):
        path = run.data / name
        made_by = PackedTokens(path).fingerprint if path.exists() else mark
        if made_by != mark:
            raise ConfigError(
                f"{run.data / 'tokenizer.json'} is not the tokenizer that made {name} (its "
                f"fingerprint is {mark}, not {made_by}): put the run's own back, or delete "
                f"{run.folder} to start anew"
            )


def _texts(run: Run) -> tuple[list[str], list[str]]:
    """Training and validation texts, an even draw of `text_megabytes` over all documents."""
    sources = run.recipe.data.sources
    with task("read text") as progress:
        found = []
        for document in documents(sources):
            found.append(document)
            progress.advance(1, f"{document.source} {document.name[:40]}")
    random.Random(run.recipe.seed).shuffle(found)
    left = run.recipe.data.text_megabytes * 1e6
    train, valid = [], []
    for document in found:
        if left <= 0:
            break
        text = document.text[:_LONGEST_TEXT]
        left -= len(text)
        digest = hashlib.blake2b(f"{document.source}/{document.name}".encode()).digest()
        (valid if int.from_bytes(digest) % _VALID_ONE_IN == 0 else train).append(text)
    if not valid and len(train) > 1:  # very few documents: one of them
        valid.append(train.pop())
    if not train or not valid:
        raise DataError(
            f"the text sources {sources} hold {len(found)} document(s), too few to train on and "
            "to validate with: name more text in data.sources"
        )
    return train, valid


def _examples(run: Run, characters: int) -> list[str]:
    """Problems with their solution as plain text, of about so many characters in all."""
    if not run.recipe.data.families:
        return []
    texts, total = [], 0
    with task("pose problems", characters) as progress:
        for problem in problems(run.recipe.data.families, run.recipe.seed, "train"):
            steps = f"{problem.thinking}\n" if problem.thinking and problem.seed % 2 else ""
            texts.append(f"{problem.question}\n{steps}{problem.answer}\n")
            total += len(texts[-1])
            progress.advance(len(texts[-1]))
            if total >= characters:
                return texts
    return texts


def _agents(run: Run, characters: int) -> Iterator[str]:
    """Conversations with tools as text, so that the format's own words become tokens."""
    agents = run.recipe.data.agents
    if agents is not None and run.tasks is not None:
        found = agent_conversations(run.tasks, agents.turns, run.recipe.seed)
        texts = (encode(messages, thinking_mode=mode) for messages, mode in found)
        yield from _head(texts, characters)


def _grouped(texts: list[str], size: int = 16) -> list[str]:
    """Several problems a document, or BOS and EOS would be a large share of the tokens."""
    return ["\n".join(texts[n : n + size]) for n in range(0, len(texts), size)]


def _head(texts: Iterable[str], characters: int) -> Iterator[str]:
    for text in texts:
        yield text
        characters -= len(text)
        if characters <= 0:
            return


def _write(run: Run, name: str, texts: list[str], tokenizer: Tokenizer) -> None:
    path = run.data / name
    if path.exists():
        return

    def counted(progress: Task) -> Iterator[str]:
        for text in texts:
            progress.advance(1)
            yield text

    with task(f"encode {name}", len(texts)) as progress:
        write_tokens(
            path,
            document_tokens(counted(progress), tokenizer),
            vocab_size=run.config.vocab_size,
            fingerprint=fingerprint(tokenizer),
        )
