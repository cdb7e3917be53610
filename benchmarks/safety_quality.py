"""How well the embedded classifiers tell harmful from harmless on the test half of our lines.

The heads never saw that half, nor lines of its templates. Then: false alarms, at medium and above,
on documentation and licences found on this machine. The table is in docs/content-filter.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from pydoc_data import topics

import torch

from _results import Row, write
from speciale.safety.classifiers import EmbeddedClassifiers
from speciale.safety.fit import read_lines
from speciale.safety.verdict import CATEGORIES, Scores

MEDIUM = 4  # what a deployment filters unless told otherwise
PARAGRAPHS = 400  # of each kind of text


def main() -> None:
    torch.set_num_threads(1)  # the work is in small pieces
    classifiers = EmbeddedClassifiers()
    lines = [line for line in read_lines() if line.split == "test"]
    prompts = classifiers.score([line.text for line in lines], "prompt")
    documents = classifiers.score([line.text for line in lines], "document")
    rows: list[Row] = []
    for category in CATEGORIES:
        for least in (2, 4, 6):
            rows.append(
                _row(
                    f"{category} >= {least}",
                    [line.labels[category] >= least for line in lines],
                    [scores.severity[category] >= least for scores in prompts],
                )
            )
        both = [
            (line.labels[category], scores.severity[category])
            for line, scores in zip(lines, prompts, strict=True)
            if line.labels[category]
        ]
        rows[-1]["severity exact %"] = 100 * sum(a == b for a, b in both) / len(both)
    # Of a prompt's neighbours, an attack that belongs into a document is no jailbreak to count.
    for flag, found, leave in (
        ("jailbreak", prompts, "indirect_attack"),
        ("indirect_attack", documents, "jailbreak"),
        ("profanity", prompts, ""),
    ):
        kept = [i for i, line in enumerate(lines) if not line.flags.get(leave)]
        rows.append(
            _row(
                flag, [lines[i].flags[flag] for i in kept], [getattr(found[i], flag) for i in kept]
            )
        )
    for lang in sorted({line.lang for line in lines}):
        own = [i for i, line in enumerate(lines) if line.lang == lang]
        rows.append(
            _row(
                f"any category >= 4, {lang}",
                [max(lines[i].labels.values()) >= MEDIUM for i in own],
                [max(prompts[i].severity.values()) >= MEDIUM for i in own],
            )
        )
    harmless = [i for i, line in enumerate(lines) if line.harmless]
    alarms = sum(_filtered(prompts[i]) or _filtered(documents[i]) for i in harmless)
    rows.append(_alarms("harmless look-alikes (test half)", alarms, len(harmless)))
    for name, texts in ordinary_texts().items():
        asked, read = (classifiers.score(texts, mode) for mode in ("prompt", "document"))
        alarms = sum(_filtered(a) or _filtered(b) for a, b in zip(asked, read, strict=True))
        rows.append(_alarms(name, alarms, len(texts)))
    write("safety_quality", rows)


def ordinary_texts() -> dict[str, list[str]]:
    """Paragraphs of harmless text that every machine with these packages has."""
    reference = "\n\n".join(topics.topics[name] for name in sorted(topics.topics))
    readmes = (str(d.metadata.get_payload() or "") for d in distributions())
    licences = Path("/usr/share/common-licenses")
    files = sorted(p for p in licences.glob("*") if p.is_file()) if licences.is_dir() else []
    return {
        "Python's language reference": _paragraphs([reference]),
        "packages' readmes": _paragraphs(sorted(readmes)),
        "licences": _paragraphs([p.read_text(errors="replace") for p in files]),
    }


def _paragraphs(texts: Sequence[str]) -> list[str]:
    """At most PARAGRAPHS of them, evenly spread."""
    found = [p for text in texts for p in re.split(r"\n\s*\n", text) if 80 <= len(p) <= 1500]
    found = list(dict.fromkeys(found))
    return found[:: max(len(found) // PARAGRAPHS, 1)][:PARAGRAPHS]


def _filtered(scores: Scores) -> bool:
    attacked = scores.jailbreak or scores.indirect_attack
    return attacked or max(scores.severity.values()) >= MEDIUM


def _row(what: str, wanted: Sequence[bool], found: Sequence[bool]) -> Row:
    hits = sum(w and f for w, f in zip(wanted, found, strict=True))
    alarms, misses = sum(found) - hits, sum(wanted) - hits
    precision = hits / max(hits + alarms, 1)
    recall = hits / max(hits + misses, 1)
    return {
        "what": what,
        "lines": hits + misses,
        "precision %": 100 * precision,
        "recall %": 100 * recall,
        "F1 %": 200 * precision * recall / max(precision + recall, 1e-9),
    }


def _alarms(what: str, alarms: int, texts: int) -> Row:
    return {"what": what, "texts": texts, "false alarms %": 100 * alarms / max(texts, 1)}


if __name__ == "__main__":
    main()
