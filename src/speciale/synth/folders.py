"""What came of an item, as folders that people can read, and back.

    families/ID/   env.toml, the environment's files, tasks/NNN accepted by all gates, gates.json
    rejected/ID/   env.toml, tasks/NNN that a gate refused, gates.json; where no task was accepted,
                   the environment's files too; where no family came of the item, gates.json alone

Each gates.json holds the verdicts on the tasks beside it and the item; the one in families/ lists
the tasks that are in rejected/ under "rejected", the other one the accepted ones as "accepted".
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speciale.errors import DataError
from speciale.files import sync_folder
from speciale.synth.gates.gate import GATES as NAMES
from speciale.synth.gates.gate import Gate, Judged, gates_json
from speciale.synth.index import Entry
from speciale.tasks.synthesised.family import ENV, GATES, Family, read_family, write_family

KEPT, REJECTED = "families", "rejected"


def write_kept(folder: Path, entry: Entry) -> None:
    """The accepted tasks, into a folder that is there and empty. DataError or OSError where the
    family has files that cannot be written, or would not be read as they are."""
    assert entry.family is not None
    _write_family(folder, _only(entry.family, entry.accepted))
    judged = {number: entry.judged[number] for number in entry.accepted}
    more = {"rejected": _refused(entry)} if _refused(entry) else {}
    _write_gates(folder, entry, more, judged)


def write_rejected(folder: Path, entry: Entry) -> None:
    """The other tasks and the reason, likewise."""
    numbers = _refused(entry)
    if entry.family is not None:
        family = _only(entry.family, numbers)
        if entry.accepted:  # its files are in the other folder
            family = Family(family.about, {}, family.tasks)
        _write_family(folder, family)
    more: dict[str, Any] = {"accepted": entry.accepted} if entry.accepted else {}
    if entry.reason is not None:
        more |= {"reason": entry.reason, "failed": entry.failed}
    _write_gates(folder, entry, more, {number: entry.judged[number] for number in numbers})


def read_entry(store: Path, id: str) -> Entry | None:
    """What the store's folders hold about an item; None where there is nothing, or only one half of
    what a writer that was killed had begun. DataError for folders that cannot be read."""
    kept, rejected = store / KEPT / id, store / REJECTED / id
    item: Any = {"key": id}
    reason, failed = None, False
    tasks: dict[str, Any] = {}
    judged: dict[str, Judged] = {}
    family: Family | None = None
    if rejected.is_dir():
        about = read_gates(rejected)
        if about.get("accepted") and not kept.is_dir():
            return None
        item, reason, failed = about.get("item"), about.get("reason"), bool(about.get("failed"))
        if (rejected / ENV).exists():
            family = read_family(rejected)
            tasks |= family.tasks
            judged |= judged_in(about, rejected)
        if not kept.is_dir():
            # Whatever the verdicts say: accepted is what lies in families/.
            judged = {n: one for n, one in judged.items() if not one.accepted}
    elif not kept.is_dir():
        return None
    if kept.is_dir():
        family = read_family(kept)
        about = read_gates(kept) if (kept / GATES).exists() else {}
        item = about.get("item", item)
        tasks |= family.tasks
        judged |= judged_in(about, kept)
    if family is not None:
        if family.about.id != id:
            raise DataError(f"{kept if kept.is_dir() else rejected} holds {family.about.id!r}")
        family = Family(family.about, family.files, dict(sorted(tasks.items())))
        judged = {
            number: one if one.digest == family.digest(number) else _changed(family, number)
            for number, one in judged.items()
            if number in tasks
        }
    if not isinstance(item, dict) or item.get("key") != id:
        item = {"key": id}
    return Entry(item, family, judged, reason if isinstance(reason, str) else None, failed)


def read_gates(folder: Path) -> dict[str, Any]:
    """gates.json. DataError where it is not there or none."""
    path = folder / GATES
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or not isinstance(found.get("tasks", {}), dict):
            raise ValueError("it has no object of tasks")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return found


def judged_in(gates: Mapping[str, Any], folder: Path) -> dict[str, Judged]:
    """The verdicts in a gates.json, by task. DataError for a form that is not ours."""
    try:
        return {number: _judged(one) for number, one in gates.get("tasks", {}).items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{folder / GATES} holds no verdicts: {error!r}") from None


def _judged(one: Mapping[str, Any]) -> Judged:
    gates = []
    for gate in one["gates"]:
        number, reason, evidence = gate["number"], gate.get("reason"), gate["evidence"]
        if number not in NAMES or not isinstance(evidence, dict):
            raise ValueError(f"a gate {number!r}")
        reason = reason if isinstance(reason, str) else None
        gates.append(Gate(number, gate["passed"] is True, evidence, reason))
    return Judged(str(one["digest"]), tuple(gates))


def _changed(family: Family, number: str) -> Judged:
    """The verdict on bytes that nobody judged: none."""
    return Judged(family.digest(number), ())


def _only(family: Family, numbers: list[str]) -> Family:
    return Family(family.about, family.files, {number: family.tasks[number] for number in numbers})


def _refused(entry: Entry) -> list[str]:
    return sorted(set(entry.judged) - set(entry.accepted))


def _write_family(folder: Path, family: Family) -> None:
    write_family(folder, family)
    if read_family(folder).paths() != family.paths():
        raise DataError("the family's files would not be read back as they are")


def _write_gates(
    folder: Path, entry: Entry, more: Mapping[str, Any], judged: dict[str, Judged]
) -> None:
    value = gates_json(judged)
    value = {"format": value.pop("format"), "item": entry.item, **more, **value}
    try:
        data = (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
    except UnicodeEncodeError:  # half a surrogate that a tool gave
        data = (json.dumps(value, indent=1) + "\n").encode()
    with (folder / GATES).open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    for root, _, _ in os.walk(folder):
        sync_folder(Path(root))
