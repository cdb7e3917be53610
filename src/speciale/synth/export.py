"""A store's accepted tasks in other forms: JSON lines, Parquet, an environment for verifiers.

Rows hold all that a task is, its environment's files too. A task whose bytes were changed after
they were judged is left out, and counted.
"""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from speciale.errors import ConfigError, DataError
from speciale.files import atomic, make_folder, open_atomic, write_atomic
from speciale.synth.folders import write_kept
from speciale.synth.gates.gate import Judged
from speciale.synth.store import Store
from speciale.tasks.synthesised.family import Family
from speciale.tasks.synthesised.signatures import tools_of
from speciale.tasks.verifiers import export as package

Files = Mapping[str, bytes]
_GROUP = 1000  # rows of Parquet that are written at a time


def rows(store: Store, count: Count | None = None) -> Iterator[tuple[dict[str, Any], Files]]:
    """A row for each accepted task, by family and number, and the files of its environment."""
    count = count or Count()
    figures = {(row["family"], row["number"]): row for row in store.index.tasks(accepted=True)}
    known = Counter(family for family, _ in figures)
    for id in store.ids():
        entry = store.entry(id)
        assert entry.family is not None  # as tasks of it were accepted
        count.written += len(entry.accepted)
        count.left += max(0, known[id] - len(entry.accepted))
        for number in entry.accepted:
            row = _row(entry.family, number, entry.judged[number], figures.get((id, number), {}))
            yield row, entry.family.files


def export_jsonl(store: Store, path: Path) -> str:
    """Writes JSON lines; gives what was written, in words. `environment` holds the files that a
    task needs, by path: a text, or {"base64": ...} for what is none. DataError for an empty store.
    """
    count = Count()
    with open_atomic(path) as file:
        for row, files in rows(store, count):
            row["environment"] = {path: _portable(data) for path, data in files.items()}
            line = json.dumps(row, ensure_ascii=False)
            # Half a surrogate, which no UTF-8 has, becomes an escape that JSON has.
            file.write(line.encode(errors="backslashreplace") + b"\n")
        count.check(store)
    return str(count)


def export_parquet(store: Store, path: Path) -> str:
    """Writes Parquet: what is nested is JSON in a text, `environment` a map of path to bytes."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError(
            "Parquet needs the package pyarrow: run `pip install 'speciale[parquet]'`."
        ) from None
    integers = dict.fromkeys(("level", "calls"), pa.int32())
    floats = dict.fromkeys(("space_log10", "pass_rate", "jaccard"), pa.float64())
    types = {**integers, **floats, "environment": pa.map_(pa.string(), pa.binary())}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    count = Count()
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        several = rows(store, count)
        while group := list(islice(several, _GROUP)):
            flat = [
                {name: _cell(name, value) for name, value in row.items()}
                | {"environment": list(files.items())}
                for row, files in group
            ]
            writer.write_table(pa.Table.from_pylist(flat, schema))
        count.check(store)
    return str(count)


def export_verifiers(store: Store, folder: Path) -> str:
    """Writes a package for verifiers into a new or empty folder, with the families in it; gives the
    environment's name. DataError where the folder is not empty, or the store is."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty: name a new folder.")
    words = re.findall(r"[a-z0-9]+", store.folder.resolve().name.lower()) or ["tasks"]
    name = "-".join(["speciale", *words])
    module = name.replace("-", "_")
    families = folder / f"{module}_store" / "families"
    count = 0
    for id in store.ids():
        entry = store.entry(id)
        if entry.accepted:
            count += len(entry.accepted)
            write_kept(make_folder(families / id), entry)
    if not count:
        raise DataError(f"{store.folder} has no accepted task.")
    source = f'f"synth:{{Path(__file__).with_name({module + "_store"!r})}}"'
    title = f"The tasks of {' '.join(words)}"
    fields = {"name": name, "module": module, "source": source, "title": title}
    project = package.PROJECT.format(**fields).replace(f"{module}.jsonl", f"{module}_store/**")
    write_atomic(folder / f"{module}.py", package.MODULE.format(**fields))
    write_atomic(folder / "pyproject.toml", project)
    write_atomic(folder / "README.md", package.README.format(**fields))
    return f"{name}, {count:,} tasks"


COLUMNS = (
    "id", "family", "kind", "category", "level", "pattern", "prompt", "tools", "answer",
    "answer_schema", "calls", "space_log10", "pass_rate", "jaccard", "solution", "verify",
    "about", "source", "generator", "seed", "speciale", "digest", "metadata", "environment",
)  # fmt: skip
_NESTED = {"tools", "answer", "answer_schema", "metadata"}


class Count:
    """Of tasks that were written, and left out."""

    def __init__(self) -> None:
        self.written = self.left = 0

    def check(self, store: Store) -> None:
        if not self.written:
            raise DataError(f"{store.folder} has no accepted task to export.")

    def __str__(self) -> str:
        words = f"{self.written:,} tasks"
        if self.left:
            words += f"; {self.left:,} left out, whose files were changed after they were judged"
        return words


def _row(family: Family, number: str, judged: Judged, figures: Mapping[str, Any]) -> dict[str, Any]:
    about, task = family.about, family.tasks[number]
    gates = {gate.number: gate.evidence for gate in judged.gates}
    code = family.files.get("tools.py")
    return {
        "id": f"{about.id}/{number}",
        "family": about.id,
        "kind": about.kind,
        "category": about.category,
        "level": task.about.level,
        "pattern": task.about.pattern,
        "prompt": task.about.prompt,
        "tools": tools_of(code.decode()) if code is not None else [],
        "answer": gates.get(3, {}).get("answer"),
        "answer_schema": task.about.answer_schema,
        "calls": figures.get("calls"),
        "space_log10": figures.get("space"),
        "pass_rate": figures.get("pass_rate"),
        "jaccard": figures.get("jaccard"),
        "solution": task.solution,
        "verify": task.verify,
        "about": about.about,
        "source": about.source,
        "generator": about.generator,
        "seed": str(about.seed),
        "speciale": about.speciale,
        "digest": judged.digest,
        "metadata": task.about.metadata,
    }


def _portable(data: bytes) -> str | dict[str, str]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
    return text


def _cell(name: str, value: Any) -> Any:
    if name in _NESTED:
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):  # Parquet's texts are UTF-8, which has no half of a surrogate
        return value.encode(errors="replace").decode()
    return value
