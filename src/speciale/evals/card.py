"""MODEL_CARD.md in Hugging Face's form: every figure in it is one that runs have recorded.

A model that RL made has a run behind it, which its recipe names: the card tells of both. What was
not recorded is said to be so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from speciale.engine.llm import model_folder
from speciale.evals.history import History, read_history
from speciale.evals.kept import Kept, Row, read_kept
from speciale.evals.records import mapping, number, objects, run_totals, totals
from speciale.evals.rl_records import rl_lines
from speciale.evals.target import model_digest
from speciale.files import write_atomic

ABSENT = "not recorded"
_OF_THE_MACHINE = {"stdlib", "usr-share-doc"}  # what Python and the system bring
_TITLES = {
    "pretrain": "dense pre-training", "warmup": "indexer warm-up", "sparse": "sparse training",
    "sft": "supervised chat training",
}  # fmt: skip


def write_card(folder: str | Path) -> Path:
    """Writes MODEL_CARD.md into a run's folder. CheckpointError where that is none."""
    folder = Path(folder)
    target = folder / "MODEL_CARD.md"
    write_atomic(target, card(read_history(folder)))
    return target


def card(history: History) -> str:
    parts = [
        _metadata(history),
        f"# {_name(history)}\n",
        _about(history),
        "## Training\n",
        _stages(history),
        _rl(history),
        "## Data\n",
        _data(history),
        "## Evaluation\n",
        _evaluation(history),
        "## Safety\n",
        _safety(history),
        "## Limits\n",
        _limits(history),
        "## Use\n",
        _use(),
        "## How it was made\n",
        _provenance(history),
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts if part)


def _name(history: History) -> str:
    """Of the model: what each run behind it was called."""
    return " + ".join(run.name for run in history.runs)


def _metadata(history: History) -> str:
    """The block that Hugging Face's hub reads; results are those of `speciale eval`."""
    lines = [
        "---", "language:", "- en", "library_name: speciale",
        "pipeline_tag: text-generation", "tags:", "- deepseek_v32", "- sparse-attention",
        *(["- reinforcement-learning"] if len(history.runs) > 1 else []),
    ]  # fmt: skip
    found = [(each, row) for each in _evaluations(history) for row in _measured(each)]
    if found:
        lines += ["model-index:", f"- name: {json.dumps(_name(history))}", "  results:"]
    for each, row in found:
        lines += [
            "  - task:", "      type: text-generation", "    dataset:",
            f"      name: {json.dumps(row.cell)}", f"      type: {json.dumps(each.suite)}",
            "    metrics:", "    - type: pass@1", f"      value: {row.pass1:.4f}",
        ]  # fmt: skip
    return "\n".join([*lines, "---", ""])


def _about(history: History) -> str:
    first = history.runs[0]
    parameters, shape = mapping(first.info.get("parameters")), mapping(first.info.get("config"))

    def told(key: str) -> str:
        return _text(shape.get(key))

    active = _count(parameters.get("active"))
    experts = (
        f"{told('n_routed_experts')} routed, {told('num_experts_per_tok')} a token, "
        f"{told('n_shared_experts')} shared"
    )
    rows = [
        ("parameters", f"{_count(parameters.get('total'))}, {active} active a token"),
        ("layers, hidden size", f"{told('num_hidden_layers')}, {told('hidden_size')}"),
        ("experts", experts),
        ("sparse attention", f"top {told('index_topk')} tokens by {told('index_n_heads')} heads"),
        ("vocabulary", told("vocab_size")),
    ]
    what = (
        "A small DeepSeek-V3.2, made from nothing: latent attention, a lightning "
        "indexer that picks what each token attends to, a mixture of experts, multi-token "
        "prediction, V3.2's chat format. It shows the system, not skill.\n\n"
    )
    return what + _table(("", ""), rows)


def _stages(history: History) -> str:
    rows: list[tuple[str, ...]] = []
    for run in history.runs:
        parts = [(_TITLES.get(stage.name, stage.name), totals(stage)) for stage in run.stages]
        if len(parts) > 1:
            parts.append(("all of them", run_totals(run)))
        for name, s in parts:
            spent = _minutes(s["seconds"]), _percent(s["mfu"]), _flops(s["flops"])
            rows.append((name, _count(s["tokens"]), _count(s["steps"]), *spent))
    if not rows:
        return f"Stages: {ABSENT}.\n"
    return _table(("stage", "tokens", "steps", "minutes", "MFU", "FLOPs"), rows)


def _rl(history: History) -> str:
    """Each RL run's held-out pass@1 before and after, by domain."""
    out = ""
    for run in history.runs:
        records = rl_lines(run.path)
        tests = [r for r in records if r.get("kind") == "eval" and objects(r.get("rows"))]
        steps = [r for r in records if r.get("kind") == "step"]
        if not tests:
            continue
        minutes = number(steps[-1].get("seconds")) if steps else None
        rows = [
            (domain, "yes" if trained else "never", str(len(before)),
             _percent(_mean(before)), _percent(_mean(after)))
            for (domain, trained), (before, after) in _by_domain(tests[0], tests[-1]).items()
        ]  # fmt: skip
        out += (
            f"\n**{run.name}**: {len(steps)} steps of reinforcement learning, {_minutes(minutes)} "
            "minutes. Held-out pass@1:\n\n"
        )
        out += _table(("domain", "trained on", "sources", "before", "after"), rows)
    return out


def _by_domain(first: dict, last: dict) -> dict[tuple[str, bool], tuple[list[float], list[float]]]:
    found: dict[tuple[str, bool], tuple[list[float], list[float]]] = {}
    for place, record in enumerate((first, last)):
        for row in objects(record.get("rows")):
            value = number(row.get("pass1"))
            if value is not None:
                key = str(row.get("domain")), bool(row.get("trained"))
                found.setdefault(key, ([], []))[place].append(value)
    return found


def _data(history: History) -> str:
    data = mapping(history.recipes[0].get("data"))
    if not data:
        return f"{ABSENT.capitalize()}.\n"
    lines = [
        f"- text: {', '.join(map(_text, data.get('sources', []))) or ABSENT}, at most "
        f"{_text(data.get('text_megabytes'))} MB",
        f"- problems of reasoning-gym, {_percent(number(data.get('problem_share')))} of the "
        "pre-training tokens: "
        + ", ".join(
            f"{name} (level {level})" for name, level in mapping(data.get("families")).items()
        ),
        f"- conversations: {_count(number(data.get('conversations')))}, written by programs",
    ]
    if hasty := number(data.get("hasty_share")):
        lines.append(f"- of those with thinking {_percent(hasty)} leave out the steps")
    if agents := mapping(data.get("agents")):
        lines.append(f"- synthesised tasks with tools: {_count(number(agents.get('tasks')))}")
    if set(data.get("sources", ())) <= _OF_THE_MACHINE:
        lines.append("- nothing was downloaded, no person's data was collected")
    return "\n".join(lines) + "\n"


def _evaluations(history: History) -> list[Kept]:
    """What `speciale eval` left in the last run's folder; the page tells of damage."""
    return read_kept(history.last.path / "evals", [])


def _measured(evaluation: Kept) -> list[Row]:
    return [row for row in evaluation.rows if row.pass1 is not None and row.budget is None]


def _evaluation(history: History) -> str:
    found = [each for each in _evaluations(history) if each.suite != "safety"]
    if not found:
        return "Not measured: `speciale eval` writes it.\n"
    return "\n".join(_suite(each) for each in found)


def _suite(evaluation: Kept) -> str:
    settings = evaluation.settings
    rows = []
    for row in evaluation.shown:
        low, high = row.interval or (None, None)
        bounds = "" if low is None else f"{_percent(low)} to {_percent(high)}"
        several = "" if row.k is None else f"{_percent(row.passk)} (k = {row.k})"
        told = "not measured" if row.pass1 is None else _percent(row.pass1)
        name = row.cell + ("" if row.budget is None else f", {row.budget} tokens of thinking")
        cost = "none solved" if row.pass1 == 0 else _count(row.tokens_per_solved)
        rows.append((name, _text(row.tasks), told, bounds, several, _percent(row.chance), cost))
    about = (
        f"**{evaluation.suite}**: {_text(settings.get('samples'))} attempts a task at "
        f"temperature {_text(settings.get('temperature'))}, seed {_text(settings.get('seed'))}; "
        "95% intervals.\n\n"
    )
    heads = ("cell", "tasks", "pass@1", "95%", "pass@k", "chance", "tokens per solved")
    return about + _table(heads, rows)


def _safety(history: History) -> str:
    found = [each for each in _evaluations(history) if each.suite == "safety"]
    filtered = "The service filters prompts and completions by default.\n\n"
    return filtered + (
        _suite(found[-1]) if found else "Its effect on this model was not measured.\n"
    )


def _limits(history: History) -> str:
    context = max(
        (number(mapping(r.get("data")).get("context")) or 0 for r in history.recipes), default=0
    )
    lines = []
    if context:
        lines.append(f"- It never saw more than {_count(context)} tokens at once in training.")
    guessed: dict[str, list[str]] = {}
    for each in _evaluations(history):
        for row in _measured(each):
            low = None if row.interval is None else row.interval[0]
            if row.chance is not None and low is not None and low <= row.chance:
                guessed.setdefault(each.suite, []).append(row.cell)
    if guessed:
        told = "; ".join(f"{suite}: {', '.join(cells)}" for suite, cells in guessed.items())
        lines.append(f"- Not told from guessing: {told}.")
    asked = {each.suite for each in _evaluations(history)}
    left = [
        name for name in ("reasoning", "agent", "longctx", "format", "safety") if name not in asked
    ]
    if left:
        lines.append(f"- Not measured: {', '.join(left)}.")
    lines.append("- Of no use where facts matter: it knows none that its few texts did not hold.")
    return "\n".join(lines) + "\n"


def _use() -> str:
    return (
        "```sh\nspeciale chat FOLDER\n"
        "speciale serve FOLDER          # OpenAI-compatible, filter on\n"
        "speciale eval FOLDER --suite reasoning\n```\n"
    )


def _provenance(history: History) -> str:
    lines = []
    for run in history.runs:
        started = number(run.info.get("started"))
        day = f"{datetime.fromtimestamp(started, UTC):%d %B %Y}" if started else ABSENT
        lines += [
            f"- `{_text(run.info.get('command'))}`, seed {_text(run.info.get('seed'))}, speciale "
            f"{_text(run.info.get('version'))}, PyTorch {_text(run.info.get('torch'))}, "
            f"{_text(run.info.get('machine'))}, {day}"
        ]
    lines = list(dict.fromkeys(lines))  # one command may have made several
    place = model_folder(history.last.path)
    if (place / "config.json").exists():
        lines.append(f"- digest of weights and tokenizer: `{model_digest(place)}`")
    return "\n".join(lines) + "\n"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    cells = (
        " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line)
        for line in lines
    )
    return "".join(f"| {line} |\n" for line in cells)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _text(value: Any) -> str:
    return ABSENT if value is None else str(value)


def _count(value: Any) -> str:
    value = number(value)
    if value is None:
        return ABSENT
    return f"{value / 1e6:,.1f} million" if value >= 1e6 else f"{value:,.0f}"


def _percent(value: Any) -> str:
    value = number(value)
    return ABSENT if value is None else f"{100 * value:.1f}%"


def _minutes(seconds: float | None) -> str:
    return ABSENT if seconds is None else f"{seconds / 60:.1f}"


def _flops(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.2e}"
