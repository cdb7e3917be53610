"""Which upstream gets a request: the same opening goes to the same one, whose cache holds it.

Rendezvous hashing: each upstream's score is a hash of its name and the key, the highest wins, and
one that leaves moves nobody else's. Thaler and Ravishankar, 1998. Bounded loads: Mirrokni, Thorup
and Zadimoghaddam, 2018.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

from speciale.serve.backends.seam import Job

# Characters of the first user message that count: a document with a question after it is mostly
# document, and what differs only behind it should meet again.
_OPENING = 4096


def opening_key(job: Job) -> bytes:
    """What stays the same throughout a conversation: all up to its first user message."""
    digest = hashlib.blake2b(digest_size=16)
    if job.prompt is None:
        digest.update((job.text or "")[:_OPENING].encode("utf-8", "replace"))
        return digest.digest()
    for message in job.prompt.messages:
        text = str(message.get("content") or "")
        if message["role"] == "user":
            digest.update(text[:_OPENING].encode("utf-8", "replace"))
            break
        digest.update(f"{message['role']}:{text}:{message.get('tools')}".encode("utf-8", "replace"))
    return digest.digest()


def ranked(key: bytes, names: Sequence[str]) -> list[str]:
    """`names`, the one that should get `key` first."""
    return sorted(names, key=lambda name: _score(key, name), reverse=True)


def spilled(order: Sequence[str], running: Mapping[str, int], slack: int = 8) -> list[str]:
    """`order` with those at the end that already have more than their share: 1.25 times the mean
    of `running` requests, `slack` at least (a batch that an engine runs as fast as one)."""
    total = sum(running[name] for name in order) + 1
    most = max(slack, math.ceil(1.25 * total / max(1, len(order))))
    return sorted(order, key=lambda name: running[name] >= most)


def _score(key: bytes, name: str) -> bytes:
    return hashlib.blake2b(name.encode(), key=key, digest_size=8).digest()
