"""One step of learning: groups in, updated weights and what to watch out.

V3.2 report, 3.1: advantages within each group, the objective over packed rows, gradients added up
over all rows of an update. The reference of the KL is the model at the start of the run.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from speciale.errors import TrainingError
from speciale.model import Transformer
from speciale.model.checkpoint import load_state
from speciale.model.context import Measure
from speciale.model.parts import whole, whole_state
from speciale.rl.forest import Forest, plant
from speciale.rl.objective import group_advantages, grpo_loss
from speciale.rl.policy import Conditions, Policy, evaluate, routing_agreement
from speciale.rl.recipe import Recipe
from speciale.rl.rollouts import Group
from speciale.train.checkpointing import optimiser_tensors, restore_optimiser
from speciale.train.indexer_kl import indexer_kl
from speciale.train.optimiser import build_optimiser, indexer_parameters, main_parameters
from speciale.train.parallel.ranks import Ranks
from speciale.train.parallel.sharding import clip_gradients, copy_of

_FOREIGN = "it is of another model: delete the run's folder and start it anew"


@dataclass
class _Figures:
    """What is added up over the rows of a step."""

    tokens: int = 0  # learnt
    computed: int = 0  # of the rows: what samples share counts once
    clipped: float = 0.0
    kl: float = 0.0
    k3: float = 0.0
    entropy: float = 0.0
    masked: int = 0
    sequences: int = 0
    rows: int = 0
    indexer_kl: float = 0.0
    norms: list[float] = field(default_factory=list)  # of whole gradients
    gaps: list[Tensor] = field(default_factory=list)  # log pi - log pi_old before the first update

    def add_up(self, ranks: Ranks) -> None:
        """Makes the parts of all ranks one."""
        if ranks.world == 1:
            return
        own = {key: value for key, value in vars(self).items() if isinstance(value, int | float)}
        for key, value in ranks.sums(own).items():
            setattr(self, key, type(own[key])(value))
        self.gaps = [gap for gaps in ranks.collect(self.gaps) for gap in gaps]


_Row = tuple[Forest, float, Tensor, bool]  # KL's weight, advantages, and whether it counts


class Learner:
    """Holds the trained model, its optimiser and the reference, or this rank's part of them.

    On many ranks all get the same groups, each computes its own rows of them, and gradients and
    figures add up to those of one.
    """

    def __init__(self, recipe: Recipe, model: Transformer, ranks: Ranks = Ranks()) -> None:  # noqa: B008
        """model: with the weights to begin with; on one rank it is the one that is trained."""
        self.recipe, self.ranks = recipe, ranks
        settings = recipe.train
        frozen = f"layers.{model.config.num_hidden_layers}."  # MTP: nothing here teaches it

        def trained(name: str) -> bool:
            wanted = ".indexer." not in name or settings.train_indexer
            return wanted and not name.startswith(frozen)

        self.model = copy_of(model, ranks, trained) if ranks.world > 1 else model
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(trained(name))
        parts = (main_parameters(self.model), indexer_parameters(self.model))
        self._clipped_apart = [[p for p in part if p.requires_grad] for part in parts]
        self.optimiser = build_optimiser(
            [p for part in self._clipped_apart for p in part], settings
        )
        self.reference: Transformer | None = None
        if any(recipe.kl_weight(domain) for domain in recipe.domains):
            self.reference = copy_of(model, ranks, lambda _name: False).eval()

    def step(self, groups: list[Group], step: int) -> dict:
        """Learns from the groups of step `step` (from 0); returns figures. TrainingError where the
        loss is not finite; the weights are then as they were."""
        settings = self.recipe.train
        for table in self.optimiser.param_groups:
            table["lr"] = settings.learning_rate * min(1, (step + 1) / (settings.warmup_steps + 1))
        figures = _Figures()
        parts = [groups[n :: settings.updates] for n in range(settings.updates)]
        jobs = [self._rows(part) for part in parts if part]
        agreement = self._agreement(jobs[0][0][0])
        shares = [self.ranks.deal(job) for job in jobs]
        proximal = self._proximal(shares)
        for number, (job, share) in enumerate(zip(jobs, shares)):
            tokens = sum(int(row[0].mask.sum()) for row in job)
            self._update(share, tokens, len(job), proximal, figures, first=number == 0)
        figures.add_up(self.ranks)
        return self._report(figures, agreement)

    def weights(self) -> dict[str, Tensor]:
        """The whole model's by name; all ranks must ask."""
        return whole_state(self.model)

    def state(self) -> dict[str, Tensor]:
        """Whole weights and optimiser by name; all ranks must ask."""
        optimiser = {n: whole(t) for n, t in optimiser_tensors(self.optimiser).items()}
        return {**self.weights(), **optimiser}

    def restore(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """Goes on from a `state`. CheckpointError where it is another model's."""
        weights = {n: t for n, t in tensors.items() if not n.startswith("optimiser.")}
        load_state(self.model, weights, where, _FOREIGN)
        restore_optimiser(self.optimiser, tensors)

    def _rows(self, groups: list[Group]) -> list[_Row]:
        """The packed rows of an update."""
        numbers = [n for n, group in enumerate(groups) for _ in group.rollouts]
        rewards = torch.tensor([reward for group in groups for reward in group.rewards])
        advantages = group_advantages(
            rewards, torch.tensor(numbers), self.recipe.objective.normalise
        ).tolist()
        packed: dict[float, list[list]] = defaultdict(list)
        given: list[float] = []  # of each sequence
        place = 0
        for group in groups:
            members = []
            for rollout in group.rollouts:
                for sequence in rollout.sequences:
                    members.append((len(given), sequence))
                    given.append(advantages[place])
                place += 1
            packed[self.recipe.kl_weight(group.domain)].append(members)
        rows = []
        for weight, members in packed.items():
            for forest in plant(members, self.recipe.train.row_tokens):
                own = torch.tensor([given[n] for n in forest.members])
                rows.append((forest, weight, own, True))
        return rows

    def _proximal(self, jobs: list[list[_Row]]) -> dict[int, Tensor]:
        """Log-probs before the first update, by forest, where importance weights are asked for."""
        if self.recipe.objective.importance_cap is None:
            return {}
        with torch.no_grad():
            return {
                id(forest): self._evaluate(self.model, forest).logp
                for job in jobs
                for forest, *_ in job
            }

    def _update(
        self,
        rows: list[_Row],
        tokens: int,
        of_rows: int,
        proximal: dict[int, Tensor],
        figures: _Figures,
        first: bool,
    ) -> None:
        """tokens, of_rows: of the whole update, of which `rows` are this rank's share."""
        indexers = self.recipe.train.train_indexer
        total = 0.0
        for forest, weight, advantages, counts in rows:
            policy = self._evaluate(self.model, forest, indexer_kl if indexers else None)
            outcome = grpo_loss(
                policy.logp,
                forest.old_logp,
                advantages,
                forest.mask,
                self._reference(forest),
                proximal.get(id(forest)),
                self.recipe.objective.objective(weight),
                tokens,
            )
            loss = outcome.loss
            if indexers:
                divergence = torch.stack(policy.trace.measured).mean()
                loss = loss + divergence / of_rows
            if not counts:  # all ranks run as often, so that their exchanges meet
                (0 * loss).backward()
                continue
            loss.backward()
            if indexers:
                figures.indexer_kl += divergence.item()
            figures.rows += 1
            figures.computed += forest.size
            own = int(forest.mask.sum())
            figures.tokens += own
            total += loss.item()
            figures.clipped += outcome.clipped.item() * tokens
            figures.kl += outcome.kl.item() * tokens
            figures.k3 += outcome.k3.item() * tokens
            figures.masked += round(outcome.masked.item() * len(advantages))
            figures.sequences += len(advantages)
            figures.entropy += policy.entropy.sum().item()
            if first:
                figures.gaps.append((policy.logp.detach() - forest.old_logp)[forest.mask])
        total = self.ranks.sums({"loss": total})["loss"]
        clip = self.recipe.train.gradient_clip
        norms = [clip_gradients(p, clip, self.ranks) for p in self._clipped_apart if p]
        if not all(map(math.isfinite, (total, *norms))):
            self.optimiser.zero_grad(set_to_none=True)
            raise TrainingError(
                f"the loss is {total} and the gradient norms are {norms}: lower "
                f"train.learning_rate (now {self.recipe.train.learning_rate}) and start a new run; "
                "the last good checkpoint was kept"
            )
        figures.norms += norms[:1]
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def _evaluate(
        self, model: Transformer, forest: Forest, measure: Measure | None = None
    ) -> Policy:
        conditions = self.recipe.objective.conditions(self.recipe.rollout.temperature)
        return evaluate(model, forest, conditions, measure)

    @torch.no_grad()
    def _reference(self, forest: Forest) -> Tensor | None:
        if self.reference is None:
            return None
        # By its own routing: the experts that the sampler used are no part of the reference.
        objective = self.recipe.objective
        conditions = Conditions(
            self.recipe.rollout.temperature, False, objective.keep_sampling_mask
        )
        return evaluate(self.reference, forest, conditions).logp

    @torch.no_grad()
    def _agreement(self, forest: Forest) -> tuple[float | None, Tensor]:
        """Of one row: how often the trainer would route as the sampler did, and the log-prob gap
        without Keep Routing."""
        conditions = Conditions(
            self.recipe.rollout.temperature, False, self.recipe.objective.keep_sampling_mask
        )
        policy = evaluate(self.model, forest, conditions)
        gap = (policy.logp - forest.old_logp)[forest.mask]
        return routing_agreement(policy.trace, forest), gap

    def _report(self, figures: _Figures, agreement: tuple[float | None, Tensor]) -> dict:
        tokens = max(1, figures.tokens)
        share, free = agreement
        report = {
            "computed": figures.computed,
            "entropy": figures.entropy / tokens,
            "clipped": figures.clipped / tokens,
            "masked": figures.masked / max(1, figures.sequences),
            "kl": figures.kl / tokens,
            "k3": figures.k3 / tokens,
            "gap": gap_figures(torch.cat(figures.gaps)),
            "gap_free_routing": gap_figures(free),
            "lr": self.optimiser.param_groups[0]["lr"],
            "grad_norm": sum(figures.norms) / len(figures.norms),
        }
        if share is not None:
            report["routing_agreement"] = share
        if self.recipe.train.train_indexer:
            report["indexer_kl"] = figures.indexer_kl / figures.rows
        return report


def gap_figures(gap: Tensor) -> dict[str, float]:
    """log pi - log pi_old [n] in nats: mean and largest size, and KL(pi_old || pi) estimated as
    the mean of e^gap - gap - 1, which no sample makes negative."""
    if not len(gap):
        return {"mean": 0.0, "max": 0.0, "kl": 0.0}
    size = gap.abs()
    kl = (gap.clamp(max=20).exp() - gap - 1).mean()
    return {"mean": size.mean().item(), "max": size.max().item(), "kl": kl.item()}
