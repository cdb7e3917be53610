"""What a solution's cell must not hold, by its syntax tree: network, clock, chance, programs.

Cells are looked at as they are sent to the kernel, so that a text that was put together at run time
is looked at too. Agents are held by the sandbox alone; a solution must also be the same tomorrow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from speciale.synth.gates.static import CLOCK, FORM, SYSTEM, Finding, findings

# Of the standard library, beyond inside.py's list: what data are read with.
MORE = ("array", "calendar", "cmath", "copy", "csv", "io")
_ALLOWED = {f"the module {name!r}" for name in MORE} | {
    "the name 'open'",
    "a connection of its own",
}
_CLOCKS = {"now", "today", "utcnow"}


def cell_findings(code: str) -> list[Finding]:
    """What is against letting a cell run. Cells are plain Python: `!command` and magics are not."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [Finding(FORM, getattr(error, "lineno", None) or 1, f"not plain Python: {error}")]
    found = [one for one in findings(code, database=True) if one.what not in _ALLOWED]
    return found + [one for node in ast.walk(tree) for one in _of(node)]


def _of(node: ast.AST) -> Iterator[Finding]:
    line = getattr(node, "lineno", 1)
    if isinstance(node, ast.Name) and node.id in ("get_ipython", "getattr"):
        yield Finding(SYSTEM, line, f"the name {node.id!r}")
    elif isinstance(node, ast.Constant) and node.value in _CLOCKS:
        yield Finding(CLOCK, line, f"the text {node.value!r}")
    elif isinstance(node, ast.Call):
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        if name == "open":
            mode = node.args[1] if len(node.args) > 1 else None
            mode = next((word.value for word in node.keywords if word.arg == "mode"), mode)
            plain = mode.value if isinstance(mode, ast.Constant) else "r" if mode is None else ""
            if plain not in ("r", "rt", "rb"):
                yield Finding(SYSTEM, line, "a file that is opened for more than reading")
            if isinstance(first, str) and (first.startswith("/") or ".." in first):
                yield Finding(SYSTEM, line, f"the file {first!r}, which is not the task's")
        elif name == "connect" and first != ":memory:":
            yield Finding(SYSTEM, line, "a database that is a file")
