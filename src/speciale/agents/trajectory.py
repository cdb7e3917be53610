"""What an agent did, step by step, exactly: the ids of every prompt and completion, log-probs,
calls with their results, timings. One JSON line a trajectory; reading one gives the same ids again.

A step's prompt is stored as how much of the step before it still stands, and what is new behind
that; where nothing was lost, steps join to one training sequence (`segments`).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

from tokenizers import Tokenizer

from speciale.agents.calls import CallRecord
from speciale.agents.rounds import token_roles
from speciale.errors import DataError
from speciale.files import explained

VERSION = 1
Stop = Literal[
    "answer", "length", "turns", "tokens", "seconds", "context", "cancelled", "error", "running"
]


@dataclass
class Step:
    """One completion and what was done about it.

    The prompt is the first `kept` ids of the step before (its prompt and completion), then `added`.
    """

    kept: int
    added: list[int]
    ids: list[int]
    logprobs: list[float]
    finish: str
    seconds: float
    message: dict[str, Any]
    calls: list[CallRecord] = field(default_factory=list)
    cached_tokens: int = 0
    versions: list[int | str] = field(default_factory=list)
    managed: str | None = None  # what context management did before this step
    # Kept sets and routing for RL, in memory only.
    extras: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass
class Segment:
    """A sequence to train on: `mask` marks the sampled ids, `logprobs` are 0 elsewhere."""

    ids: list[int]
    mask: list[bool]
    logprobs: list[float]
    steps: list[int]  # the steps that it joins


@dataclass
class Trajectory:
    """Filled as the agent goes, so that whoever stops it still has what was done."""

    task: str | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    thinking: bool = True
    messages: list[dict[str, Any]] = field(default_factory=list)  # all that happened
    steps: list[Step] = field(default_factory=list)
    stop: Stop = "running"
    error: str | None = None
    started: str = ""  # UTC
    seconds: float = 0.0
    score: float | None = None
    reasons: list[str] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)  # model, seed, budget: what the caller adds
    version: int = VERSION

    @property
    def answer(self) -> str:
        """The text of the last assistant message without calls; "" where there is none."""
        last = self.messages[-1] if self.messages else {}
        answered = last.get("role") == "assistant" and not last.get("tool_calls")
        return last.get("content", "") if answered else ""

    @property
    def sampled_tokens(self) -> int:
        return sum(len(step.ids) for step in self.steps)

    def record(self, prompt: Sequence[int], step: Step) -> None:
        """Adds a step whose prompt is `prompt`; sets its `kept` and `added`."""
        before = self._whole(len(self.steps) - 1) if self.steps else []
        step.kept = _common(before, prompt)
        step.added = list(prompt[step.kept :])
        self.steps.append(step)
        self._wholes()[len(self.steps) - 1] = [*prompt, *step.ids]
        self._wholes().pop(len(self.steps) - 2, None)

    def prompt(self, number: int) -> list[int]:
        """The ids that step `number` answered."""
        whole = self._whole(number)
        return whole[: len(whole) - len(self.steps[number].ids)]

    def reused(self) -> float:
        """The share of all prompts' tokens that stood in the step before (after the first one)."""
        prompts = [len(self.prompt(n)) for n in range(1, len(self.steps))]
        return sum(step.kept for step in self.steps[1:]) / max(1, sum(prompts))

    def segments(self) -> list[Segment]:
        """The training sequences: a new one begins where a step lost some of the one before."""
        found: list[Segment] = []
        for number, step in enumerate(self.steps):
            last = found[-1] if found else None
            if last is None or step.kept < len(last.ids):
                prompt = self.prompt(number)
                last = Segment(prompt, [False] * len(prompt), [0.0] * len(prompt), [])
                found.append(last)
            else:
                _extend(last, step.added, None)
            _extend(last, step.ids, step.logprobs)
            last.steps.append(number)
        return found

    def roles(self, tokenizer: Tokenizer, number: int) -> list[str]:
        """Who wrote each id of step `number`, its prompt and its completion."""
        return token_roles(tokenizer, self._whole(number))

    def to_json(self) -> str:
        """One line, without what is kept in memory only."""
        steps = [{k: v for k, v in vars(step).items() if k != "extras"} for step in self.steps]
        fields = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        data = {**fields, "steps": [{**s, "calls": [asdict(c) for c in s["calls"]]} for s in steps]}
        return json.dumps(data, ensure_ascii=False)

    def _wholes(self) -> dict[int, list[int]]:
        return self.__dict__.setdefault("_cache", {})

    def _whole(self, number: int) -> list[int]:
        """Prompt and completion of a step; those of the steps before are made on the way."""
        cache = self._wholes()
        if number not in cache:
            known = max((n for n in cache if n < number), default=-1)
            for n in range(known + 1, number + 1):
                step = self.steps[n]
                before = cache[n - 1] if n else []
                cache[n] = [*before[: step.kept], *step.added, *step.ids]
                cache.pop(n - 2, None)  # one behind is enough for a walk forwards
        return cache[number]


def append_trajectory(path: str | Path, trajectory: Trajectory) -> None:
    """Adds a line to a file, whole or not at all; it is on the disk when this returns.

    Several writers may share the file. Half a line, which a killed writer left at its end, goes: it
    would spoil the next one.
    """
    line = (trajectory.to_json() + "\n").encode("utf-8", "replace")
    with explained(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed
            end = _end_of_last_line(file)
            file.truncate(end)
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:  # a full disk
                file.truncate(end)
                raise


def read_trajectories(path: str | Path) -> Iterator[Trajectory]:
    """The trajectories of a file. A last line that was cut off (its writer was killed) is left
    out; DataError names any other line that is no trajectory."""
    if not Path(path).is_file():
        raise DataError(f"{path} is no file: name one of JSON lines, such as --out writes.")
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            if line.strip():
                yield _read(line, f"{path}, line {number}")


def _end_of_last_line(file: IO[bytes]) -> int:
    """Where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - (1 << 16))
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def _read(line: bytes, where: str) -> Trajectory:
    from pydantic import ValidationError

    try:
        trajectory = _adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{where} is no trajectory ({place}: {first['msg']}).") from error
    if trajectory.version != VERSION:
        raise DataError(
            f"{where} is of version {trajectory.version}, this program reads {VERSION}."
        )
    return trajectory


@lru_cache(maxsize=1)
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Trajectory)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many ids both begin with."""
    most = min(len(a), len(b))
    if a[:most] == b[:most]:
        return most
    low, high = 0, most  # a[:low] == b[:low], a[:high] != b[:high]
    while high - low > 1:
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _extend(segment: Segment, ids: Sequence[int], logprobs: Sequence[float] | None) -> None:
    segment.ids += ids
    segment.mask += [logprobs is not None] * len(ids)
    segment.logprobs += logprobs or [0.0] * len(ids)
