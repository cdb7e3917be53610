"""lm-eval-harness (EleutherAI; `pip install lm-eval`): its tasks by name, or YAML files.

Only tasks that generate: a chat server gives no log-probabilities of a text that it is shown. A
task's score is its first metric by its first filter, unless `TASK#NAME` names another of either.
"""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import Any

from speciale.errors import ConfigError
from speciale.evals.attempts import read_lines
from speciale.evals.harnesses.harness import Ask, Doc, Harness, Heard, share


def arguments(ask: Ask) -> list[str]:
    model = {
        "model": "model",  # the relay knows which
        "base_url": f"{ask.url}/chat/completions",
        "num_concurrent": max(2, ask.concurrency),  # one would go another way, with other bounds
        "max_retries": 1,  # the relay asks again
        "timeout": 86_400,
    }
    generation = {"temperature": ask.temperature, "do_sample": ask.temperature > 0}
    return [
        "run", "--model", "local-chat-completions", "--model_args", json.dumps(model),
        "--tasks", ask.cell.task, "--limit", str(ask.tasks), "--apply_chat_template",
        "--gen_kwargs", json.dumps(generation), "--log_samples", "--output_path", str(ask.out),
    ]  # fmt: skip


def environment(ask: Ask) -> dict[str, str]:
    return {"OPENAI_API_KEY": ask.key}


def read(ask: Ask, heard: Heard) -> list[Doc]:
    """Of each document that was to be asked; ConfigError where the run left no result."""
    path, results = _results(ask.out)
    found: list[Doc] = []
    for task, count in results["n-samples"].items():
        pattern = f"samples_{glob.escape(task)}_*.jsonl"
        lines = [line for file in path.parent.glob(pattern) for line in read_lines(file)]
        chosen = _chosen(lines, ask, results.get("higher_is_better", {}).get(task, {}))
        for number in range(int(count["effective"])):
            cell = ask.cell.shown(task)
            line = chosen.get(number)
            found.append(
                Doc(cell, str(number), None, "lm_eval wrote nothing of it")
                if line is None
                else _doc(cell, line, ask, heard)
            )
    return found


def _results(out: Path) -> tuple[Path, dict[str, Any]]:
    for path in out.rglob("results_*.json"):
        try:
            results = json.loads(path.read_text(encoding="utf-8"))
            if all("effective" in count for count in results["n-samples"].values()):
                return path, results
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise ConfigError(f"{path} is no whole result of lm_eval: run the same command again")
    raise ConfigError(f"lm_eval left no result in {out}: run the same command again")


def _chosen(
    lines: list[dict[str, Any]], ask: Ask, higher: dict[str, bool]
) -> dict[int, dict[str, Any]]:
    """By document, with the one score under "score"."""
    if not lines:
        return {}
    filters = list(dict.fromkeys(line["filter"] for line in lines))
    metrics, wanted = lines[0]["metrics"], ask.cell.score
    if wanted is not None and wanted not in (*filters, *metrics):
        known = ", ".join([*filters, *metrics])
        raise ConfigError(f"{ask.cell.task} has no score {wanted!r}: it has {known}")
    metric = wanted if wanted in metrics else metrics[0]
    which = wanted if wanted in filters else filters[0]
    if higher.get(metric) is False:
        raise ConfigError(f"{metric} of {ask.cell.task} is better the lower it is: name a score "
                          "of which 1 is right behind a #")  # fmt: skip
    return {
        line["doc_id"]: {**line, "score": line.get(metric), "metric": metric}
        for line in lines
        if line["filter"] == which
    }


def _doc(cell: str, line: dict[str, Any], ask: Ask, heard: Heard) -> Doc:
    said = [str(text) for each in line["resps"] for text in each]
    score, error = share(line["score"]), next(filter(None, map(heard.reason, said)), None)
    if error is None and score is None:
        error = f"{line['metric']} is {line['score']!r}, no share from 0 to 1"
    tokens, prompt_tokens = _usage(line, ask, heard)
    return Doc(
        cell, str(line["doc_id"]), None if error else score, error, "\n".join(said), tokens,
        prompt_tokens,
    )  # fmt: skip


def _usage(line: dict[str, Any], ask: Ask, heard: Heard) -> tuple[int | None, int | None]:
    """Of all requests of a document; None where one is not known."""
    tokens, prompts = 0, 0
    for request in line["arguments"].values():
        sampled, prompt = heard.usage(ask.sample, json.loads(request["arg_0"][0]))
        if sampled is None or prompt is None:
            return None, None
        tokens, prompts = tokens + sampled, prompts + prompt
    return tokens, prompts


def version(out: Path) -> str | None:
    return _results(out)[1].get("lm_eval_version")


HARNESS = Harness(
    "lm-eval", "tasks of lm-eval-harness", "lm_eval", "lm_eval", ".yaml", arguments, environment,
    read, version, fails_in_words=True,
)  # fmt: skip
