"""TOML tables as strict pydantic models: read with overrides, checked, written out whole again."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from speciale.errors import ConfigError
from speciale.model.config import first_problem


class Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def to_toml(self) -> str:
        """All values, defaults too; `read_table` reads it back."""
        values = self.model_dump(exclude_none=True)
        lines = [f"{k} = {_toml(v)}" for k, v in values.items() if not isinstance(v, dict)]
        for table, content in values.items():
            if isinstance(content, dict):
                lines += ["", f"[{table}]"]
                lines += [f"{_key(k)} = {_toml(v)}" for k, v in content.items()]
        return "\n".join(lines) + "\n"


Kind = TypeVar("Kind", bound=Table)


def built_in(package: str) -> list[str]:
    """The names of a package's TOML files."""
    files = resources.files(package).iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def read_table(
    kind: type[Kind], package: str, name_or_path: str, overrides: list[str] | None = None
) -> Kind:
    """One of a package's TOML files by name, or any by path, with `table.key=value` overrides.

    Raises ConfigError naming the key, its value and the file.
    """
    if name_or_path in built_in(package):
        text = (resources.files(package) / f"{name_or_path}.toml").read_text("utf-8")
        where = f"recipe {name_or_path!r}"
    else:
        where = f"recipe {name_or_path}"
        try:
            text = Path(name_or_path).read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{where} is not TOML: it is not UTF-8 text ({error})") from None
        except (OSError, ValueError):  # ValueError: a null byte in the name
            raise ConfigError(
                f"there is no recipe {name_or_path!r}: give a TOML file or one of "
                f"{', '.join(built_in(package))}"
            ) from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}") from None
    for override in overrides or []:
        _override(values, override)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_problem(error)}") from None


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"--set {override!r} is not of the form key=value, such as seed=1")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string
    *tables, last = key.strip().split(".")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override!r}: {table!r} is a value, not a table")
    values[last] = value


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    # JSON's strings and numbers are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "_").isidentifier()
    return name if bare else _toml(name)
