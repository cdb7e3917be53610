"""A work item, and what becomes of it: an author makes a family out of it, the gates judge it.

The same item gives the same family on every machine (V3.2 report, 3.2.3, at scale): items are
small and can go to any process; families and verdicts come back.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from speciale.errors import ConfigError
from speciale.sandbox import Sandbox, SandboxError
from speciale.synth.gates.gate import Judged, gates_json
from speciale.tasks.synthesised.family import Family

Item = dict[str, Any]  # JSON: "author", one of AUTHORS; "key", the family's id; what make needs
Make = Callable[[Item], Family]
Judge = Callable[[Family, Sandbox | None], Awaitable[dict[str, Judged]]]

# Who makes families out of items, "module:function". Items name an author by its key here, so that
# no item can name code of its own.
AUTHORS: dict[str, str] = {
    "audit": "speciale.synth.audit:make",  # judges again what is stored
    "general": "speciale.synth.general.author:make",
    "starter": "speciale.synth.starter.author:make",
    "search": "speciale.synth.search.author:make",
    "code": "speciale.synth.code.author:make",
    "interpreter": "speciale.synth.interpreter.author:make",
    "llm": "speciale.synth.llm.author:make",
}
JUDGE = "speciale.synth.gates:judge"
KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


class Rejected(Exception):
    """Raised by an author: no task could be made out of this item, for the reason given."""


@dataclass(frozen=True)
class Result:
    """What became of an item: a family with verdicts by number, or the reason why there is none.

    `failed`: by a fault (of the author, of a gate, a worker that died), not for an author's own
    reason. `fatal`: it is the machine's, so that the item is not to be recorded as done.
    """

    item: Item
    family: Family | None = None
    judged: Mapping[str, Judged] = field(default_factory=dict)
    reason: str | None = None
    failed: bool = False
    fatal: bool = False
    seconds: float = 0.0

    @property
    def key(self) -> str:
        return str(self.item["key"])


def in_turn(author: str, categories: Iterable[str], seed: int, prefix: str = "") -> Iterator[Item]:
    """Work without end, one family of each category in turn."""
    for index, category in enumerate(cycle(categories)):
        key = f"{prefix}{category}-{seed}-{index:06d}"
        yield {
            "author": author, "key": key, "category": category, "seed": seed, "index": index
        }  # fmt: skip


def author_of(item: Item) -> str:
    """The "module:function" that makes this item. ConfigError for an item that is none."""
    key, author = item.get("key"), item.get("author")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise ConfigError(
            f"a work item's key is {key!r}: give up to 100 of the characters a-z 0-9 . _ -"
        )
    if author not in AUTHORS:
        raise ConfigError(f"there is no author {author!r}; there are {', '.join(sorted(AUTHORS))}")
    return AUTHORS[author]


def named(path: str) -> Any:
    """The function that "module:function" names, imported now."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class Workman:
    """Works on items one after the other, with a sandbox of its own that stays open."""

    def __init__(self, judge: str = JUDGE) -> None:
        """`judge`: "module:function" of the gates, all but the one about the store."""
        self._judge, self._sandbox = judge, Sandbox()

    def work(self, item: Item, make: str) -> Result:
        """Never raises an Exception: what goes wrong is in the Result."""
        begin = time.monotonic()
        result = self._work(item, make)
        return Result(**{**vars(result), "seconds": time.monotonic() - begin})

    def _work(self, item: Item, make: str) -> Result:
        try:
            family = named(make)(item)
        except Rejected as refusal:
            return Result(item, reason=str(refusal) or "the author gave no reason")
        except SandboxError as error:  # an author may run things as well
            return self._trouble(item, error)
        except Exception as error:
            return Result(item, reason=f"the author failed: {_told(error)}", failed=True)
        if family.about.id != item["key"]:
            reason = f"the author made a family {family.about.id!r} out of this item"
            return Result(item, reason=reason, failed=True)
        for last in (False, True):
            try:
                judged = asyncio.run(named(self._judge)(family, self._sandbox))
                json.dumps(gates_json(judged))  # evidence that is no JSON is a fault too
                break
            except SandboxError as error:
                if last:
                    return self._trouble(item, error)
                self._sandbox.close()
            except Exception as error:
                return Result(item, reason=f"the gates failed: {_told(error)}", failed=True)
        return Result(item, family, judged)

    def _trouble(self, item: Item, error: SandboxError) -> Result:
        """The machine's, where not even an empty command runs; else the item's."""
        self._sandbox.close()
        try:
            asyncio.run(self._sandbox.run(["true"]))
        except SandboxError as error:
            return Result(item, reason=str(error), failed=True, fatal=True)
        return Result(item, reason=f"the sandbox broke: {_told(error)}", failed=True)

    def close(self) -> None:
        self._sandbox.close()


def _told(error: BaseException) -> str:
    """What an exception says, and where: short, and the same on every machine."""
    said = str(error).strip().splitlines() or [""]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {said[0][:300]}{where}"
