"""The figures of an RL run as they come: one JSON line a record, and TensorBoard beside it.

JSON has no NaN and no infinity (RFC 8259, 6): such a figure is null there, and no point of a curve.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from speciale.files import explained, make_folder, write_atomic

log = logging.getLogger(__name__)

_ROW_FIGURES = ("pass1", "passk", "tokens")  # of an evaluation's row


class Metrics:
    """Writes `metrics.jsonl` and `tensorboard/` of a run's folder; a context manager.

    Each record is in the file, and with the system, when the call returns: a killed process loses
    none. tensorboard: needs tensorboardX, of the extra [rl]; without it JSON lines alone, which is
    logged once. SpecialeError where the folder cannot be written.
    """

    def __init__(self, folder: Path, tensorboard: bool = True) -> None:
        self.path = make_folder(Path(folder)) / "metrics.jsonl"
        self._curves = _Curves.open(Path(folder) / "tensorboard") if tensorboard else None
        self._whole = False  # whether the file is known to end with a line's end

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, record: Mapping[str, Any]) -> None:
        """A training step: numbers, by name or in tables of numbers; `step` counts from 1."""
        plain = self._write({"kind": "step", **record})
        self._draw(plain, dict(flatten(plain)))

    def evaluation(self, record: Mapping[str, Any]) -> None:
        """An evaluation after `step` steps: `rows`, a domain's environment at one level each."""
        plain = self._write({"kind": "eval", **record})
        self._draw(plain, dict(_evaluation_figures(plain)))

    def forget(self, after_step: int) -> None:
        """Drops the records of later steps, which a resumed run makes again, and half lines."""
        if self.path.exists():
            with explained(self.path):
                text = self.path.read_text("utf-8", errors="replace")
            # Only "\n" ends a line: str.splitlines cuts at U+2028 too, legal inside JSON strings.
            kept = [line for line in text.split("\n") if _is_kept(line, after_step)]
            write_atomic(self.path, "".join(line + "\n" for line in kept))
        if self._curves is not None:
            self._curves.purge(after_step + 1)

    def close(self) -> None:
        if self._curves is not None:
            self._curves.close()

    def _write(self, record: Mapping[str, Any]) -> dict[str, Any]:
        plain = {"time": round(time.time(), 2), **_plain(record)}
        line = json.dumps(plain, allow_nan=False) + "\n"
        with explained(self.path), open(self.path, "ab+") as file:
            if not self._whole and file.tell():
                file.seek(-1, 2)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(line.encode())
        self._whole = True
        return plain

    def _draw(self, plain: Mapping[str, Any], figures: dict[str, float]) -> None:
        if self._curves is not None and isinstance(step := plain.get("step"), int):
            self._curves.add(step, plain["time"], figures)


class _Curves:
    """A folder of TensorBoard's event files, one a process and one more for each purge.

    tensorboardX's SummaryWriter would write from a thread that a kill cuts short; its record
    writer, used here, has written when it returns.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)
        self._writer: Any = None

    @classmethod
    def open(cls, folder: Path) -> _Curves | None:
        try:
            import tensorboardX  # noqa: F401
        except ImportError:
            log.warning("no TensorBoard curves without tensorboardX: pip install 'speciale[rl]'")
            return None
        return cls(folder)

    def add(self, step: int, seconds: float, figures: Mapping[str, float]) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
        self._write(step=step, wall_time=seconds, summary=Summary(value=values))

    def purge(self, step: int) -> None:
        """Tells the viewer to hide what earlier files hold of `step` and later ones."""
        from tensorboardX.proto.event_pb2 import SessionLog

        before = any(self._folder.iterdir())
        self.close()
        if before:
            start = SessionLog(status=SessionLog.START)
            self._write(step=step, wall_time=time.time(), session_log=start)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, **event: Any) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event

        with explained(self._folder):
            if self._writer is None:
                # A file's name has whole seconds: a number keeps two of one second apart, in order.
                number = len(list(self._folder.iterdir()))
                self._writer = EventsWriter(str(self._folder / "events"), f".{number:04d}")
            self._writer.write_event(Event(**event))
            self._writer.flush()


def flatten(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested tables, by their path: ("reward/mean", 0.4). Not step, time, kind."""
    for name, value in record.items():
        if not before and name in ("kind", "step", "time"):
            continue
        if isinstance(value, Mapping):
            yield from flatten(value, f"{before}{name}/")
        elif isinstance(value, int | float):
            yield f"{before}{name}", float(value)


def _evaluation_figures(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Each row's figures, and their means over environments trained on and held out."""
    means: dict[str, list[float]] = {}
    for row in record.get("rows", ()):
        side = "trained" if row.get("trained") else "held_out_environments"
        name = f"{row.get('source')}/level_{row.get('level')}/{row.get('split')}"
        for figure in _ROW_FIGURES:
            if isinstance(value := row.get(figure), int | float):
                yield f"eval/{name}/{figure}", float(value)
                means.setdefault(f"eval_mean/{side}/{row.get('split')}/{figure}", []).append(value)
    for name, values in means.items():
        yield name, fmean(values)


def _plain(value: Any) -> Any:
    """What JSON can hold: numbers of NumPy and PyTorch become Python's, NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if not isinstance(value, float) and hasattr(value, "item"):
        return _plain(value.item())
    number = float(value)
    return number if math.isfinite(number) else None


def _is_kept(line: str, after_step: int) -> bool:
    try:
        record = json.loads(line)
    except ValueError:
        return False  # empty, or under way when the process was killed
    if not isinstance(record, dict):
        return False
    step = record.get("step")
    return not isinstance(step, int | float) or step <= after_step
