"""What generated code must not hold, by its syntax tree: network, clock, chance, files, back doors.

The first half of gates 1 and 2 (V3.2 report, 3.2.3: a solution may only call tools and compute).
The sandbox and the audit hook in inside.py hold what this misses.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from speciale.tasks.synthesised.inside import PURE
from speciale.tasks.synthesised.signatures import MOST_CHARACTERS

NETWORK, CLOCK, CHANCE, SYSTEM, DATABASE, HIDDEN, FORM = (
    "network", "clock", "chance", "system", "database", "hidden", "form",
)  # fmt: skip
# What a solution does with these is not calling tools and computing; the rest is gate 1's.
NOT_TOOLS = {SYSTEM, DATABASE, HIDDEN}

_MODULES = {
    NETWORK: "socket ssl urllib http requests httpx aiohttp ftplib smtplib poplib imaplib asyncio "
    "telnetlib xmlrpc socketserver select selectors websockets urllib3",
    CLOCK: "time sched timeit zoneinfo",
    CHANCE: "random secrets uuid numpy",
    SYSTEM: "os sys subprocess multiprocessing threading signal ctypes pathlib shutil tempfile io "
    "pickle marshal glob fcntl resource mmap platform builtins importlib inspect gc runpy code",
    DATABASE: "sqlite3 dbm shelve sqlalchemy apsw",
}
_KIND_OF = {name: kind for kind, names in _MODULES.items() for name in names.split()}
_NAMES = {
    **dict.fromkeys(["open", "input", "breakpoint", "exit", "quit"], SYSTEM),
    **dict.fromkeys(
        ["exec", "eval", "compile", "globals", "locals", "vars", "setattr", "delattr", "__import__",
         "__builtins__", "__loader__", "__spec__", "memoryview"], HIDDEN,
    ),
    "id": CHANCE,
}  # fmt: skip
_CLOCKS = {"now", "utcnow", "today"}
_SQL_CLOCK = re.compile(r"'now'|\bcurrent_(?:date|time|timestamp)\b", re.IGNORECASE)
_SQL_CHANCE = re.compile(r"\brandom(?:blob)?\s*\(", re.IGNORECASE)
_DUNDER = re.compile(r"__\w+__")
# Ways from a value to the interpreter, or to the connection behind `tools`.
_FRAMES = {"gi_frame", "cr_frame", "f_globals", "f_builtins", "f_back", "tb_frame", "_Tools__send"}
_OWN = {"__name__", "__doc__", "__init__", "__post_init__", "__lt__", "__eq__", "__hash__"}


@dataclass(frozen=True)
class Finding:
    kind: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what} ({self.kind})"


@lru_cache(maxsize=64)
def findings(source: str, *, database: bool, needs: str | None = None) -> tuple[Finding, ...]:
    """What is wrong with a file. `database`: it may use a connection that it is given; `needs`: a
    function that it must define."""
    if len(source) > MOST_CHARACTERS:
        return (Finding(FORM, 1, f"{len(source):,} characters, {MOST_CHARACTERS:,} at most"),)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return (Finding(FORM, getattr(error, "lineno", None) or 1, f"not Python: {error}"),)
    found = [one for node in ast.walk(tree) for one in _of(node, database)]
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if needs and needs not in defined:
        found.append(Finding(FORM, 1, f"there is no function {needs!r}"))
    return tuple(sorted(found, key=lambda one: (one.line, one.what)))


def _of(node: ast.AST, database: bool) -> Iterator[Finding]:
    line = getattr(node, "lineno", 1)
    if isinstance(node, ast.Import):
        for name in node.names:
            yield from _module(name.name, line, database)
    elif isinstance(node, ast.ImportFrom):
        yield from _module(node.module or ".", line, database)
    elif isinstance(node, ast.Name) and node.id in _NAMES:
        yield Finding(_NAMES[node.id], line, f"the name {node.id!r}")
    elif isinstance(node, ast.Attribute):
        if node.attr in _FRAMES or (_DUNDER.match(node.attr) and node.attr not in _OWN):
            yield Finding(HIDDEN, line, f"the attribute {node.attr!r}")
        elif node.attr in _CLOCKS:
            yield Finding(CLOCK, line, f"the attribute {node.attr!r}")
        elif node.attr == "connect" and getattr(node.value, "id", "") == "sqlite3":
            yield Finding(DATABASE, line, "a connection of its own")
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
        name = node.args[1] if len(node.args) > 1 else None
        of_tools = getattr(node.args[0], "id", "") == "tools" if node.args else False
        plain = isinstance(name, ast.Constant) and not str(name.value).startswith("_")
        if not (of_tools or plain):
            yield Finding(HIDDEN, line, "getattr with a name that is made at run time")
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        if _DUNDER.search(node.value) and "__main__" not in node.value:
            yield Finding(HIDDEN, line, f"the text {node.value!r:.60}")
        if database and _SQL_CLOCK.search(node.value):
            yield Finding(CLOCK, line, "the database's clock")
        if database and _SQL_CHANCE.search(node.value):
            yield Finding(CHANCE, line, "the database's chance")


def _module(name: str, line: int, database: bool) -> Iterator[Finding]:
    root = name.split(".")[0]
    if name in PURE or root in PURE or (database and root == "sqlite3"):
        return
    yield Finding(_KIND_OF.get(root, SYSTEM), line, f"the module {name!r}")
