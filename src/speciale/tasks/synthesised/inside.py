"""Generated code of a family, run inside the sandbox: tools, solution or verifier; a script alone.

One process for each of the three, so that a solution has no way to the database and no tool sees
the verifier. Each forks for every request: what code does to its process ends with it, and an
audit hook notes what it tries (files, sockets, programs) even where it catches the refusal.

Requests and replies are JSON behind four bytes of length, on stdin and stdout.
"""

from __future__ import annotations

import base64
import datetime
import gc
import hashlib
import importlib
import json
import os
import sqlite3
import sys
import time
import types
from collections.abc import Callable, Mapping
from typing import Any

# What generated code may import; synth/gates/static.py reads this list too.
# fmt: off
PURE = [
    "__future__", "bisect", "collections", "collections.abc", "dataclasses", "datetime", "decimal",
    "difflib", "enum", "fractions", "functools", "heapq", "itertools", "json", "math", "numbers",
    "operator", "re", "statistics", "string", "textwrap", "typing", "unicodedata", "zlib",
]
# fmt: on
DATABASE, SCHEMA_SQL = "data.sqlite", "schema.sql"
RANDOM = {"random", "randomblob", "load_extension", "current_date", "current_time"}
WATCHED = (
    "socket.", "subprocess.", "os.", "shutil.", "ctypes.", "sqlite3.", "urllib.", "http.",
    "ftplib.", "mmap.", "pty.", "signal.", "syslog.", "tempfile.", "webbrowser.", "gc.",
    "sys.settrace", "sys.setprofile", "sys.addaudithook", "open", "fcntl.",
    "resource.",
)  # fmt: skip
HARMLESS = {"os.putenv", "sqlite3.connect/handle"}

Send = Callable[[Mapping[str, Any]], None]


class ToolError(Exception):
    """A tool refused a call; its text says why."""


# --- what code may do -----------------------------------------------------------------------------


def watch(own: bool = False) -> Callable[[], list[str]]:
    """From here on what leaves the process is refused and noted. `own`: connections to a database
    are the runner's. Gives a function that lists what was tried."""
    tried: list[str] = []
    library = os.path.dirname(os.__file__) + "/"

    def hook(event: str, arguments: tuple) -> None:
        if not event.startswith(WATCHED) or event in HARMLESS:
            return
        if event == "open":
            path, mode = str(arguments[0]), arguments[1]
            # A module of the standard library that another one imports late.
            if path.startswith(library) and mode in ("r", "rb", None):
                return
        if event in ("os.listdir", "os.scandir") and str(arguments[0]).startswith(library[:-1]):
            return
        if own and event in ("sqlite3.connect", "sqlite3.enable_load_extension"):
            return
        what = " ".join([event, *(repr(each)[:100] for each in arguments[:2])])
        tried.append(what[:200])
        raise PermissionError(f"{event} is not for generated code")

    sys.addaudithook(hook)
    return lambda: tried[:10]


def shift_clock(seconds: float) -> None:
    """Another time of day and year for code that asks for it."""
    real, delta = time.time, datetime.timedelta(seconds=seconds)

    class Date(datetime.date):
        @classmethod
        def today(cls):
            return cls.fromtimestamp(real() + seconds)

    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(real() + seconds, tz)

        @classmethod
        def utcnow(cls):
            return cls.fromtimestamp(real(), datetime.UTC).replace(tzinfo=None) + delta

        @classmethod
        def today(cls):
            return cls.now()

    time.time = lambda: real() + seconds
    time.time_ns = lambda: int((real() + seconds) * 1e9)
    datetime.date, datetime.datetime = Date, Datetime


def authorised(action: int, first: str | None, second: str | None, *_: Any) -> int:
    """For a connection: no other file, no extension, nothing random."""
    if action in (24, 25):  # ATTACH, DETACH
        return sqlite3.SQLITE_DENY
    if action == 31 and str(second).lower() in RANDOM:  # FUNCTION
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def load_code(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return compile(file.read(), path, "exec")


def run(code: Any) -> dict[str, Any]:
    """The names of a file's module, run anew."""
    made = types.ModuleType(code.co_filename.rsplit("/", 1)[-1].removesuffix(".py"))
    sys.modules[made.__name__] = made  # dataclasses look their module up
    exec(code, made.__dict__)
    return made.__dict__


# --- the three roles ------------------------------------------------------------------------------


def serve_world(loaded: sqlite3.Connection, request: dict, send: Send) -> None:
    """Tools over a fresh copy of the database, until the next request says that it is over."""
    code = load_code("tools.py")
    tried = watch()
    try:
        found = run(code)
    except BaseException as error:
        send({"fault": f"tools.py raised {described(error)}", "tried": tried()})
        return
    loaded.set_authorizer(authorised)
    changes = loaded.total_changes
    send({"open": True, "tried": tried()})
    while (asked := receive()) is not None and asked["do"] != "close":
        if asked["do"] == "state":
            send(state_of(loaded, changes))
            continue
        try:
            made = loaded.total_changes
            value = called(loaded, found.get(asked["name"]), asked["arguments"])
            send({"value": value, "wrote": loaded.total_changes != made, "tried": tried()})
        except Exception as error:
            told = str(error) if isinstance(error, ValueError) and str(error) else described(error)
            bad = not isinstance(error, ValueError)
            send({"error": told[:2000], "bug": bad, "tried": tried()})
    send({"open": False})


def called(loaded: sqlite3.Connection, function: Any, arguments: dict) -> Any:
    """What a tool gives, as JSON has it; its changes are kept only if it did not fail."""
    loaded.execute("BEGIN")
    try:
        value = plain(function(loaded, **arguments))
        if loaded.in_transaction:
            loaded.execute("COMMIT")
        return value
    except BaseException:
        if loaded.in_transaction:
            loaded.execute("ROLLBACK")
        raise


def plain(value: Any) -> Any:
    """A JSON value; rows are objects."""
    return json.loads(json.dumps(value, default=row_of, allow_nan=False))


def row_of(value: Any) -> dict[str, Any]:
    if isinstance(value, sqlite3.Row):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def state_of(loaded: sqlite3.Connection, changes: int) -> dict[str, Any]:
    """Whether anything was changed, a digest of all rows, and the database."""
    loaded.set_authorizer(None)
    try:
        # DDL counts no changes: the schema is looked at too.
        schema = loaded.execute(
            "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
        ).fetchall()
        text = json.dumps([list(row) for row in schema])
        changed = loaded.total_changes != changes or text != SCHEMA
        if not changed:
            return {"changed": False, "digest": "", "database": None}
        total = hashlib.sha256(text.encode())
        for kind, name, _ in schema:
            if kind == "table":
                quoted = '"' + name.replace('"', '""') + '"'
                rows = sorted(repr(tuple(row)) for row in loaded.execute(f"SELECT * FROM {quoted}"))
                total.update("\n".join([name, *rows]).encode("utf-8", "surrogatepass"))
        data = base64.b64encode(loaded.serialize()).decode()
        return {"changed": True, "digest": total.hexdigest(), "database": data}
    finally:
        loaded.set_authorizer(authorised)


class Tools:
    """What a solution sees: a method for each tool."""

    Error = ToolError

    def __init__(self, send: Send) -> None:
        self.__send = send

    def __getattr__(self, name: str) -> Callable[..., Any]:
        send = self.__send

        def call(**arguments: Any) -> Any:
            send({"call": name, "arguments": arguments})
            reply = receive()
            if reply is None:
                raise SystemExit
            if "error" in reply:
                raise ToolError(reply["error"])
            return reply["value"]

        return call


def serve_solution(_: Any, request: dict, send: Send) -> None:
    code = load_code(request["path"])
    tried = watch()
    try:
        answer = plain(run(code)["solve"](Tools(send)))
        send({"answer": answer, "tried": tried()})
    except Exception as error:
        send({"fault": f"the solution raised {described(error)}", "tried": tried()})


def serve_verifier(_: Any, request: dict, send: Send) -> None:
    """What the verifier says of each answer, in order, until it accepts one."""
    code = load_code(request["path"])
    before = opened(None) if os.path.exists(DATABASE) else None
    after = opened(request["database"]) if before else None
    tried = watch()
    rulings = []
    try:
        verify = run(code)["verify"]
        for answer in request["answers"]:
            rulings.append(ruled(verify, answer, before, after))
            if rulings[-1]["accepted"]:
                break
    except Exception as error:
        rulings.append(refused(f"the verifier does not load: {described(error)}"))
    send({"rulings": rulings, "tried": tried()})


def ruled(verify: Any, answer: Any, before: Any, after: Any) -> dict[str, Any]:
    try:
        given = verify(answer, before, after)
    except Exception as error:
        return refused(f"the verifier raised {described(error)}") | {"raised": True}
    if given is True:
        return {"accepted": True, "reason": None, "raised": False}
    return refused(given if isinstance(given, str) else f"the verifier gave {given!r:.100}")


def refused(reason: str) -> dict[str, Any]:
    return {"accepted": False, "reason": reason[:1000], "raised": False}


def opened(database: str | None) -> sqlite3.Connection:
    """Read-only: the one at the start, or the one that is given."""
    if database is None:
        link = sqlite3.connect(f"file:{DATABASE}?mode=ro&immutable=1", uri=True)
    else:
        link = sqlite3.connect(":memory:")
        link.deserialize(base64.b64decode(database))
    link.execute("PRAGMA query_only = 1")
    link.row_factory = sqlite3.Row
    link.set_authorizer(authorised)
    return link


def described(error: BaseException) -> str:
    """The error and the line of generated code that it came from."""
    place, trace = "", error.__traceback__
    while trace is not None:  # not by traceback, which opens the files
        file = trace.tb_frame.f_code.co_filename
        place = f" in line {trace.tb_lineno} of {file}" if "/" not in file else place
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}"[:500] + place


# --- the process ----------------------------------------------------------------------------------

ROLES = {"world": serve_world, "solution": serve_solution, "verifier": serve_verifier}
SCHEMA = ""


def load() -> sqlite3.Connection:
    """The database in memory, which every fork has as a copy of its own."""
    global SCHEMA
    loaded = sqlite3.connect(":memory:", isolation_level=None, cached_statements=256)
    with open(DATABASE, "rb") as file:
        data = file.read()
    loaded.deserialize(data)
    loaded.row_factory = sqlite3.Row
    schema = loaded.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
    SCHEMA = json.dumps([list(row) for row in schema])
    if os.path.exists(SCHEMA_SQL):
        said = sqlite3.connect(":memory:")
        said.set_authorizer(authorised)
        with open(SCHEMA_SQL, encoding="utf-8") as file:
            said.executescript(file.read())
        told = said.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        if [list(row) for row in told] != json.loads(SCHEMA):
            raise sqlite3.DatabaseError(f"its tables are not those of {SCHEMA_SQL}")
    return loaded


def receive() -> dict[str, Any] | None:
    """The next request; None where the other side is gone."""
    head = _read(4)
    body = _read(int.from_bytes(head, "big")) if head else b""
    return json.loads(body) if body else None


def _read(count: int) -> bytes:
    """Past Python's buffers: what is not read yet must be there for the other process."""
    parts = []
    while count and (part := os.read(0, count)):
        parts.append(part)
        count -= len(part)
    return b"" if count else b"".join(parts)


def sender(out: int) -> Send:
    def send(reply: Mapping[str, Any]) -> None:
        body = json.dumps(reply).encode()
        rest = memoryview(len(body).to_bytes(4, "big") + body)
        while rest:
            rest = rest[os.write(out, rest) :]

    return send


def main() -> None:
    role = sys.argv[1]
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # generated code may print
    os.dup2(1, 2)
    for name in (*PURE, "_strptime", "encodings.idna", "sqlite3.dbapi2"):
        importlib.import_module(name)
    shift_clock(float(os.environ.get("CLOCK_SHIFT_S", "0")))
    send = sender(out)
    loaded = None
    if role == "world":
        try:
            loaded = load()
        except (OSError, ValueError, sqlite3.Error, sqlite3.Warning) as error:
            send({"ready": False, "fault": f"{DATABASE} cannot be opened: {error}"})
            return
    gc.freeze()  # what is there is there for good: forks need not look at it again
    send({"ready": True})
    while (request := receive()) is not None:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                ROLES[role](loaded, request, send)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        if ended:
            send({"died": os.waitstatus_to_exitcode(ended)})


if __name__ == "__main__":
    main()
