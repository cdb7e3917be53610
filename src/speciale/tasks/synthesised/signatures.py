"""The JSON schemas of tools.py, read from its syntax tree: generated code is never run for them.

Of each public function the signature and docstring are kept, with annotations and defaults of
known names alone, and its body is left out; what is left goes the way of any tool's function.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from speciale.chat import ChatFormatError, function_tool
from speciale.errors import DataError

MOST_CHARACTERS = 200_000  # of a file of generated code
_TYPES = {
    "str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict,
    "Any": Any, "Literal": Literal,
}  # fmt: skip


@lru_cache(maxsize=64)
def tools_of(source: str) -> tuple[Mapping[str, Any], ...]:
    """OpenAI's function tools, in the order of the file; the connection is left out.

    DataError says which function cannot be a tool, and why.
    """
    if len(source) > MOST_CHARACTERS:
        raise DataError(f"tools.py has {len(source):,} characters; {MOST_CHARACTERS:,} at most")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DataError(f"tools.py is not Python: {error}") from None
    functions = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    if not functions:
        raise DataError("tools.py has no functions: a tool is a function of the module")
    try:
        return tuple(_tool(node) for node in functions)
    except RecursionError:
        raise DataError("tools.py: a type or default is nested too deeply") from None


def _tool(node: ast.FunctionDef) -> dict[str, Any]:
    arguments = node.args
    plain = arguments.posonlyargs + arguments.args
    if not plain:
        raise DataError(f"tools.py: {node.name} takes nothing: its first parameter is the database")
    if arguments.vararg or arguments.kwarg:
        raise DataError(f"tools.py: {node.name} takes * or **: name its parameters")
    first = plain[0].arg
    defaults = [None] * (len(plain) - len(arguments.defaults)) + list(arguments.defaults)
    parameters = [
        *zip(plain[1:], defaults[1:]),
        *zip(arguments.kwonlyargs, arguments.kw_defaults),
    ]
    kept = ast.arguments(
        posonlyargs=[], args=[], vararg=None, kwarg=None, defaults=[],
        kwonlyargs=[
            ast.arg(each.arg, _checked(node, each.annotation, first)) for each, _ in parameters
        ],
        kw_defaults=[_default(node, each) for _, each in parameters],
    )  # fmt: skip
    docstring = ast.get_docstring(node)
    body: list[ast.stmt] = [ast.Expr(ast.Constant(docstring or node.name))]
    bare = ast.FunctionDef(node.name, kept, body, [], None, None)
    module = ast.fix_missing_locations(ast.Module([bare], []))
    names: dict[str, Any] = {"__builtins__": {}, **_TYPES}
    exec(compile(module, "tools.py", "exec"), names)  # a signature: _checked says of what
    function = names[node.name]
    assert isinstance(function, types.FunctionType)
    try:
        return function_tool(function)
    except ChatFormatError as error:
        raise DataError(f"tools.py: {error}") from None


def _checked(node: ast.FunctionDef, annotation: ast.expr | None, first: str) -> ast.expr:
    if annotation is None:
        raise DataError(f"tools.py: {node.name} has a parameter without a type after {first!r}")
    for part in ast.walk(annotation):
        known = isinstance(part, ast.Name) and part.id in _TYPES
        form = ast.Subscript | ast.Tuple | ast.BinOp | ast.BitOr | ast.Load | ast.Constant
        if not known and not isinstance(part, form):
            text = ast.unparse(annotation)
            raise DataError(f"tools.py: {node.name} has a parameter of the type {text!r}")
    return annotation


def _default(node: ast.FunctionDef, default: ast.expr | None) -> ast.expr | None:
    if default is None:
        return None
    try:
        ast.literal_eval(default)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        text = ast.unparse(default)
        raise DataError(f"tools.py: {node.name} has the default {text!r}, no plain value") from None
    return default
