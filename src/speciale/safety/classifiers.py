"""Severity of hate, sexual, violence and self_harm, and three flags, for texts of any length.

Each window of a text (windows.py) becomes an embedding, concepts and n-grams; heads fitted on our
own labelled lines judge them, and the worst window counts. Hidden text (attacks.py) is read too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speciale.safety import heads
from speciale.safety.attacks import hidden_texts
from speciale.safety.embedding import SentenceEncoder
from speciale.safety.features import concepts, ngrams, normalise
from speciale.safety.heads import FLAGS, SEVERITIES, Features
from speciale.safety.verdict import CATEGORIES, Attacks, Scores
from speciale.safety.windows import cut


class EmbeddedClassifiers:
    """Loads once, in about a second, with 90 MB; any number of threads may call `score`."""

    def __init__(self) -> None:
        """Raises ConfigError where the embedding model or the weights are missing."""
        self._encoder = SentenceEncoder()
        self._heads = heads.load()

    def score(self, texts: Sequence[str], attacks: Attacks) -> list[Scores]:
        """One `Scores` a text, in order; blank text is safe.

        `attacks` says what the texts are: a user's "prompt" may be a jailbreak, a "document" or
        tool result may hold an indirect attack, and in a completion (None) neither is looked for.
        """
        owners: list[int] = []
        passages = []
        for i, text in enumerate(texts):
            for piece in (text, *hidden_texts(text)):
                for passage in cut(piece):
                    passages.append(passage)
                    owners += [i] * len(passage[1])
        worst = np.full((len(texts), len(heads.NAMES)), -np.inf, np.float32)
        if passages:
            np.maximum.at(worst, owners, self._heads.logits(features(self._encoder, passages)))
        return [_scores(row, attacks) for row in worst]


def features(
    encoder: SentenceEncoder, passages: list[tuple[str, list[tuple[int, int]]]]
) -> Features:
    """Passages with their windows, as `cut` gives them -> the features of all windows in order."""
    windows = [normalise(text[a:b]) for text, spans in passages for a, b in spans]
    return Features(
        embedding=encoder.embed(passages),
        concepts=np.array([concepts().features(window) for window in windows]),
        ngrams=[ngrams(window) for window in windows],
    )


def _scores(margins: np.ndarray, attacks: Attacks) -> Scores:
    """One text's [H] margins over the thresholds -> its scores."""
    says = dict(zip(heads.NAMES, (margins >= 0).tolist(), strict=True))
    severity = {
        category: max((s for s in SEVERITIES if says[f"{category}>={s}"]), default=0)
        for category in CATEGORIES
    }
    jailbreak, indirect, profanity = (says[flag] for flag in FLAGS)
    return Scores(
        severity, jailbreak and attacks == "prompt", indirect and attacks == "document", profanity
    )
