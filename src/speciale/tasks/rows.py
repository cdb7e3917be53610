"""Tasks as JSON lines: what `jsonl.py` reads again, and what the command line prints."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from speciale.errors import DataError
from speciale.tasks.task import Task


def export_rows(tasks: Iterable[Task]) -> str:
    """Tasks of reasoning-gym, one a line, each with all that its scorer needs.

    DataError for any other task: its verifier is a program, which a line cannot hold.
    """
    lines = []
    for task in tasks:
        if "entry" not in task.metadata:
            raise DataError(
                f"tasks of {task.source} cannot be written as JSON lines, since a program verifies "
                "them: use --verifiers."
            )
        row = {
            "id": task.id,
            "prompt": list(task.prompt),
            "answer": task.answer,
            "verifier": "reasoning-gym",
            "level": task.level,
            "metadata": dict(task.metadata),
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)


def shown_row(task: Task) -> dict[str, Any]:
    """A task as `speciale tasks show --json` prints it."""
    row = {
        "id": task.id,
        "source": task.source,
        "level": task.level,
        "prompt": list(task.prompt),
        "turns": [list(turn.messages) for turn in task.turns],
        "tools": list(task.tools),
        "answer": task.answer,
        "metadata": {name: value for name, value in task.metadata.items() if name != "entry"},
    }
    return {name: value for name, value in row.items() if value not in (None, [])}
