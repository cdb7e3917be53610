"""Programs of a user who is not root: what most people have is what the sandbox must hold with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
USER = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]


def python():
    """A Python that every user can run, with speciale's sources, as a command."""
    become = USER if os.geteuid() == 0 else []
    # By way of sh: setpriv itself still has root's rights when it executes.
    become += ["sh", "-c", 'exec "$@"', "sh"]
    for found in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        check = "import sys; sys.path.append('src'); import speciale.sandbox"
        if (
            found
            and not subprocess.run(
                [*become, found, "-B", "-c", check], cwd=ROOT, capture_output=True
            ).returncode
        ):
            return [*become, found, "-B"]
    return pytest.fail(
        "needs a Python 3.11 or newer, and this folder, that other users can read: "
        "apt-get install python3"
    )


def run(arguments, tmp_path_factory, prefix=(), **more):
    """What it printed."""
    home = tmp_path_factory.mktemp("home")
    for folder in (home, *home.parents[:3]):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):
            folder.chmod(0o777)
    *become, found, option = python()
    done = subprocess.run(
        [*become, *prefix, found, option, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "src", "HOME": str(home), "TMPDIR": str(home)},
        capture_output=True,
        text=True,
        timeout=280,
        **more,
    )
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == [], "something was left in the temporary folder"
    return done.stdout
