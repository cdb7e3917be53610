"""Inspect (UK AI Security Institute; `pip install inspect-ai`): `FILE.py@TASK`, or the name of an
installed task.

A task's score is its first scorer's, unless `TASK#NAME` names another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from speciale.errors import ConfigError
from speciale.evals.harnesses.harness import Ask, Doc, Harness, Heard, share

# Its own letters: correct, partly, incorrect, no answer.
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


def arguments(ask: Ask) -> list[str]:
    return [
        "eval", ask.cell.task, "--model", "openai-api/target/model", "--limit", str(ask.tasks),
        "--epochs", "1", "--temperature", str(ask.temperature), "--turn-limit", str(ask.turns),
        "--max-connections", str(ask.concurrency), "--max-retries", "1",  # the relay asks again
        "--no-fail-on-error", "--log-dir", str(ask.out), "--log-format", "json",
        "--no-log-realtime", "--ctl-server", "false", "--display", "plain",
    ]  # fmt: skip


def environment(ask: Ask) -> dict[str, str]:
    return {"TARGET_API_KEY": ask.key, "TARGET_BASE_URL": ask.url}


def read(ask: Ask, heard: Heard) -> list[Doc]:
    """Of each sample that was to be asked; ConfigError where the run left no result."""
    found: list[Doc] = []
    for path, log in _logs(ask.out):
        cell = ask.cell.shown(log["eval"]["task"])
        if log["status"] != "success":
            why = (log.get("error") or {}).get("message") or f"its status is {log['status']}"
            raise ConfigError(f"inspect could not finish {ask.cell.task} ({why}): see {path}")
        samples = {str(sample["id"]): sample for sample in log.get("samples") or ()}
        for name in map(str, log["eval"]["dataset"]["sample_ids"]):
            found.append(
                _doc(cell, name, samples[name], ask, heard)
                if name in samples
                else Doc(cell, name, None, "inspect wrote nothing of it")
            )
    return found


def _logs(out: Path) -> list[tuple[Path, dict[str, Any]]]:
    found = []
    for path in sorted(out.glob("*.json")):
        try:
            log = json.loads(path.read_text(encoding="utf-8"))
            if "status" not in log or "sample_ids" not in log["eval"]["dataset"]:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise ConfigError(
                f"{path} is no whole result of inspect: run the same command again"
            ) from None
        found.append((path, log))
    if not found:
        raise ConfigError(f"inspect left no result in {out}: run the same command again")
    return found


def _doc(cell: str, name: str, sample: dict[str, Any], ask: Ask, heard: Heard) -> Doc:
    score, error = None, (sample.get("error") or {}).get("message")
    if error is None:
        score, error = _score(sample.get("scores") or {}, ask)
    else:
        error = heard.reason(error) or error
    usage = (sample.get("model_usage") or {}).values()
    output = sample.get("output") or {}
    return Doc(
        cell,
        name,
        score,
        error,
        str(output.get("completion") or ""),
        sum(each["output_tokens"] for each in usage) if usage else None,
        sum(each["input_tokens"] for each in usage) if usage else None,
        round(sample.get("total_time") or 0.0, 3),
    )


def _score(scores: dict[str, Any], ask: Ask) -> tuple[float | None, str | None]:
    """The score, or why there is none."""
    if not scores:
        return None, "its task gives no score"
    name = ask.cell.score or next(iter(scores))
    if name not in scores:
        raise ConfigError(f"{ask.cell.task} has no score {name!r}: it has {', '.join(scores)}")
    value = scores[name].get("value")
    score = _LETTERS.get(value) if isinstance(value, str) else share(value)
    return score, None if score is not None else f"{name} is {value!r}, no share from 0 to 1"


def version(out: Path) -> str | None:
    return _logs(out)[0][1]["eval"].get("packages", {}).get("inspect_ai")


HARNESS = Harness(
    "inspect", "tasks of Inspect", "inspect_ai", "inspect", ".py", arguments, environment, read,
    version,
)  # fmt: skip
