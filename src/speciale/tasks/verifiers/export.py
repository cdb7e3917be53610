"""A source of tasks as a package that verifiers can install: pyproject.toml and a module with
`load_environment`, which draws from this package and scores with it.
"""

from __future__ import annotations

import re
from pathlib import Path

from speciale.errors import DataError
from speciale.files import write_atomic
from speciale.tasks.jsonl import read_rows
from speciale.tasks.sources import load_tasks

MODULE = '''"""{title}, drawn and scored by speciale."""

from pathlib import Path

import verifiers as vf

from speciale.tasks.verifiers.environment import environment

SOURCE = {source}


def load_environment(
    count: int = 1000, eval_count: int = 100, seed: int = 0, level: int | None = None
) -> vf.Environment:
    """`count` tasks to train on, `eval_count` held-out ones; `level` from 1, None for all."""
    return environment(SOURCE, count=count, eval_count=eval_count, seed=seed, level=level)
'''

PROJECT = """[project]
name = "{name}"
description = "{title}, drawn and scored by speciale."
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["speciale[agents]", "verifiers>=0.3.1,<0.4"]
tags = ["speciale", "train", "eval"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build]
include = ["{module}.py", "{module}.jsonl", "pyproject.toml"]
"""

README = """# {name}

{title}, as an environment of [verifiers](https://github.com/PrimeIntellect-ai/verifiers).
Answers are scored in the sandbox of speciale, which needs bubblewrap.

```python
import verifiers as vf

environment = vf.load_environment("{name}", count=1000, eval_count=100, seed=0, level=None)
```

The reward is the score, from 0 to 1; `state["reasons"]` says why it is below 1.
"""


def export_package(source: str, folder: Path) -> str:
    """Writes the package into `folder`, which is new or empty; returns the environment's name.

    DataError where the source is unknown, empty or an environment of verifiers already.
    """
    if source.startswith("verifiers:"):
        raise DataError(
            f"{source} is an environment of verifiers already: there is nothing to export."
        )
    if next(load_tasks(source, count=1), None) is None:
        raise DataError(f"{source} has no task.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is not empty: name a new folder.")
    own = source.endswith(".jsonl")
    stem = Path(source).stem if own else source
    words = re.findall(r"[a-z0-9]+", stem.lower()) or ["tasks"]
    name = "-".join(["speciale", *words])
    module = name.replace("-", "_")
    expression = 'str(Path(__file__).with_suffix(".jsonl"))' if own else repr(source)
    title = f"The tasks of {' '.join(words)}"
    fields = {"name": name, "module": module, "source": expression, "title": title}
    text = MODULE.format(**fields)
    if own:
        read_rows(Path(source))
        write_atomic(folder / f"{module}.jsonl", Path(source).read_bytes())
    else:
        text = text.replace("from pathlib import Path\n\n", "")
    write_atomic(folder / f"{module}.py", text)
    write_atomic(folder / "pyproject.toml", PROJECT.format(**fields))
    write_atomic(folder / "README.md", README.format(**fields))
    return name
