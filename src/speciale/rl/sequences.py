"""What the trainer learns from: the very ids that were sampled, and how each was drawn.

V3.2 report, 3.1: the sampler's log-probs are pi_old, its kept sets are for Keep Sampling Mask, its
experts for Keep Routing. Nothing is decoded and encoded again; prompts and tool results are inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from speciale.agents.trajectory import Step, Trajectory


@dataclass
class Sequence:
    """One run of ids; the lists have one entry an id.

    A context that was cut on the way (agents/context.py) makes several of one attempt.
    """

    ids: list[int]
    sampled: list[bool]
    logprobs: list[float]  # log pi_old, in nats; 0 where not sampled
    versions: list[int]  # of the weights that drew it; -1 where not sampled
    kept: list[np.ndarray | None]  # the ids it was drawn from; None: all
    routing: np.ndarray | None  # [ids - 1, MoE layers, K] int16: experts that the inputs took

    @property
    def learnt(self) -> int:
        """Sampled tokens."""
        return sum(self.sampled)


def sequences_of(trajectory: Trajectory) -> list[Sequence]:
    """The sequences of an attempt, those without a sampled token left out."""
    found = []
    for segment in trajectory.segments():
        steps = [trajectory.steps[number] for number in segment.steps]
        length = len(segment.ids)
        sequence = Sequence(
            segment.ids, segment.mask, segment.logprobs, [-1] * length, [None] * length, None
        )
        places = [place for place, sampled in enumerate(segment.mask) if sampled]
        drawn = [
            (version, kept) for step in steps for version, kept in zip(_versions(step), _kept(step))
        ]
        for place, (version, kept) in zip(places, drawn, strict=True):
            sequence.versions[place], sequence.kept[place] = version, kept
        sequence.routing = _routing(steps, length)
        if places:
            found.append(sequence)
    return found


def _versions(step: Step) -> list[int]:
    known = [version if isinstance(version, int) else 0 for version in step.versions]
    return (known + [0] * len(step.ids))[: len(step.ids)]


def _kept(step: Step) -> list[Any]:
    kept = step.extras.get("kept") or [None] * len(step.ids)
    return list(kept[: len(step.ids)])  # an end that only the template may set was cut off


def _routing(steps: list[Step], length: int) -> np.ndarray | None:
    """The experts of the first `length - 1` ids: of each the first that were told, since its
    neighbours were drawn with these; None unless all are known."""
    whole: np.ndarray | None = None
    for step in steps:
        told = step.extras.get("routing")
        if told is None:
            return None
        told = np.asarray(told)
        known = 0 if whole is None else len(whole)
        whole = told if whole is None else np.concatenate((whole, told[known:]))
    return None if whole is None or len(whole) < length - 1 else whole[: length - 1]
