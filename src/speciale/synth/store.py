"""The store of synthesised families: folders (folders.py), and an index derived from them.

A commit writes into .incoming, syncs, renames into place and then tells the index, under a lock. A
writer may be killed at any moment: whoever comes next removes or completes what it had begun.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from speciale.errors import ConfigError, DataError
from speciale.files import explained, is_leftover, sync_folder, write_atomic
from speciale.synth.folders import (
    KEPT,
    REJECTED,
    read_entry,
    write_kept,
    write_rejected,
)
from speciale.synth.gates.gate import Gate, Judged
from speciale.synth.index import Entry, Index
from speciale.synth.near import Other, Print, is_new, print_of
from speciale.synth.work import Result
from speciale.tasks.synthesised.family import Family, read_family

FORMAT = 1
STORE, INCOMING, LOCK, INDEX = "store.json", ".incoming", ".lock", "index.sqlite"
# What the system says to a family's own names; everything else is the disk's.
_ITS_NAMES = {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY}


@dataclass(frozen=True)
class Committed:
    """What the store made of a result. `new` is False where another writer was first: then
    `accepted` counts that one's tasks, and `judged` is empty."""

    new: bool
    accepted: int
    judged: Mapping[str, Judged]
    reason: str | None = None
    failed: bool = False


class Store:
    """Open for reading and writing; any number of processes may have it open. `url`: of an index
    elsewhere, as in database.Database. DataError where the folder is no store, and without `create`
    where there is none. `troubles`: a sentence for each folder in it that cannot be read."""

    def __init__(self, folder: str | Path, url: str | None = None, *, create: bool = True) -> None:
        self.folder = Path(folder)
        self.troubles: list[str] = []
        self._threads = threading.Lock()
        self._mine = -1
        self._lock = self._prepare(create)
        try:
            self.index = Index(url or f"sqlite:///{self.folder / INDEX}")
        except BaseException:
            os.close(self._lock)
            raise
        try:
            self._own(url)
            with explained(self.folder), self._locked():
                self._remove_leftovers()
                self._incoming = self.folder / INCOMING / secrets.token_hex(8)
                self._incoming.mkdir()
                self._mine = os.open(self._incoming / LOCK, os.O_RDWR | os.O_CREAT)
                fcntl.flock(self._mine, fcntl.LOCK_EX)
                self._reconcile()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._mine >= 0:
            shutil.rmtree(self._incoming, ignore_errors=True)
            os.close(self._mine)
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = self._mine = -1
        self.index.close()

    def done(self, key: str) -> int | None:
        """How many accepted tasks an item gave; None where it has yet to be worked on. An item that
        failed is done too, with 0: who wants it tried again removes its folder in rejected/."""
        accepted = self.index.accepted(key)
        if accepted is not None or not self._is_there(key):
            return accepted
        with self._locked():  # a writer is, or was killed, between folder and index
            accepted = self.index.accepted(key)
        return 0 if accepted is None and self._is_there(key) else accepted  # 0: it cannot be read

    def commit(self, result: Result) -> Committed:
        """Gate 7, then the folders, then the index: all of it or nothing. What cannot be written as
        a folder is recorded as a failure. SpecialeError where the disk or the index refuses."""
        with self._locked():
            accepted = self.index.accepted(result.key)
            if accepted is not None or self._is_there(result.key):
                return Committed(False, accepted or 0, {})
            family = result.family
            judged = {} if family is None else self._all_gates(family, result.judged)
            entry = Entry(result.item, family, judged, result.reason, result.failed)
            if family is not None and not family.tasks:
                entry = replace(entry, reason="the author made no task", failed=True)
            with explained(self.folder):
                entry = self._place(entry)
        return Committed(
            True, len(entry.accepted), entry.judged, reason=entry.reason, failed=entry.failed
        )

    def _is_there(self, key: str) -> bool:
        return any((self.folder / part / key).exists() for part in (KEPT, REJECTED))

    def ids(self) -> list[str]:
        """The families with accepted tasks."""
        return sorted(id for id, state in self.index.ids().items() if state == "kept")

    def family(self, id: str) -> Family:
        """A family with its accepted tasks, as it lies there. DataError where it cannot be read."""
        return read_family(self.folder / KEPT / id)

    def entry(self, id: str) -> Entry:
        """All that is known of an item: the family with accepted and rejected tasks, the verdicts
        that still fit their bytes, reasons. DataError where there is nothing."""
        entry = read_entry(self.folder, id)
        if entry is None:
            raise DataError(f"{self.folder} has nothing about {id!r}")
        return entry

    def rebuild(self) -> None:
        """Makes the index again from the folders, after somebody edited them."""
        with self._locked():
            self.index.remove(*self.index.ids())
            self._reconcile()

    def _all_gates(self, family: Family, judged: Mapping[str, Judged]) -> dict[str, Judged]:
        """With gate 7, for the tasks that passed all others, in their order."""
        all_: dict[str, Judged] = {}
        mine: list[tuple[str, Print]] = []
        for number in sorted(family.tasks):
            one = judged.get(number)
            if one is None:
                lost = Gate(1, False, {}, "The gates gave no verdict on it.")
                one = Judged(family.digest(number), (lost,))
            if one.refusal is None:
                new = print_of(family, number)
                near = self.index.near(new) + [
                    Other(f"{family.about.id}/{earlier}", other.prompt, other.twin)
                    for earlier, other in mine
                    if other.twin == new.twin
                    or (other.structure == new.structure and {*other.bands} & {*new.bands})
                ]
                gates = [gate for gate in one.gates if gate.number != 7] + [is_new(new, near)]
                one = Judged(one.digest, tuple(sorted(gates, key=lambda gate: gate.number)))
                if one.accepted:
                    mine.append((number, new))
            all_[number] = one
        return all_

    def _place(self, entry: Entry) -> Entry:
        """Into the folders and the index; a failure in place of what cannot be written."""
        try:
            halves = self._write(entry)
        except (DataError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _ITS_NAMES:
                raise
            said = error.strerror if isinstance(error, OSError) else str(error)
            reason = f"the family cannot be written: {said}"
            entry = Entry(entry.item, None, {}, reason, failed=True)
            halves = self._write(entry)
        self._note(entry.id)
        # families/ comes last: a rejected half that speaks of accepted tasks without it is undone.
        for part, half in sorted(halves.items(), reverse=True):
            half.rename(self.folder / part / entry.id)
            sync_folder(self.folder / part)
        self.index.add(entry)
        self._note("")
        return entry

    def _write(self, entry: Entry) -> dict[str, Path]:
        """The halves that the entry has, each in .incoming."""
        halves: dict[str, Path] = {}
        writers = {KEPT: write_kept, REJECTED: write_rejected}
        if not entry.accepted:
            del writers[KEPT]
        elif len(entry.accepted) == len(entry.judged):
            del writers[REJECTED]
        try:
            for part, write in writers.items():
                halves[part] = self._incoming / secrets.token_hex(8)
                halves[part].mkdir()
                write(halves[part], entry)
        except BaseException:
            for half in halves.values():
                shutil.rmtree(half, ignore_errors=True)
            raise
        return halves

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. The one before may have been killed within its commit: the lock
        file then names the item."""
        with self._threads:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                if key := os.pread(self._lock, 1000, 0).decode(errors="replace"):
                    if "/" not in key and key in self._folders():
                        self._reconcile_one(key)
                    self._note("")
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _note(self, key: str) -> None:
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, key.encode(), 0)

    def _folders(self) -> dict[str, str]:
        """What lies there: id -> state as far as the names tell."""
        found = {}
        for part, state in ((REJECTED, ""), (KEPT, "kept")):
            for entry in os.scandir(self.folder / part):
                if entry.is_dir(follow_symlinks=False):
                    found[entry.name] = state
        return found

    def _reconcile(self) -> None:
        """Brings the index in line with the folders: those that it does not know, those gone."""
        known, there = self.index.ids(), self._folders()
        gone = [id for id, state in known.items() if (state == "kept") != (there.get(id) == "kept")]
        gone += [id for id in known if id not in there]
        if gone:
            self.index.remove(*gone)
        self.troubles.clear()
        for id in sorted(set(there) - (set(known) - set(gone))):
            self._reconcile_one(id)

    def _reconcile_one(self, id: str) -> None:
        try:
            entry = read_entry(self.folder, id)
        except DataError as error:
            self.troubles.append(f"{error} (left as it is; remove {id} to have it made again)")
            return
        if entry is not None:
            self.index.add(entry)
        else:  # one half of a commit
            away = self.folder / INCOMING / secrets.token_hex(8)
            (self.folder / REJECTED / id).rename(away)  # whole, whatever happens meanwhile
            shutil.rmtree(away, ignore_errors=True)
            self.index.remove(id)

    def _remove_leftovers(self) -> None:
        """What writers that are gone had in .incoming; those that live hold a lock on theirs."""
        for entry in os.scandir(self.folder / INCOMING):
            try:
                handle = os.open(Path(entry, LOCK), os.O_RDWR)
            except OSError:  # killed before it had made its lock
                shutil.rmtree(entry, ignore_errors=True)
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry, ignore_errors=True)
            except BlockingIOError:
                pass
            finally:
                os.close(handle)

    def _prepare(self, create: bool) -> int:
        """Makes the folders and store.json; gives the open lock file."""
        path = self.folder / STORE
        if not path.exists() and not (self.folder / KEPT).is_dir():
            if not create:
                raise DataError(f"{self.folder} is no store: name a folder that synth has made")
            if self.folder.exists() and not self.folder.is_dir():
                raise DataError(f"{self.folder} is no folder: name a new one")
            # Hidden files are what a writer that was killed at its very beginning had made. The
            # first that is not hidden is store.json: another writer may make it right now.
            others = self.folder.is_dir() and any(e.name[0] != "." for e in os.scandir(self.folder))
            if others and not path.exists():
                raise DataError(f"{self.folder} is no store and not empty: name a new folder")
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                for leftover in filter(is_leftover, self.folder.iterdir()):
                    leftover.unlink()
                if not path.exists():
                    about = {"format": FORMAT, "id": secrets.token_hex(8)}
                    write_atomic(path, json.dumps(about) + "\n")
                for part in (KEPT, REJECTED, INCOMING):
                    (self.folder / part).mkdir(exist_ok=True)
                fcntl.flock(lock, fcntl.LOCK_UN)
            except BaseException:
                os.close(lock)
                raise
        return lock

    def _own(self, url: str | None) -> None:
        """Checks that the folder and the index are of one store, and of a form that we know."""
        path = self.folder / STORE
        try:
            about = json.loads(path.read_bytes())
            format_, id = about["format"], str(about["id"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} cannot be read ({error!r}): remove it to have a new one"
            ) from None
        if format_ != FORMAT:
            raise DataError(f"{path} is of format {format_!r}; this program knows {FORMAT}")
        if self.index.owner(id) != id:
            where = "the database that is named" if url else self.folder / INDEX
            raise ConfigError(
                f"the index in {where} is that of another store: name one of its own, or remove it"
            )
