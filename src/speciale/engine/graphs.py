"""CUDA graphs for decoding: a step of few rows is recorded once and then replayed whole.

Without them a GPU waits for Python between the hundreds of small kernels of a step. A recording is
for so many rows and so long a context, both rounded up; rows too many are padding that reads and
writes a page of its own. What is recorded must not wait for the device: attention is told a bound
of the lengths, experts are grouped matmuls (`ops.torch_backend.grouped_expert_mlp`).

Not run on a GPU yet: the tests replay by running the step again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from speciale.engine.attention import StepRows
from speciale.ops import PAGE

MOST_ROWS = 64  # of a recorded step; beyond them the kernels are large enough to be waited for

Forward = Callable[[Tensor, StepRows], Tensor]


class FixedRows(StepRows):
    """A step's tensors at fixed places, `count` rows that see up to `longest` tokens. All of them
    take the same way: the top-k of fewer than k tokens is all of them."""

    def __init__(self, count: int, longest: int, tables: Tensor, topk: int, spare: int) -> None:
        """spare: the page of the padding, which the last of the tables names."""
        self.tables, self.topk, self.longest, self.masked = tables, topk, longest, []
        self.window = False
        whole = slice(None)
        self.dense_rows, self.sparse_rows = (whole, None) if longest <= topk else (None, whole)
        new = tables.new_empty
        self.ids = new(count, dtype=torch.long)
        self.rows, self.lengths = new(count), new(count)
        self.positions, self.slots = new(count, dtype=torch.long), new(count, dtype=torch.long)
        self._padding = (0, len(tables) - 1, 1, 0, spare * PAGE)
        self.fill((), None)

    def fill(self, ids: list[int] | tuple[()], step: StepRows | None) -> None:
        """Puts a step's rows in the first places, padding behind them."""
        fields = (self.ids, self.rows, self.lengths, self.positions, self.slots)
        for field, padding in zip(fields, self._padding):
            field[len(ids) :] = padding
        if step is not None:
            self.ids[: len(ids)] = torch.tensor(ids)
            for field, given in zip(
                fields[1:], (step.rows, step.lengths, step.positions, step.slots)
            ):
                field[: len(ids)] = given


@dataclass
class _Recording:
    rows: FixedRows
    hidden: Tensor  # [count, hidden]
    replay: Callable[[], None]


class DecodeGraphs:
    """forward: ids [N] and their rows -> what the head reads [N, hidden]; tables, whose last is the
    padding's, lie where the model does."""

    def __init__(self, forward: Forward, tables: Tensor, topk: int, spare: int) -> None:
        self._forward, self._tables, self._topk, self._spare = forward, tables, topk, spare
        self._recordings: dict[tuple[int, int], _Recording] = {}

    @staticmethod
    def serve(weight: Tensor) -> bool:
        """Whether a model with this weight can be recorded: grouped matmuls ask for bfloat16."""
        return weight.is_cuda and weight.dtype == torch.bfloat16

    def run(self, ids: list[int], step: StepRows) -> Tensor | None:
        """The step's [N, hidden], good until the next step; None where it is not to be recorded."""
        if step.masked or len(ids) > MOST_ROWS:
            return None
        count, longest = _rounded(len(ids)), self._topk
        if step.longest > longest:
            longest = min(_rounded(step.longest), self._tables.shape[1] * PAGE)
        recording = self._recordings.get((count, longest))
        if recording is None:
            recording = self._recordings[count, longest] = self._record(count, longest)
        recording.rows.fill(ids, step)
        recording.replay()
        return recording.hidden[: len(ids)]

    def _record(self, count: int, longest: int) -> _Recording:
        rows = FixedRows(count, longest, self._tables, self._topk, self._spare)
        hidden, replay = recorded(lambda: self._forward(rows.ids, rows))
        return _Recording(rows, hidden, replay)


def _rounded(size: int) -> int:
    """The power of two that is not below it."""
    return 1 << (size - 1).bit_length()


def recorded(work: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
    """What `work` gives, and what gives it anew at the same place."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):  # compiles kernels and sets up libraries, which no graph may
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        out = work()
    return out, graph.replay
