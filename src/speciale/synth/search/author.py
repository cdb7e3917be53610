"""The search agent: items -> families of multi-hop questions over a part of a corpus.

Rare entities, questions by depth and breadth, several answerers, several passes (V3.2 report,
3.2.3). An item is a corpus, a seed and an index; the same item gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import speciale
from speciale.errors import ConfigError
from speciale.synth.gates.difficulty import difficulty
from speciale.synth.search import code, wording
from speciale.synth.search.answerers import Tools
from speciale.synth.search.corpora import CORPORA, Corpus, read_corpus
from speciale.synth.search.database import SCHEMA, TOOLS, database
from speciale.synth.search.graph import Facts, part_of
from speciale.synth.search.keep import Kept, examined, shortcut
from speciale.synth.search.plan import Question
from speciale.synth.search.questions import SHAPES, Shape, Writer
from speciale.synth.search.readings import ByScan
from speciale.synth.work import Item, Rejected
from speciale.tasks.synthesised.family import SOLUTION, VERIFY, About, Family, TaskAbout, TaskFiles
from speciale.tasks.synthesised.signatures import tools_of
from speciale.tasks.synthesised.world import Run

__all__ = ["CORPORA", "items", "make"]

TASKS = 20  # of a family, at most
DRAFTS = 150  # questions that are tried for them
MOST_DEEP = 6
DROPPED = "dropped.json"  # why drafts were not kept


def items(
    corpus: str | Path, seed: int, *, depth: int | None = None, breadth: int | None = None
) -> Iterator[Item]:
    """Endless: one family of tasks after the other over a corpus: one of CORPORA, the path of a
    folder, or of a file of package paragraphs. depth: hops after the first document, of every
    question (else 1 to 4, by level); breadth: conditions on the first document, at least."""
    wanted = {"depth": depth, "breadth": breadth}
    for name, value in wanted.items():
        if value is not None and not 1 <= value <= MOST_DEEP:
            raise ConfigError(f"a search question's {name} is {value}: give 1 to {MOST_DEEP}")
    shape = {name: value for name, value in wanted.items() if value is not None}
    name = corpus if corpus in CORPORA else str(Path(corpus).resolve())
    slug = re.sub(r"[^a-z0-9]+", "-", Path(name).name.lower()).strip("-")[:40] or "corpus"
    if name not in CORPORA:
        slug += "-" + hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    marks = "".join(f"{key}{value}-" for key, value in shape.items())
    index = 0
    while True:
        yield {
            "author": "search",
            "key": f"search-{slug}-{marks}{seed}-{index:06}",
            "corpus": str(name),
            "seed": seed,
            "index": index,
            **shape,
        }
        index += 1


def make(item: Item) -> Family:
    """The family of an item. DataError where the corpus cannot be read; Rejected where nothing
    could be asked about the part that was drawn."""
    name, seed, index = item.get("corpus"), item.get("seed"), item.get("index")
    if not isinstance(name, str) or not isinstance(seed, int) or not isinstance(index, int):
        raise ConfigError(f"an item of the search agent needs a corpus, seed and index: {item!r}")
    corpus = read_corpus(name)
    shapes = _shapes(item)
    rng = Random(f"search {corpus.vocabulary.kind} {seed} {index}")
    facts = part_of(corpus, rng)
    db = database(facts.documents, rng)
    try:
        tasks, dropped = _tasks(facts, db, shapes, rng)
        data = db.serialize()
    finally:
        db.close()
    if not tasks:
        why = ", ".join(f"{count} times {reason}" for reason, count in dropped.most_common(3))
        raise Rejected(f"no question about this part of {corpus.name} was kept: {why}")
    about = About(
        id=str(item["key"]),
        kind="search",
        category=corpus.vocabulary.kind,
        seed=seed,
        generator="procedural",
        speciale=speciale.__version__,
        about=f"{len(facts.documents)} documents of {corpus.vocabulary.about}.",
        source=corpus.source,
    )
    files = {
        "schema.sql": SCHEMA.encode(),
        "data.sqlite": data,
        "tools.py": TOOLS,
        DROPPED: _json({"drafts": dict(sorted(dropped.items())), "corpus": _skipped(corpus)}),
    }
    return Family(about, files, {f"{number:03}": task for number, task in enumerate(tasks)})


def _shapes(item: Item) -> dict[int, Shape]:
    """What each level asks for: an item may want one depth or breadth throughout."""
    breadth = item.get("breadth")
    shapes = {
        level: replace(shape, breadth=breadth) if isinstance(breadth, int) else shape
        for level, shape in SHAPES.items()
    }
    depth = item.get("depth")
    if not isinstance(depth, int):
        return shapes
    level = min(depth, max(SHAPES))
    return {level: replace(shapes[level], depth=depth)}


def _tasks(
    facts: Facts, db: sqlite3.Connection, shapes: dict[int, Shape], rng: Random
) -> tuple[list[TaskFiles], Counter[str]]:
    writer = Writer(facts, db, rng)
    scan = ByScan(db, facts.vocabulary)
    tools = Tools(db)
    tasks: list[TaskFiles] = []
    dropped: Counter[str] = Counter()
    seen: set[str] = set()
    schemas = tools_of(TOOLS.decode())
    for draft in range(DRAFTS):
        if len(tasks) >= TASKS:
            break
        level = list(shapes)[draft % len(shapes)]
        question = writer.question(shapes[level])
        easier: _Made | None = None
        while question is not None and len(tasks) < TASKS:
            kept = examined(question, writer.reading, scan, tools, facts.vocabulary)
            reason = kept.reason
            mark = json.dumps(kept.answer, sort_keys=True)
            if reason is None and mark in seen:
                reason = "its answer is that of another task"
            if reason is None and "__" in mark:
                reason = "its answer is a hidden name, which gate 1 lets stand in no code"
            made = None
            if reason is None:
                made, reason = _made(question, kept, level, easier, facts, tools, schemas, rng)
            if made is None:
                dropped[str(reason)] += 1
                break
            seen.add(mark)
            easier = replace(made, number=f"{len(tasks):03}")
            tasks.append(made.task)
            level += 1
            if level not in shapes or rng.random() < 0.5:
                break
            question = writer.deeper(question, shapes[level])
        if question is None:
            dropped["the walk led nowhere"] += 1
    return tasks, dropped


@dataclass(frozen=True)
class _Made:
    """A task, and how hard it is as gate 6 measures it."""

    task: TaskFiles
    calls: int
    space: float
    number: str = ""


def _made(
    question: Question,
    kept: Kept,
    level: int,
    easier: _Made | None,
    facts: Facts,
    tools: Tools,
    schemas: list[dict[str, Any]],
    rng: Random,
) -> tuple[_Made | None, str | None]:
    vocabulary, answer = facts.vocabulary, kept.answer
    folds = _folds(answer, question, facts)
    said = wording.worded(question, vocabulary, rng)
    everything = all(name in folds for name, value in answer.items() if not isinstance(value, int))
    prompt = f"{said}\n\n{wording.form(question, vocabulary, answer, everything)}"
    if shortcut(prompt, answer, kept.calls, tools.fresh(), schemas) is not None:
        return None, "one search with the prompt's words shows the answer"
    hard = difficulty(prompt, Run(answer, kept.calls))
    calls, space = hard["calls"], hard["space_log10"]
    # Not every longer chain has an answer that is harder to guess.
    harder = easier is not None and calls > easier.calls and space >= easier.space
    about = TaskAbout(
        prompt=prompt,
        level=level,
        answer_schema=_schema(answer),
        harder_than=easier.number if easier is not None and harder else None,
        pattern=question.pattern,
        metadata={
            "depth": len(question.hops) - 1,
            "breadth": len(question.hops[0].conditions),
            **kept.evidence,
        },
    )
    files = {
        SOLUTION: code.solution(question, vocabulary).encode(),
        VERIFY: code.verifier(answer, _aliases(answer, question, facts), folds).encode(),
    }
    return _Made(TaskFiles(about, files), calls, space), None


def _folds(answer: dict[str, Any], question: Question, facts: Facts) -> list[str]:
    """The parts of an answer whose case may be any: no other value differs by case alone."""
    folds = []
    for name, value in answer.items():
        if isinstance(value, int):
            continue
        if name in facts.holders and name in question.asked:
            values = list(facts.holders[name])
        else:
            values = list(facts.titles)
        count = Counter(each.casefold() for each in values)
        own = value if isinstance(value, list) else [value]
        if all(count[each.casefold()] == 1 for each in own):
            folds.append(name)
    return folds


def _aliases(answer: dict[str, Any], question: Question, facts: Facts) -> dict[str, list[str]]:
    """A person's name with the address, where the document has it so."""
    aliases = {}
    text = next(each.text for each in facts.documents if each.title == answer[facts.vocabulary.key])
    for name in question.asked:
        value, relation = answer.get(name), facts.vocabulary.by_name[name]
        if isinstance(value, str) and relation.label:
            found = re.search(
                rf"^{re.escape(relation.label)}[ \t]*({re.escape(value)} <[^>\n]+>)", text, re.M
            )
            if found:
                aliases[name] = [found[1]]
    return aliases


def _schema(answer: dict[str, Any]) -> dict[str, Any]:
    def kind(value: Any) -> dict[str, Any]:
        if isinstance(value, list):
            return {"type": "array", "items": {"type": "string"}}
        return {"type": "integer" if isinstance(value, int) else "string"}

    return {
        "type": "object",
        "properties": {name: kind(value) for name, value in answer.items()},
        "required": list(answer),
        "additionalProperties": False,
    }


def _skipped(corpus: Corpus) -> dict[str, int]:
    return dict(sorted(corpus.skipped.items()))


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
