"""A run: items in their order until enough tasks are in the store, and where it stands.

Results are committed in the order of the items, so gate 7 sees the same store with any number of
workers; items that are done are passed over, so a run that was killed goes on where it was.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from speciale.errors import ConfigError, DataError
from speciale.sandbox import SandboxError
from speciale.synth.schedule import Pool
from speciale.synth.store import Committed, Store
from speciale.synth.work import Item, Result

PATIENCE = 300  # items in a row without an accepted task, after which a run is given up


@dataclass
class Summary:
    """Where a run stands. Tasks: `accepted` of `want`, of which `before` were there when it began;
    `refused` by the number of the first gate that did not pass. Items: `kept` gave a task,
    `rejected` gave none by their author's or the gates' judgement, `failed` by a fault; `passed`
    were done before. `reasons` of items without a family, and of refused tasks, counted."""

    want: int
    accepted: int = 0
    before: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    rejected: int = 0
    failed: int = 0
    passed: int = 0
    seconds: float = 0.0

    @property
    def an_hour(self) -> float:
        """Tasks accepted in an hour at this run's rate."""
        return (self.accepted - self.before) / self.seconds * 3600 if self.seconds else 0.0


def run(
    items: Iterator[Item],
    want: int,
    store: Store,
    pool: Pool,
    progress: Callable[[Summary], None] | None = None,
    patience: int = PATIENCE,
) -> Summary:
    """Works on `items` until they have given `want` accepted tasks, those of earlier runs counted,
    or until they end. A family is never cut: there may be a few more tasks. `progress` is told
    after each item.

    SandboxError where this machine has no sandbox, DataError after `patience` items in a row
    without an accepted task, ConfigError for items that are none.
    """
    if want < 1:
        raise ConfigError(f"the number of tasks is {want}: give 1 or more")
    summary, begin = Summary(want), time.monotonic()

    def tell() -> None:
        summary.seconds = time.monotonic() - begin
        if progress is not None:
            progress(summary)

    def to_do() -> Iterator[Item]:
        seen = set()
        for item in items:
            if summary.accepted >= want:
                return
            key = item.get("key")
            if key in seen:
                raise ConfigError(f"two work items have the key {key!r}")
            seen.add(key)
            accepted = store.done(key) if isinstance(key, str) else None
            if accepted is None:
                yield item
            else:
                summary.passed += 1
                summary.before += accepted
                summary.accepted += accepted

    def needed() -> int:
        """How many more items it takes, if they go on giving as many tasks as they did."""
        worked = summary.kept + summary.rejected + summary.failed
        gained = summary.accepted - summary.before
        return math.ceil((want - summary.accepted) * worked / gained) if gained else want

    in_vain = 0
    with contextlib.closing(pool.results(to_do(), needed)) as results:
        tell()
        for result in results:
            if result.fatal:
                raise SandboxError(result.reason or "the sandbox broke")
            committed = store.commit(result)
            _count(summary, result, committed)
            tell()
            in_vain = 0 if committed.accepted else in_vain + 1
            if in_vain >= patience:
                reason = _last_reason(result, committed)
                raise DataError(
                    f"{in_vain} work items in a row gave no accepted task, the last one because "
                    f"{reason}: see {store.folder / 'rejected'}"
                )
            if summary.accepted >= want:
                break
    tell()
    return summary


def _count(summary: Summary, result: Result, committed: Committed) -> None:
    summary.accepted += committed.accepted
    if not committed.new:  # another writer was first
        summary.passed += 1
        summary.before += committed.accepted
        return
    if committed.accepted:
        summary.kept += 1
    elif committed.failed:
        summary.failed += 1
    else:
        summary.rejected += 1
    if committed.reason:
        summary.reasons[committed.reason[:200]] += 1
    for one in committed.judged.values():
        if not one.accepted and one.refusal is not None:
            summary.refused[one.refusal.number] += 1
            summary.reasons[f"gate {one.refusal.number}: {(one.refusal.reason or '')[:200]}"] += 1


def _last_reason(result: Result, committed: Committed) -> str:
    if committed.reason:
        return committed.reason
    refusals = [one.refusal for one in committed.judged.values() if one.refusal is not None]
    return f"of gate {refusals[0].number}: {refusals[0].reason}" if refusals else "it gave none"
