"""Where commands run: a fresh place for each, or one that lasts as long as a session.

In namespaces a lasting place is two descriptors, of a mount and a network namespace; closing them
frees its files. Without namespaces it is a temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from speciale.sandbox import layout
from speciale.sandbox.jail import Jail
from speciale.sandbox.limits import Limits


class Place:
    def __init__(self, jail: Jail) -> None:
        self.jail = jail
        self.shared: list[int] = []  # the namespaces of one that lasts
        self._folder: Path | None = None
        if jail.namespaces:
            self._work, self._environment = "/work", layout.environment()
        else:
            self._folder = _make_folder(jail.user)
            self._work = str(self._folder / "work")
            self._environment = layout.folder_environment(self._work, str(self._folder / "tmp"))

    @property
    def has_files(self) -> bool:
        """Whether closing it may take a while."""
        return self._folder is not None

    def request(
        self, argv: list[str], limits: Limits, env: Mapping[str, str] | None = None, **more: Any
    ) -> dict[str, Any]:
        """What inside/cell.py is asked for."""
        return {
            "kind": "run",
            "argv": argv,
            "env": {**self._environment, **(env or {})},
            "limits": asdict(limits),
            "folder": self._work,
            **more,
        }

    def close(self) -> None:
        while self.shared:
            os.close(self.shared.pop())
        if self._folder is not None:
            shutil.rmtree(self._folder, onerror=_insist)


def _make_folder(user: int | None) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="speciale-sandbox-"))
    for path in (folder, folder / "work", folder / "tmp"):
        path.mkdir(exist_ok=True)
        if user is not None:
            os.chown(path, user, user)
    return folder


def _insist(function: Callable[..., Any], path: str, _: object) -> None:
    """A command may have closed a folder to its own user. Nothing runs in it any more."""
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(path, 0o700)
        shutil.rmtree(path) if os.path.isdir(path) else function(path)
