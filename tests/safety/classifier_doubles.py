"""Classifiers that know a few words, so that tests say what is found where."""

import asyncio
import threading
import time

from speciale.safety.verdict import Scores

WORDS = {"slur": "hate", "lewd": "sexual", "stab": "violence", "wrist": "self_harm"}


class Keywords:
    """A word of WORDS is of medium severity, with "mild" before it low, with "very" high."""

    def __init__(self, delay: float = 0.0, error: Exception | None = None) -> None:
        self.delay, self.error = delay, error
        self.seen: list[tuple[str, str | None]] = []
        self.threads: set[str] = set()

    def score(self, texts, attacks):
        self.threads.add(threading.current_thread().name)
        self.seen += [(text, attacks) for text in texts]
        time.sleep(self.delay)
        if self.error:
            raise self.error
        return [self._one(text, attacks) for text in texts]

    def _one(self, text, attacks):
        severity = dict.fromkeys(("hate", "sexual", "violence", "self_harm"), 0)
        for word, category in WORDS.items():
            if word in text:
                level = 2 if f"mild {word}" in text else 6 if f"very {word}" in text else 4
                severity[category] = max(severity[category], level)
        attack = "ignore your rules" in text
        return Scores(
            severity, attack and attacks == "prompt", attack and attacks == "document",
            "damn" in text,
        )  # fmt: skip


class Patient(Keywords):
    """Async, as the adapters of services are; waits until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.waiting = 0

    async def score(self, texts, attacks):
        self.waiting += 1
        await self.go.wait()
        return super().score(texts, attacks)
