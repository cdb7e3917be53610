"""One sequence of a batch that changes at every step, and what a step is to do.

Orca's iteration-level scheduling (Yu et al. 2022, section 4.1): a batch is a list of pieces of
sequences, some of one token, some of a whole chunk of a prompt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from speciale.engine.prefix import Node


class State(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(eq=False, slots=True)
class Sequence:
    """A prompt and what is generated behind it; below the line only the scheduler writes."""

    id: int  # of this sequence alone, and never given to another
    tokens: list[int]  # the engine appends what it samples
    prompt_length: int
    priority: int = 0  # larger is served first
    deadline: float | None = None  # on the clock that `Scheduler.expired` is asked with
    # A sequence whose prompt must be computed first: the samples of one request share its pages.
    after: int | None = None
    cacheable: bool = True  # may leave its pages to others

    state: State = State.WAITING
    computed: int = 0  # tokens whose keys are in the pages
    pages: list[int] = field(default_factory=list)
    arrival: int = 0
    waited: int = 0  # steps in which it wanted to compute its prompt and got nothing
    cached_tokens: int = 0  # found in the prefix cache when it was first admitted
    preemptions: int = 0
    known: Node | None = None  # up to where the prefix cache knows it

    @property
    def uncomputed(self) -> int:
        return len(self.tokens) - self.computed


class Work(NamedTuple):
    """Compute tokens [start, stop), and `drafts` guessed ones behind them, in the pages it has."""

    sequence: Sequence
    start: int
    stop: int
    drafts: int = 0


@dataclass(slots=True)
class Step:
    """One run of the model.

    `copies`, (from, to) by page, come first, and are made even when the work then fails or is
    cancelled. No page that is copied from is copied to before, so they may all go at once.
    """

    work: list[Work]
    copies: list[tuple[int, int]]
    preempted: list[Sequence]
