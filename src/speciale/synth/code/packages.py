"""Source archives of packages, from PyPI and npm through pip and npm, kept in a cache.

V3.2 report, 3.2.3, code agent: real repositories. Those of the list below carry tests that need
little and run within seconds; others can be named as NAME==VERSION, or npm:NAME@VERSION.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from speciale.errors import ConfigError
from speciale.synth.code.environments import cache_folder, cleaned, keep, run_program
from speciale.synth.work import Rejected
from speciale.tasks.synthesised.repository.tree import Tree, unpack

PACKAGES = (
    "bracex==3.2.3", "cachetools==8.0.2", "funcy==2.1", "glom==25.12.0", "inflection==0.5.1",
    "npm:traverse@0.6.7", "intervaltree==3.2.1", "ordered-set==4.1.0", "parse==1.22.4",
    "parsy==2.2", "pathspec==1.1.1", "schema==0.7.8", "semver==3.1.2", "simpleeval==1.0.8",
    "texttable==1.7.2", "toolz==1.2.0", "uritemplate==4.2.0", "voluptuous==0.16.0",
    "webcolors==25.10.0",
)  # fmt: skip
_PYPI = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!]+)")
_NPM = re.compile(r"npm:(@?[\w./-]+)@([\w.-]+)")


@dataclass(frozen=True)
class Package:
    """A name at a version. `registry`: "pypi" or "npm"."""

    registry: str
    name: str
    version: str

    @property
    def source(self) -> str:
        sign = "==" if self.registry == "pypi" else "@"
        return f"{self.registry}:{self.name}{sign}{self.version}"

    @property
    def key(self) -> str:
        """For names of files and families."""
        return re.sub(r"[^a-z0-9._-]+", "-", f"{self.name}-{self.version}".lower()).strip("-.")


def package_of(text: str) -> Package:
    """ConfigError for a text that names none."""
    if found := _PYPI.fullmatch(text.strip()):
        return Package("pypi", found[1], found[2])
    if found := _NPM.fullmatch(text.strip()):
        return Package("npm", found[1], found[2])
    raise ConfigError(f"{text!r} names no package: give NAME==VERSION or npm:NAME@VERSION")


def fetch(package: Package) -> Tree:
    """The files of its source archive. Rejected where there is none.

    pip asks an sdist for its metadata, and so runs its setup.py as for any installation: name
    packages that you would install. Nothing else of a package runs outside the sandbox.
    """
    kept = cache_folder() / "archives" / f"{package.registry}-{package.key}.tar.gz"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="speciale-synth-") as folder:
            if package.registry == "pypi":
                words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps",
                         "--disable-pip-version-check", "--no-binary", package.name, "-d", folder,
                         f"{package.name}=={package.version}"]  # fmt: skip
            else:
                words = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination",
                         folder, f"{package.name}@{package.version}"]  # fmt: skip
            run_program(words, f"{package.source} cannot be fetched")
            found = sorted(Path(folder).iterdir())
            if not found or not found[0].name.endswith((".tar.gz", ".tgz")):
                raise Rejected(f"{package.source} has no source archive in a form that is read")
            keep(kept, found[0].read_bytes())
    return cleaned(unpack(kept.read_bytes(), strip=1))
