"""The learner on many ranks: the leader collects, judges and writes; the others learn with it.

V3.2 report, 3.1: rollouts and training are different engines. Every call of the leader's is told to
the others first, who make it too; what they exchange inside then meets.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from speciale.model import Transformer
from speciale.model.checkpoint import load_state
from speciale.rl.buffer import PREFIX
from speciale.rl.learner import Learner
from speciale.rl.recipe import Recipe
from speciale.rl.rollouts import Group
from speciale.train.checkpointing import load_tensors
from speciale.train.parallel.ranks import Ranks


class Team:
    """`model` is whole, on every rank, and has the newest weights on the leader's."""

    def __init__(self, recipe: Recipe, model: Transformer, ranks: Ranks) -> None:
        self.model, self.ranks = model, ranks
        self._learner = Learner(recipe, model, ranks)

    def step(self, groups: list[Group], step: int) -> dict:
        """As `Learner.step`; `model` has the new weights then."""
        self.ranks.tell(("step", groups, step))
        return self._step(groups, step)

    def state(self) -> dict[str, Tensor]:
        """Whole weights and optimiser by name."""
        self.ranks.tell(("state",))
        return self._learner.state()

    def restore(self, path: Path) -> None:
        """Goes on from the state in a run's file."""
        self.ranks.tell(("restore", path))
        self._restore(path)

    def close(self) -> None:
        self.ranks.tell(("close",))

    def follow(self) -> None:
        """Does what the leader does, until it closes."""
        while True:
            what, *given = self.ranks.tell()
            if what == "close":
                return
            if what == "step":
                self._step(*given)
            elif what == "state":
                self._learner.state()
            else:
                self._restore(*given)

    def _step(self, groups: list[Group], step: int) -> dict:
        figures = self._learner.step(groups, step)
        if self.ranks.world > 1:
            weights = self._learner.weights()
            if self.ranks.leads:
                load_state(self.model, weights, "the ranks' weights")
        return figures

    def _restore(self, path: Path) -> None:
        tensors = load_tensors(path)[0]
        own = {name: t for name, t in tensors.items() if not name.startswith(PREFIX)}
        self._learner.restore(own, str(path))
        if self.ranks.world > 1:
            weights = {n: t for n, t in own.items() if not n.startswith("optimiser.")}
            load_state(self.model, weights, str(path))
