"""Whether tools can keep anything but rows between their calls, by their syntax tree.

Where they cannot, a call that changed no row left nothing behind (pool.py makes use of it).
"""

from __future__ import annotations

import ast
import re

_DDL = re.compile(
    r"\b(?:create|drop|alter)\s+(?:temp|temporary|table|view|index|trigger|virtual|unique)\b"
    r"|\bpragma\b",
    re.IGNORECASE,
)


def is_pure(source: str) -> bool:
    """Whether a module's functions can keep nothing: it has no names that could be changed, sets no
    attributes, has no decorators or mutable defaults, and makes no tables."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in tree.body:
        plain = isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)
        value = getattr(node, "value", None)
        if not plain and not isinstance(value, ast.Constant):
            return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Global | ast.Nonlocal):
            return False
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            return False
        if isinstance(node, ast.FunctionDef):
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            if node.decorator_list or not all(isinstance(one, ast.Constant) for one in defaults):
                return False
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and _DDL.search(text):
            return False
    return True
