"""A harness put to a target: its runs one after the other, their documents as records and rows.

A harness runs again each time, but what it asks is answered from what was kept (relay.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from speciale.errors import ConfigError
from speciale.evals.attempts import ANSWER, Record, Settings, append_records, read_records
from speciale.evals.evaluation import Found, told
from speciale.evals.harnesses.harness import Ask, Cell, Doc, Harness
from speciale.evals.harnesses.relay import Relay, listening
from speciale.evals.harnesses.serving import ended, last_line, started
from speciale.evals.suites.suite import Choice
from speciale.evals.table import Prices, rows_of
from speciale.evals.target import Target
from speciale.files import make_folder, write_atomic
from speciale.train.progress import console, task

# Nobody is told that it runs. What a task fetches from a hub is left to the user's own HF_*.
_SILENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1", "HF_UPDATE_DOWNLOAD_COUNTS": "0", "DO_NOT_TRACK": "1",
}  # fmt: skip


async def evaluate_with(
    harness: Harness,
    target: Target,
    choice: Choice,
    settings: Settings,
    folder: Path,
    prices: Prices | None = None,
    key_env: str | None = None,
) -> Found:
    """Writes folder/NAME.json, as `evaluate` does. target: of `open_server`. key_env: the variable
    that holds its key, which a harness is not shown."""
    begun = time.perf_counter()
    attempts = folder / "attempts"
    relay = Relay(
        target.model, target.digest, settings, attempts / f"{harness.name}.answers.jsonl",
        concurrency=target.batch, fails_in_words=harness.fails_in_words,
    )  # fmt: skip
    records: list[Record] = []
    cell_of: dict[str, str] = {}  # a row's name -> which of --cells it is
    version = None
    async with listening(relay) as address:
        with task(harness.name, len(choice.cells) * settings.samples) as progress:
            for cell in choice.cells:
                for sample in range(settings.samples):
                    name = re.sub(r"[^\w.-]+", "-", f"{cell}-{sample}").strip("-.")
                    ask = Ask(
                        cell=Cell.named(cell),
                        sample=sample,
                        url=f"{address}/{sample}/v1",
                        key=relay.key,
                        tasks=choice.tasks,
                        temperature=settings.temperature,
                        turns=settings.turns,
                        concurrency=target.batch,
                        out=(folder / harness.name / name).resolve(),
                    )
                    await _run(harness, ask, key_env)
                    docs = harness.read(ask, relay)
                    version = harness.version(ask.out)
                    _refuse(docs, cell, cell_of)
                    records += [_record(harness, target, settings, sample, doc) for doc in docs]
                    if all(record.score is None for record in records):
                        why = records[0].error
                        raise ConfigError(f"nothing could be measured of {target.name}: {why}")
                    progress.advance(1, cell)
    _keep(attempts / f"{harness.name}.jsonl", records)
    _tell_missing(records)
    rows = [{**row, "budget": None} for row in rows_of(records, prices)]
    seconds = time.perf_counter() - begun
    found = Found(
        harness.name, target.name, target.digest, seconds, rows, {None: records}, settings
    )
    program = f"{harness.module} {version or ''}".strip()
    kept = {**told(found, choice), "program": program}
    write_atomic(folder / f"{harness.name}.json", json.dumps(kept, indent=1) + "\n")
    return found


async def _run(harness: Harness, ask: Ask, key_env: str | None) -> None:
    """The harness as a process of its own; ConfigError where it fails."""
    shutil.rmtree(ask.out, ignore_errors=True)  # of another time
    log = make_folder(ask.out) / "log.txt"
    here = {name: value for name, value in os.environ.items() if name != key_env}
    direct = ",".join(filter(None, (here.get("NO_PROXY"), "127.0.0.1")))
    environment = {**here, **_SILENT, "NO_PROXY": direct, "no_proxy": direct}
    with open(log, "wb") as output:
        process = await started(
            [*harness.program(), *harness.arguments(ask)],
            {**environment, **harness.environment(ask)},
            stdout=output,
            stderr=output,
        )
    try:
        status = await process.wait()
    finally:
        await ended(process)
    if status != 0:
        raise ConfigError(
            f"{harness.module} ended with status {status} on {ask.cell.task} ({last_line(log)}): "
            f"all that it said is in {log}"
        )


def _refuse(docs: Sequence[Doc], cell: str, cell_of: dict[str, str]) -> None:
    """ConfigError where a cell asked nothing, or two would share a row."""
    if not docs:
        raise ConfigError(f"{cell} has no document to ask: leave it out of --cells")
    for name in {doc.cell for doc in docs}:
        if cell_of.setdefault(name, cell) != cell:
            raise ConfigError(
                f"{cell_of[name]} and {cell} both hold a task {name}: ask them into two folders, "
                "with --out"
            )


def _record(harness: Harness, target: Target, settings: Settings, sample: int, doc: Doc) -> Record:
    asked = asdict(replace(settings, samples=0))
    words = json.dumps([target.digest, harness.name, doc.cell, doc.id, asked, sample])
    return Record(
        key=hashlib.blake2b(words.encode(), digest_size=12).hexdigest(),
        cell=doc.cell,
        task=doc.id,
        sample=sample,
        score=doc.score,
        tokens=doc.tokens,
        prompt_tokens=doc.prompt_tokens,
        seconds=doc.seconds,
        stop="stop" if doc.error is None else "error",
        error=doc.error,
        answer=doc.answer[:ANSWER],
    )


def _keep(path: Path, records: Sequence[Record]) -> None:
    """What was measured, where it is new or came out otherwise: a task's file may have changed."""
    known = read_records(path)
    new = [r for r in records if r.score is not None and known.get(r.key) != r]
    if new:
        append_records(path, new)


def _tell_missing(records: Sequence[Record]) -> None:
    missing = [record for record in records if record.score is None]
    if missing:
        first = missing[0]
        console.print(
            f"{len(missing)} of {len(records)} attempts were not measured, the first of them "
            f"{first.cell} {first.task}: {first.error}",
            soft_wrap=True, markup=False,
        )  # fmt: skip
