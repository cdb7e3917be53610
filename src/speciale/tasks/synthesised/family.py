"""A family of tasks as a folder: an environment, and tasks over it with solution and verifier.

⟨environment, tools, task, verifier⟩ of the V3.2 report, 3.2.3, readable by people and hash-stamped.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from speciale.errors import DataError

Kind = Literal["general", "search", "interpreter", "code"]
ENV, GATES, TASK, SOLUTION, VERIFY = (
    "env.toml", "gates.json", "task.json", "solution.py", "verify.py",
)  # fmt: skip
MOST_BYTES = 512 << 20  # of one file
_Model = TypeVar("_Model", bound=BaseModel)
_NUMBER = re.compile(r"\d{3,6}")
_PATH = re.compile(r"[\w.@+~=,-]+(?:/[\w.@+~=,-]+)*", re.ASCII)


class About(BaseModel):
    """env.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
    kind: Kind
    category: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$")]
    seed: int
    generator: str  # "procedural", or "llm:MODEL"
    speciale: str  # the version that made it
    format: Literal[1] = 1
    about: str = ""  # one sentence: what this world is
    source: str = ""  # what it was made from: a corpus, a package and its version, a repository


class TaskAbout(BaseModel):
    """task.json. `answer_schema` is the JSON schema of the answer; the prompt says its form."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    level: Annotated[int, Field(ge=1)] = 1  # of difficulty, 1 is the easiest
    answer_schema: dict[str, JsonValue] = {}
    harder_than: str | None = None  # the task of this family that was made harder
    pattern: str = ""  # what kind of question it is, for statistics
    metadata: dict[str, JsonValue] = {}


@dataclass(frozen=True)
class TaskFiles:
    """A task's folder. `files`: all but task.json, by name: solution.py, verify.py and more."""

    about: TaskAbout
    files: Mapping[str, bytes]

    @property
    def solution(self) -> str:
        return _text(self.files, SOLUTION)

    @property
    def verify(self) -> str:
        return _text(self.files, VERIFY)


@dataclass(frozen=True)
class Family:
    """An environment's folder. `files`: the environment's own, by path: schema.sql, data.sqlite,
    tools.py and more; `tasks` by number, "000" first."""

    about: About
    files: Mapping[str, bytes]
    tasks: Mapping[str, TaskFiles] = field(default_factory=dict)

    def digest(self, number: str) -> str:
        """A stamp of a task and its environment: it changes when any byte of them does."""
        task = self.tasks[number]
        parts = {f"env/{path}": data for path, data in self.files.items()}
        parts |= {f"task/{path}": data for path, data in task.files.items()}
        parts["env.toml"] = _toml(self.about).encode()
        parts["task.json"] = _json(task.about).encode()
        total = hashlib.sha256()
        for path in sorted(parts):
            total.update(f"{len(path)} {path} {len(parts[path])} ".encode())
            total.update(parts[path])
        return total.hexdigest()

    def paths(self) -> dict[str, bytes]:
        """Every file of the folder but gates.json, by its path."""
        paths = {ENV: _toml(self.about).encode(), **self.files}
        for number, task in self.tasks.items():
            paths[f"tasks/{number}/{TASK}"] = _json(task.about).encode()
            paths |= {f"tasks/{number}/{name}": data for name, data in task.files.items()}
        return paths


def read_family(folder: Path) -> Family:
    """A family out of its folder; whoever wrote it. DataError names the file and what is wrong."""
    found = _files(folder)
    if ENV not in found:
        raise DataError(
            f"{folder} has no {ENV}: it is no environment, or was not written to its end"
        )
    about = _parsed(About, folder / ENV, lambda: tomllib.loads(found.pop(ENV).decode()))
    found.pop(GATES, None)
    tasks: dict[str, dict[str, bytes]] = {}
    for path in [path for path in found if path.startswith("tasks/")]:
        number, _, name = path.removeprefix("tasks/").partition("/")
        if not _NUMBER.fullmatch(number) or not name:
            raise DataError(
                f"{folder / path}: tasks lie in folders with numbers, such as tasks/000"
            )
        tasks.setdefault(number, {})[name] = found.pop(path)
    whole = {}
    for number in sorted(tasks):
        files, place = tasks[number], folder / "tasks" / number
        for name in (TASK, SOLUTION, VERIFY):
            if name not in files:
                raise DataError(f"{place} has no {name}")
        text = files.pop(TASK)
        task = _parsed(TaskAbout, place / TASK, lambda text=text: json.loads(text))
        whole[number] = TaskFiles(task, files)
    return Family(about, found, whole)


def read_about(folder: Path) -> About:
    """What a family's env.toml says, without its tasks. DataError as `read_family`."""
    path = folder / ENV
    return _parsed(About, path, lambda: tomllib.loads(_bytes(path).decode()))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def write_family(folder: Path, family: Family) -> None:
    """Writes the files into a folder that is there and empty, each of them to the disk."""
    for path, data in family.paths().items():
        if not _PATH.fullmatch(path) or ".." in path.split("/"):
            raise DataError(
                f"a family cannot have a file {path!r}: name it with letters and digits"
            )
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _files(folder: Path) -> dict[str, bytes]:
    """Every regular file below. A link or a device could lead anywhere: those are an error."""
    found = {}
    try:
        for root, folders, names in os.walk(folder, onerror=_raise):
            folders.sort()
            for name in sorted(names):
                path = Path(root, name)
                if name.endswith((".pyc", ".sqlite-wal", ".sqlite-shm", ".sqlite-journal")):
                    continue
                about = path.lstat()
                if not stat.S_ISREG(about.st_mode):
                    raise DataError(f"{path} is no regular file: take it away")
                if about.st_size > MOST_BYTES:
                    raise DataError(f"{path} has {about.st_size:,} bytes; {MOST_BYTES:,} at most")
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from None
    return found


def _raise(error: OSError) -> None:
    raise error


def _parsed(model: type[_Model], path: Path, load: Callable[[], Any]) -> _Model:
    try:
        return model.model_validate(load())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {where}: {first['msg']}, not {first['input']!r:.80}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _text(files: Mapping[str, bytes], name: str) -> str:
    try:
        return files[name].decode()
    except KeyError:
        raise DataError(f"there is no {name}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is no UTF-8: {error}") from None


def _toml(about: About) -> str:
    # TOML's basic strings are JSON's, but for DEL, which JSON leaves as it is.
    rows = about.model_dump().items()
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in rows)
    return text.replace("\x7f", "\\u007f").encode("utf-8", "replace").decode()


def _json(task: TaskAbout) -> str:
    return json.dumps(task.model_dump(), ensure_ascii=False, indent=2) + "\n"
