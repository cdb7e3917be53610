"""The engine's one step: schedule, run the model, draw tokens, draft the next, hand out.

`Engine` (async) and `LLM` (sync) drive it. Nothing here waits or knows of threads: requests come
and go and weights change between steps.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence as Ids
from dataclasses import dataclass
from itertools import count

from tokenizers import Tokenizer
from torch import Tensor

from speciale.chat.markers import EOS
from speciale.engine.attention import StepRows
from speciale.engine.graphs import DecodeGraphs
from speciale.engine.pages import PagePool
from speciale.engine.params import SamplingParams
from speciale.engine.prefix import PrefixCache
from speciale.engine.request import Completion, FinishReason, Request, Update
from speciale.engine.runner import Runner
from speciale.engine.sampler import Draw, Row, sample
from speciale.engine.scheduler import Scheduler
from speciale.engine.sequence import Sequence, Work
from speciale.engine.speculation import DraftPolicy
from speciale.engine.store import Store, cache_budget
from speciale.errors import RequestError
from speciale.model import Transformer
from speciale.model.checkpoint import load_state
from speciale.model.config import Attention
from speciale.ops import PAGE


@dataclass(frozen=True)
class EngineOptions:
    cache_bytes: int | None = None  # memory of the pages; None: see `cache_budget`
    max_context: int | None = None  # tokens of prompt and answer; None: the model's
    max_batch_tokens: int = 512  # rows of one step
    max_sequences: int = 64  # that run side by side
    max_waiting: int = 1024  # requests; beyond them OverloadedError
    speculate: bool | None = None  # draft with the MTP layer; None: where it measures faster
    device: str = "cpu"  # for a model that is loaded: "cuda" has it in bfloat16 on a GPU
    attention: Attention | None = None  # another than the model's, to compare


class Core:
    def __init__(
        self, model: Transformer, tokenizer: Tokenizer | None, options: EngineOptions
    ) -> None:
        self.model, self.tokenizer, self.options = model.eval(), tokenizer, options
        config = model.config
        self.context = min(options.max_context or 1 << 62, config.max_position_embeddings)
        mtp = model.mtp is not None and options.speculate is not False
        if options.speculate and not mtp:
            raise RequestError("speculate is true, but the model has no MTP layer: leave it out")
        weight = model.embed_tokens.weight
        budget = options.cache_bytes
        if budget is None:
            budget = cache_budget(config, self.context, mtp, weight=weight)
        self.store = Store(config, budget, mtp, weight, spare=DecodeGraphs.serve(weight))
        self.prefix = PrefixCache(PagePool(self.store.pages, PAGE))
        self.scheduler = Scheduler(
            self.prefix.pool,
            self.prefix,
            max_batch_tokens=options.max_batch_tokens,
            max_sequences=options.max_sequences,
            max_waiting=options.max_waiting,
            refresh_last=mtp,  # the MTP layer needs the hidden state of the last known token
        )
        attention = options.attention or config.attention
        places = (options.max_sequences, self.context)
        self.runner = Runner(model, self.store, *places, attention)
        self.version = 0  # of the weights
        self.requests: dict[int, Request] = {}
        self.policy = DraftPolicy(options.speculate if mtp else False)
        self._mtp = mtp
        self._numbers = count()
        self._eos = tokenizer.token_to_id(EOS) if tokenizer is not None else config.eos_token_id
        self._grammars = None

    # ---- requests come and go -------------------------------------------------------------------

    def add(self, prompt: Ids[int], params: SamplingParams) -> list[int]:
        """Queues params.n samples and returns their numbers.

        Raises RequestError for what can never be served, OverloadedError where the queue is full.
        """
        prompt = list(prompt)
        limit = self._limit(prompt, params)
        matchers = [self._matcher(params) for _ in range(params.n)]
        seed = secrets.randbits(48) if params.seed is None else params.seed
        first = self._same_prompt(prompt)
        deadline = None if params.deadline_s is None else time.monotonic() + params.deadline_s
        numbers: list[int] = []
        try:
            for index in range(params.n):
                sequence = Sequence(
                    id=next(self._numbers),
                    tokens=list(prompt),
                    prompt_length=len(prompt),
                    priority=params.priority,
                    deadline=deadline,
                    after=numbers[0] if numbers else first,  # its prompt is then in the cache
                )
                self.scheduler.add(sequence, len(prompt) + limit)
                own_seed = (seed + (index << 48)) % 2**63
                request = Request(sequence, params, own_seed, index, limit, self.tokenizer)
                request.matcher = matchers[index]
                request.drafting = matchers[index] is None
                self.requests[sequence.id] = request
                numbers.append(sequence.id)
        except Exception:
            for number in numbers:  # all samples or none
                self.cancel(number)
            raise
        return numbers

    def _same_prompt(self, prompt: list[int]) -> int | None:
        """A request whose prompt is the same and not computed yet: one computes it for all."""
        for number, request in self.requests.items():
            sequence = request.sequence
            if sequence.computed < sequence.prompt_length and request.prompt == prompt:
                return number
        return None

    def _limit(self, prompt: list[int], params: SamplingParams) -> int:
        """The most tokens that an answer may have; RequestError where prompt or length is wrong."""
        vocab = self.model.config.vocab_size
        if not prompt:
            raise RequestError("the prompt is empty: give at least one token")
        for place, token in enumerate(prompt):
            if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < vocab:
                raise RequestError(
                    f"prompt id {token!r} at place {place} is outside 0 to {vocab - 1}, the "
                    "model's vocabulary: was it encoded with another tokenizer?"
                )
        room = self.context - len(prompt)
        wanted = 1 if params.max_tokens is None else params.max_tokens
        if room < wanted:
            raise RequestError(
                f"the prompt has {len(prompt)} tokens and max_tokens is {wanted}, together "
                f"{len(prompt) + wanted}, but the context is {self.context}: shorten one of them"
            )
        if params.max_tokens is not None:
            return params.max_tokens
        return max(1, min(room, self.store.pages * PAGE - len(prompt)))

    def _matcher(self, params: SamplingParams):
        if params.grammar is None:
            return None
        if self.tokenizer is None:
            raise RequestError("a grammar needs a tokenizer, but this engine works on ids alone")
        if self._grammars is None:
            from speciale.engine.grammar import GrammarCompiler

            self._grammars = GrammarCompiler(
                self.tokenizer, self._eos, self.model.config.vocab_size
            )
        return self._grammars.matcher(params.grammar)

    def cancel(self, number: int) -> Update | None:
        """Ends a sample at any moment; None where it has ended already."""
        request = self.requests.get(number)
        return None if request is None else self._end(request, "cancelled")

    def update_weights(self, tensors: dict[str, Tensor], recompute: bool = False) -> int:
        """Puts new weights in place between two steps; returns their version.

        Samples under way go on with the keys they have, or, if `recompute`, with keys computed
        anew; either way each token carries the version that drew it. What is cached of prefixes is
        forgotten.
        """
        mtp = f"layers.{self.model.config.num_hidden_layers}."
        if self.model.mtp is not None and not any(name.startswith(mtp) for name in tensors):
            raise RequestError(
                f"the new weights lack the MTP layer ({mtp}*), which this engine's model has: give "
                "all of its state_dict()"
            )
        load_state(self.model, tensors, "the new weights")
        self.version += 1
        if recompute:
            self.scheduler.restart()
            for request in self.requests.values():
                self.runner.forget(request.sequence)
                request.draft = None
        self.prefix.clear()
        for request in self.requests.values():
            if request.sequence.pages:
                request.sequence.cacheable = False
        return self.version

    @property
    def idle(self) -> bool:
        return not self.requests

    # ---- one step -------------------------------------------------------------------------------

    def step(self) -> list[Update]:
        """Runs one batch; returns what it brought, and what ended."""
        updates = [
            self._end(self.requests[sequence.id], "deadline")
            for sequence in self.scheduler.expired(time.monotonic())
        ]
        batch = max(1, len(self.scheduler.running))
        wants = self.policy.wants(batch)
        plan = self.scheduler.schedule(lambda sequence: int(wants and self._drafted(sequence)))
        for sequence in plan.preempted:
            self.runner.forget(sequence)
            self.requests[sequence.id].draft = None
        self.store.copy(plan.copies)
        if not plan.work:
            return updates
        begun = time.perf_counter()
        rows = self.runner.rows([(w.sequence, w.start, w.stop + w.drafts) for w in plan.work])
        ids: list[int] = []
        places: list[int] = []  # of each work's first row
        for work in plan.work:
            places.append(len(ids))
            ids += work.sequence.tokens[work.start : work.stop]
            ids += [self.requests[work.sequence.id].draft] * work.drafts
        hidden = self.runner.run(ids, rows)  # [N, d]
        drawn = self._draw(plan.work, places, ids, rows, hidden)
        main = time.perf_counter() - begun
        updates += drawn
        if self._mtp and self.policy.active(batch):
            self._propose(plan.work, places, hidden)
        else:
            for work in plan.work:
                request = self.requests.get(work.sequence.id)
                if request is not None:
                    request.draft, request.drafting = None, False
        if all(work.stop - work.start == 1 for work in plan.work) and self._mtp:
            drafted = any(work.drafts for work in plan.work)
            tokens = max(1, sum(len(update.ids) for update in drawn))
            mtp = time.perf_counter() - begun - main
            self.policy.record(batch, drafted, tokens, main, mtp)
        for work in plan.work:
            request = self.requests.get(work.sequence.id)
            if request is not None and request.completion.finish_reason is not None:
                done = self._close(request)
                updates.append(Update(work.sequence.id, done.index, [], "", done))
        return _merged(updates)

    def _drafted(self, sequence: Sequence) -> bool:
        request = self.requests[sequence.id]
        return request.draft is not None and request.left >= 2

    def _draw(
        self, works: list[Work], places: list[int], ids: list[int], rows: StepRows, hidden: Tensor
    ) -> list[Update]:
        """Draws a token for each sequence that is computed to its end, and a second one where the
        first is the draft; moves every sequence on."""
        finite = hidden.sum(-1).isfinite().tolist()  # a sum is not where an addend is not
        updates: list[Update] = []
        ready: list[tuple[Work, int]] = []  # (work, its first row among the logits)
        heads: list[int] = []
        for work, place in zip(works, places):
            end = place + work.stop - work.start + work.drafts
            if not all(finite[place:end]):
                updates.append(self._fail(work, place, end - 1, ids, rows))
            elif work.stop == len(work.sequence.tokens):
                ready.append((work, len(heads)))
                heads += range(end - work.drafts - 1, end)
            else:
                self.scheduler.advance(work.sequence, work.stop)
        if not ready:
            return updates
        logits = self.runner.logits(hidden[heads])  # [n, V]
        finite = logits.sum(-1).isfinite().tolist()
        for work, head in list(ready):
            if not all(finite[head : head + 1 + work.drafts]):
                last = heads[head + work.drafts]
                updates.append(self._fail(work, last - work.drafts, last, ids, rows))
                ready.remove((work, head))
        second = self._take(ready, logits, 0, updates)
        self._take(second, logits, 1, updates)
        return updates

    def _take(
        self, ready: list[tuple[Work, int]], logits: Tensor, which: int, updates: list[Update]
    ) -> list[tuple[Work, int]]:
        """Draws the first (0) or second (1) token of each; returns those whose draft was right."""
        able: list[tuple[Work, int, Request, Row]] = []
        for work, head in ready:
            self.scheduler.advance(work.sequence, work.stop + which)
            request = self.requests[work.sequence.id]
            try:
                able.append((work, head, request, self._row(request)))
            except RequestError as error:  # its grammar leads nowhere
                updates.append(self._end(request, "error", str(error)))
        if not able:
            return []
        places, rows = [head + which for _, head, _, _ in able], [row for *_, row in able]
        right = []
        for (work, head, request, _), draw in zip(able, sample(logits[places], rows)):
            try:
                if isinstance(draw, RequestError):
                    raise draw
                updates.append(self._accept(request, draw))
            except RequestError as error:
                updates.append(self._end(request, "error", str(error)))
                continue
            if work.drafts and not which:
                self.policy.proposed += 1
                if draw.token == request.draft:
                    self.policy.accepted += 1
                    if request.completion.finish_reason is None:
                        right.append((work, head))
        return right

    def _row(self, request: Request) -> Row:
        matcher = request.matcher
        return Row(
            params=request.params,
            seed=request.seed,
            position=len(request.sequence.tokens),
            prompt=request.prompt,
            generated=request.completion.ids,
            allowed=None if matcher is None else matcher.allowed(),
            ends=self._ends(request),
        )

    def _ends(self, request: Request) -> frozenset[int]:
        ends = set(request.params.stop_ids)
        if self._eos is not None and not request.params.ignore_eos:
            ends.add(self._eos)
        return frozenset(ends)

    def _accept(self, request: Request, draw: Draw) -> Update:
        if request.matcher is not None:
            request.matcher.accept(draw.token)
        return request.take(draw, self.version, self._ends(request))

    def _propose(self, works: list[Work], places: list[int], hidden: Tensor) -> None:
        """Runs the MTP layer over the step's tokens, each with the one behind it, and keeps its
        guess for the token after the last."""
        parts, kept, next_ids, last = [], [], [], []
        for work, place in zip(works, places):
            sequence = work.sequence
            request = self.requests.get(sequence.id)
            if request is None or not request.drafting:
                continue
            request.draft = None
            stop = sequence.computed  # a refused draft's row is left out
            if request.completion.finish_reason is not None or stop <= work.start:
                continue
            parts.append((sequence, work.start, stop))
            kept += range(place, place + stop - work.start)
            next_ids += sequence.tokens[work.start + 1 : stop + 1]
            if stop == len(sequence.tokens) - 1 and request.matcher is None:
                last.append((request, len(kept) - 1))
        if not parts:
            return
        out = self.runner.run_mtp(hidden[kept], next_ids, self.runner.rows(parts))
        if last:
            logits = self.runner.logits(out[[row for _, row in last]])
            draws = sample(logits, [self._row(request) for request, _ in last])
            for (request, _), draw in zip(last, draws):
                request.draft = draw.token if isinstance(draw, Draw) else None

    # ---- endings --------------------------------------------------------------------------------

    def _fail(self, work: Work, first: int, last: int, ids: list[int], rows: StepRows) -> Update:
        where, row = self.runner.culprit(ids, rows, first, last)
        token = int(rows.positions[row])
        return self._end(
            self.requests[work.sequence.id],
            "error",
            f"the model's numbers are not finite from {where} on, at token {token} of the "
            "request: look at its weights",
        )

    def _end(self, request: Request, reason: FinishReason, error: str | None = None) -> Update:
        update = request.end(reason, error)
        update.completion = self._close(request, drop=True)
        return update

    def _close(self, request: Request, drop: bool = False) -> Completion:
        """Takes a request out; its pages stay as prefixes, unless `drop`."""
        sequence = request.sequence
        if request.params.routing and sequence.pages:
            request.completion.routing = self.store.routing(sequence.pages, sequence.computed)
        (self.scheduler.drop if drop else self.scheduler.finish)(sequence)
        self.runner.forget(sequence)
        del self.requests[sequence.id]
        return request.close()


def _merged(updates: list[Update]) -> list[Update]:
    """One update a sample."""
    merged: dict[int, Update] = {}
    for update in updates:
        known = merged.setdefault(update.request, update)
        if known is not update:
            known.ids += update.ids
            known.text += update.text
            known.logprobs += update.logprobs
            if update.top is not None:
                known.top = [*(known.top or ()), *update.top]
            known.completion = update.completion
    return list(merged.values())
