"""An audit: every gate of every stored task again from scratch, against what gates.json says.

Whoever wrote or edited the folders: what counts is what their bytes do now. The families are judged
whole, with their refused tasks, as they were at first; gate 7 looks at all accepted tasks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from speciale.errors import DataError
from speciale.synth.folders import KEPT, REJECTED, judged_in, read_entry, read_gates
from speciale.synth.gates.gate import GATES, Gate, Judged
from speciale.synth.gates.values import canonical
from speciale.synth.near import Other, Print, is_new, print_of
from speciale.synth.schedule import Pool
from speciale.synth.work import Item, Result
from speciale.tasks.synthesised.family import ENV, Family, read_family
from speciale.tasks.synthesised.family import GATES as GATES_JSON

# holds: all gates pass again; edited: so they do, of bytes that were never judged; fails: a gate
# of an accepted task does not; differs: the verdict or its evidence is another one than is written.
State = Literal["holds", "edited", "fails", "differs", "unread"]
GOOD = ("holds", "edited")


@dataclass(frozen=True)
class Finding:
    """What came of one task, or (`number` is "") of a folder that could not be audited."""

    id: str
    number: str
    state: State
    accepted: bool  # it lies among the accepted ones
    gate: int | None = None
    reason: str = ""


@dataclass
class Audit:
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return bool(self.findings) and all(each.state in GOOD for each in self.findings)


def items(folder: Path) -> list[Item]:
    """A work item for each family below a store, or for the one that the folder itself is.
    DataError where it is neither."""
    if (folder / ENV).is_file():
        id = read_family(folder).about.id
        return [{"author": "audit", "key": id, "folder": str(folder)}]
    if not (folder / KEPT).is_dir():
        raise DataError(
            f"{folder} is no store and no family: name a folder that has {KEPT}/ or {ENV}"
        )
    names = {
        path.name
        for part in (KEPT, REJECTED)
        for path in (folder / part).glob("*")
        if path.is_dir() and (part == KEPT or (path / ENV).exists())
    }
    return [{"author": "audit", "key": name, "store": str(folder)} for name in sorted(names)]


def make(item: Item) -> Family:
    """The family of an item, as it lies there now."""
    if "folder" in item:
        family = read_family(Path(item["folder"]))
        return Family(
            family.about.model_copy(update={"id": item["key"]}), family.files, family.tasks
        )
    entry = read_entry(Path(item["store"]), item["key"])
    if entry is None or entry.family is None:
        raise DataError(f"{item['store']} has nothing about {item['key']!r}")
    return entry.family


def audit(folder: Path, pool: Pool, progress: Callable[[int, int], None] | None = None) -> Audit:
    """Judges all that lies in `folder`; `progress` is told of families done and of all."""
    found, prints = Audit(), Prints()
    work = items(folder)
    results: list[Result] = []
    for result in pool.results(iter(work)):
        results.append(result)
        if result.family is not None:
            for number in claims(result.item)[0]:
                if number in result.family.tasks:
                    prints.add(result.family, number)
        if progress is not None:
            progress(len(results), len(work))
    for result in results:
        found.findings += _compared(result, prints)
    return found


def claims(item: Item) -> tuple[dict[str, Judged | None], dict[str, Judged]]:
    """What the folders say: the accepted tasks and the refused ones, by number, with the verdicts
    that are written down. A task that lies in families/ is an accepted one."""
    if "folder" in item:
        kept, refused = Path(item["folder"]), None
    else:
        store = Path(item["store"])
        kept, refused = store / KEPT / item["key"], store / REJECTED / item["key"]
    accepted: dict[str, Judged | None] = {}
    if kept.is_dir():
        written = judged_in(read_gates(kept), kept) if (kept / GATES_JSON).exists() else {}
        numbers = sorted(path.name for path in (kept / "tasks").glob("*") if path.is_dir())
        accepted = {number: written.get(number) for number in numbers}
    rejected: dict[str, Judged] = {}
    if refused is not None and (refused / GATES_JSON).exists():
        rejected = judged_in(read_gates(refused), refused)
    return accepted, rejected


class Prints:
    """All accepted tasks, as gate 7 finds them."""

    def __init__(self) -> None:
        self._bands: dict[int, list[tuple[str, Print]]] = defaultdict(list)
        self._twins: dict[str, list[tuple[str, Print]]] = defaultdict(list)

    def add(self, family: Family, number: str) -> None:
        named = (f"{family.about.id}/{number}", print_of(family, number))
        for band in named[1].bands:
            self._bands[band].append(named)
        self._twins[named[1].twin].append(named)

    def gate(self, family: Family, number: str) -> Gate:
        """Gate 7 of a task against all the others."""
        own, new = f"{family.about.id}/{number}", print_of(family, number)
        near = {
            name: Other(name, other.prompt, other.twin)
            for found in (*(self._bands.get(b, ()) for b in new.bands), self._twins[new.twin])
            for name, other in found
            if name != own
        }
        return is_new(new, near.values())


def _compared(result: Result, prints: Prints) -> Iterator[Finding]:
    id = result.key
    if result.family is None:
        yield Finding(id, "", "unread", True, reason=result.reason or "")
        return
    accepted, rejected = claims(result.item)
    # Evidence speaks of the family's other tasks too: where one was edited, it is another.
    untouched = all(
        written is not None and number in result.judged
        and written.digest == result.judged[number].digest
        for number, written in {**accepted, **rejected}.items()
    )  # fmt: skip
    for number, written in accepted.items():
        now = _with_seven(result.judged[number], prints.gate(result.family, number))
        yield _accepted(id, number, now, written, untouched)
    for number, written in rejected.items():
        if number not in result.judged or number in accepted:
            continue
        now = result.judged[number]
        if now.refusal is None:
            now = _with_seven(now, prints.gate(result.family, number))
        was, is_ = written.refusal, now.refusal
        if now.digest != written.digest or (was and is_ and was.number == is_.number):
            yield Finding(id, number, "holds", False)
        else:
            what = f"gate {is_.number} refuses it: {is_.reason}" if is_ else "no gate refuses it"
            yield Finding(id, number, "differs", False, was.number if was else None, what)


def _accepted(
    id: str, number: str, now: Judged, written: Judged | None, untouched: bool
) -> Finding:
    if (refusal := now.refusal) is not None:
        return Finding(id, number, "fails", True, refusal.number, refusal.reason or "")
    missing = set(GATES) - {gate.number for gate in now.gates}
    if missing:
        return Finding(id, number, "fails", True, min(missing), "The gate gave no verdict.")
    if written is None or written.digest != now.digest:
        return Finding(
            id, number, "edited", True, reason="Its bytes are not those that were judged."
        )
    before, after = _evidence(written), _evidence(now)
    for gate in sorted(after) if untouched else ():
        if before.get(gate) != after[gate]:
            return Finding(
                id, number, "differs", True, gate, f"{GATES_JSON} has other evidence about it."
            )
    return Finding(id, number, "holds", True)


def _evidence(judged: Judged) -> Mapping[int, Any]:
    """What must be the same again. Gate 7 speaks of the store as it was then."""
    return {
        gate.number: canonical([gate.passed, gate.evidence])
        for gate in judged.gates
        if gate.number != 7
    }


def _with_seven(judged: Judged, gate: Gate) -> Judged:
    if judged.refusal is not None:
        return judged
    return Judged(judged.digest, (*judged.gates, gate))
