"""Git histories of real packages, a commit a release: what can be mined where no repository can be
cloned. The releases come with their own tests from PyPI and npm.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from speciale.synth.code.packages import fetch, package_of

# Oldest first.
RELEASES = {
    "parse=={}": "1.8.4 1.9.0 1.9.1 1.10.0 1.11.0 1.11.1 1.12.0 1.12.1 1.13.0 1.13.1 1.14.0 1.15.0 "
    "1.16.0 1.17.0 1.18.0 1.19.0 1.19.1 1.20.0 1.20.1 1.20.2 1.21.0 1.22.0 1.22.1",
    "npm:traverse@{}": "0.6.0 0.6.1 0.6.3 0.6.5 0.6.6 0.6.7 0.6.8 0.6.9 0.6.10 0.6.11",
}


def histories(folder: Path) -> list[Path]:
    """Makes them below `folder`; the same commits every time."""
    found = []
    for form, versions in RELEASES.items():
        name = package_of(form.format("0")).name
        found.append(folder / name)
        found[-1].mkdir(parents=True)
        _git(found[-1], "init", "-q")
        for version in versions.split():
            _git(found[-1], "rm", "-rfq", "--ignore-unmatch", ".")
            for path, data in fetch(package_of(form.format(version))).items():
                (found[-1] / path).parent.mkdir(parents=True, exist_ok=True)
                (found[-1] / path).write_bytes(data)
            _git(found[-1], "add", "--all", "--force")
            _git(found[-1], "commit", "-q", "-m", f"{name} {version}")
    return found


def _git(repository: Path, *words: str) -> None:
    who = {"NAME": "releases", "EMAIL": "releases@localhost", "DATE": "2026-01-01T00:00:00Z"}
    signed = {f"GIT_{role}_{key}": who[key] for role in ("AUTHOR", "COMMITTER") for key in who}
    subprocess.run(["git", *words], cwd=repository, env={**os.environ, **signed}, check=True)
